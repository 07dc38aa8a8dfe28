#include "hsm_signer/service/random_id.h"

#include <sys/random.h>

#include <array>
#include <cstdlib>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"

namespace hsm::service {
namespace {

template <std::size_t Size>
std::array<Byte, Size> random_bytes() {
  std::array<Byte, Size> bytes{};
  // Never short below 256 bytes (getrandom(2)); without random numbers nothing here may go on.
  if (::getrandom(bytes.data(), Size, 0) != static_cast<ssize_t>(Size)) std::abort();
  return bytes;
}

// Version 4 and the variant of RFC 9562, in place of what stands there.
std::string uuid_from(std::array<Byte, 16> bytes) {
  bytes[6] = static_cast<Byte>((bytes[6] & 0x0fU) | 0x40U);
  bytes[8] = static_cast<Byte>((bytes[8] & 0x3fU) | 0x80U);
  std::string text = hex_encode(bytes);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

}  // namespace

std::string random_id() { return hex_encode(random_bytes<12>()); }

std::string random_uuid() { return uuid_from(random_bytes<16>()); }

std::string uuid_of(std::string_view text) {
  const Sha256 hash = sha256(as_bytes(text));
  std::array<Byte, 16> bytes{};
  std::copy_n(hash.begin(), bytes.size(), bytes.begin());
  return uuid_from(bytes);
}

}  // namespace hsm::service
