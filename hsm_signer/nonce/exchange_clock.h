// What the exchange's clock shows, by what it said last. Pure.
#pragma once

#include <chrono>
#include <optional>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::nonce {

// Both clocks of this machine read at the same moment.
struct Now {
  Clock::Wall wall;
  Clock::Steady steady;
};
inline Now now_of(const Clock& clock) { return {clock.wall(), clock.awake_or_not()}; }

class ExchangeClock {
 public:
  // The exchange's time at `now`, from one of its answers (`Date`, RFC 9110 section 6.6.1: whole
  // seconds). invalid_payload: a time outside of 2000 to 2200, which nobody's clock shows.
  Result<void> said(Clock::Wall time, Now now);

  // How far it is ahead of this machine's wall clock; nothing where it said nothing for an hour.
  // Between two sayings it goes on with the steady clock, so a step of the wall clock shows at
  // once.
  std::optional<std::chrono::nanoseconds> ahead(Now now) const;

 private:
  std::optional<Clock::Wall> time_;
  Clock::Steady at_{};
};

}  // namespace hsm::nonce
