// The RFC 7512 URI that names a token in <token>.toml: pkcs11:token=desk;serial=…
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::token {

// What a token says of itself (CK_TOKEN_INFO, padding removed).
struct TokenIdentity {
  std::string token;  // Its label.
  std::string manufacturer;
  std::string model;
  std::string serial;
};

// Empty attributes match anything; at least one is given.
class TokenUri {
 public:
  TokenUri() = default;  // Matches anything.
  // usage: not a PKCS#11 URI, an attribute twice, an attribute other than token, manufacturer,
  // model and serial. Slot numbers change at initialisation, and a PIN or a module has its own
  // place in the file.
  static Result<TokenUri> parse(std::string_view text);

  bool matches(const TokenIdentity& token) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  TokenIdentity wanted_;
};

}  // namespace hsm::token
