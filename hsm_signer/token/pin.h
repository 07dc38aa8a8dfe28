// A token's PIN, between its file and the one function that logs in.
#pragma once

#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::token {

class PinAccess {  // `grep PinAccess` finds every place that reads a PIN.
  explicit PinAccess() = default;
  friend class TokenAccess;
};

class Pin {
 public:
  explicit Pin(SecretBytes bytes) : bytes_{std::move(bytes)} {}
  // Ends with a NUL, as libp11 wants it.
  ByteView reveal(PinAccess) const { return bytes_.view(); }
  std::size_t size() const { return bytes_.view().size() - 1; }  // Without it.

 private:
  SecretBytes bytes_;
};

// The path in "file:/path".
Result<std::string> parse_pin_source(const std::string& source);
// Reads the PIN anew and strips one newline. usage: not a regular file, open to other users, empty,
// holds a NUL or is over 255 bytes.
Result<Pin> read_pin(const std::string& path);

}  // namespace hsm::token
