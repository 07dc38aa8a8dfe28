#include "hsm_signer/base/usage_text.h"

#include <algorithm>

namespace hsm {

std::string usage_text(std::string_view token, std::uint64_t worker, std::uint64_t count,
                       const Sha256& digest) {
  std::string text{kUsagePrefix};
  text.append(token).append("\n").append(std::to_string(worker)).append("\n");
  text.append(std::to_string(count)).append("\n").append(hex_encode(digest)).append("\n");
  return text;
}

Sha256 usage_digest(const Sha256& before, std::uint64_t count, const Sha256& payload,
                    std::string_view label) {
  std::array<Byte, 2 * sizeof(Sha256) + sizeof count> fixed;
  auto end = std::copy(before.begin(), before.end(), fixed.begin());
  for (std::size_t i = 0; i < sizeof count; ++i) *end++ = static_cast<Byte>(count >> (8 * i));
  std::copy(payload.begin(), payload.end(), end);
  return sha256(fixed, as_bytes(label));
}

}  // namespace hsm
