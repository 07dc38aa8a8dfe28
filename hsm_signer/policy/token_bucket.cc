#include "hsm_signer/policy/token_bucket.h"

#include <algorithm>
#include <limits>

namespace hsm::policy {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

TokenBucket::TokenBucket(std::uint32_t per_second, std::uint32_t burst)
    : step_{(kSecond + per_second - 1) / per_second}, most_{step_ * burst} {}

std::optional<std::uint32_t> TokenBucket::retry_after_ms(Clock::Steady now) const {
  const auto after = std::max(full_at_, now) + step_;
  const auto wait = after - now - most_;
  if (wait <= std::chrono::nanoseconds{0}) return std::nullopt;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<std::uint32_t>(
      std::min<std::int64_t>(ms, std::numeric_limits<std::uint32_t>::max()));
}

void TokenBucket::take(Clock::Steady now) { full_at_ = std::max(full_at_, now) + step_; }

void TokenBucket::give_back() { full_at_ -= step_; }

}  // namespace hsm::policy
