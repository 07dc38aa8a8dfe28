#include "hsm_signer/base/usage_text.h"

#include <algorithm>
#include <charconv>

namespace hsm {

std::string usage_text(std::string_view token, std::uint64_t worker, std::uint64_t count,
                       const Sha256& digest) {
  std::string text{kUsagePrefix};
  text.append(token).append("\n").append(std::to_string(worker)).append("\n");
  text.append(std::to_string(count)).append("\n").append(hex_encode(digest)).append("\n");
  return text;
}

Result<UsageText> parse_usage_text(std::string_view text) {
  const auto refuse = [] { return fail(Code::invalid_payload, "not a usage text"); };
  const std::string_view whole = text;
  if (!text.starts_with(kUsagePrefix)) return refuse();
  text.remove_prefix(kUsagePrefix.size());
  std::array<std::string_view, 4> lines;
  for (std::string_view& line : lines) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return refuse();
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  UsageText usage{.token = std::string{lines[0]}, .worker = 0, .count = 0, .digest = {}};
  std::from_chars(lines[1].data(), lines[1].data() + lines[1].size(), usage.worker);
  std::from_chars(lines[2].data(), lines[2].data() + lines[2].size(), usage.count);
  const auto digest = hex_decode(lines[3]);
  if (!digest || digest->size() != usage.digest.size()) return refuse();
  std::copy(digest->begin(), digest->end(), usage.digest.begin());
  if (usage_text(usage.token, usage.worker, usage.count, usage.digest) != whole) return refuse();
  return usage;
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
