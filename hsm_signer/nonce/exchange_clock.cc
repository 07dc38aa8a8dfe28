#include "hsm_signer/nonce/exchange_clock.h"

namespace hsm::nonce {
namespace {

using std::chrono::sys_days;
using std::chrono::year;

// A crystal of 100 parts in a million is 0.4 s off by then.
constexpr std::chrono::hours kBelieved{1};
constexpr Clock::Wall kEarliest{sys_days{year{2000} / 1 / 1}.time_since_epoch()};
constexpr Clock::Wall kLatest{sys_days{year{2200} / 1 / 1}.time_since_epoch()};

}  // namespace

Result<void> ExchangeClock::said(Clock::Wall time, Now now) {
  if (time < kEarliest || time >= kLatest)
    return fail(Code::invalid_payload, "no time that an exchange's clock shows",
                "years 2000 to 2199");
  time_ = time;
  at_ = now.steady;
  return {};
}

std::optional<std::chrono::nanoseconds> ExchangeClock::ahead(Now now) const {
  if (!time_ || now.steady - at_ > kBelieved) return std::nullopt;
  return *time_ + (now.steady - at_) - now.wall;
}

}  // namespace hsm::nonce
