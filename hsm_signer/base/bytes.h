// Bytes, secrets, and the two text forms the exchange uses (hex and base64).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/result.h"

namespace hsm {

using Byte = std::uint8_t;
using ByteView = std::span<const Byte>;
using Bytes = std::vector<Byte>;

ByteView as_bytes(std::string_view text);
std::string_view as_text(ByteView bytes);

// Compares in a time that depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b);

// Lower case, as X-GEMINI-SIGNATURE carries it.
std::string hex_encode(ByteView bytes);
// Accepts both cases; anything else is invalid_payload.
Result<Bytes> hex_decode(std::string_view text);

// RFC 4648 section 4: standard alphabet, padded, one line.
std::string base64_encode(ByteView bytes);
// Length of base64_encode() of `size` bytes.
constexpr std::size_t base64_size(std::size_t size) { return (size + 2) / 3 * 4; }
// Appends without a copy between.
void base64_append(ByteView bytes, Bytes& out);
// Refuses what base64_encode() would not have made of the same bytes (RFC 4648 section 3.5: line
// breaks, missing padding, non-zero pad bits).
Result<Bytes> base64_decode_canonical(std::string_view text);

// Overwrites in a way that the compiler may not leave out.
void wipe(std::span<Byte> bytes);

// Bytes that are wiped when they die. Move-only: a copy would be one more place to wipe. There is
// no stream operator and no comparison but equal_constant_time().
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t size) : bytes_(size) {}
  static SecretBytes copy_of(ByteView bytes);
  SecretBytes(SecretBytes&& other) noexcept : bytes_{std::move(other.bytes_)} {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(bytes_); }

  ByteView view() const { return bytes_; }
  std::span<Byte> span() { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  // Wipes what is cut off. Never grows.
  void truncate(std::size_t size);

 private:
  Bytes bytes_;  // Never resized upwards: a reallocation would leave a copy behind.
};

}  // namespace hsm
