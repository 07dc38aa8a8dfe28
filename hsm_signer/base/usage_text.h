// What a worker of a token host says of all that it has signed, and the chain that stands for it.
// In base as checkpoint_text.h is: the host makes it, the audit log checks it, and neither sees the
// other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"

namespace hsm {

// First line of what a worker signs about itself. No checkpoint begins so: an origin has no blanks.
inline constexpr std::string_view kUsagePrefix = "hsm-signer usage v1\n";

// kUsagePrefix, token, worker id, count and digest in hex: a line each.
std::string usage_text(std::string_view token, std::uint64_t worker, std::uint64_t count,
                       const Sha256& digest);

struct UsageText {
  std::string token;
  std::uint64_t worker = 0;
  std::uint64_t count = 0;
  Sha256 digest{};
  bool operator==(const UsageText&) const = default;
};
// Exactly what usage_text() writes; invalid_payload otherwise. `token` is any text of one line.
Result<UsageText> parse_usage_text(std::string_view text);

// SHA-256(before ‖ count as u64, little-endian ‖ payload ‖ label), where `payload` is the SHA-256
// of a payload before base64 and `label` the CKA_LABEL of the key that signed it: what an audit
// record has of a signature, so that the chain can be followed from records alone. From 32 zero
// bytes; the first count is 1.
Sha256 usage_digest(const Sha256& before, std::uint64_t count, const Sha256& payload,
                    std::string_view label);

}  // namespace hsm
