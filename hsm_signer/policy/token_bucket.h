// rate = { per_second, burst }: how often, smoothed; windows say how much.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "hsm_signer/base/os.h"

namespace hsm::policy {

// The generic cell rate algorithm (ITU-T I.371 annex A, as a virtual schedule), as token/rates.cc
// keeps for each key, but in this process alone: one instant is all its state. Exact where
// per_second divides 10^9; elsewhere the step is rounded up, so that never more than per_second are
// let through in the long run.
class TokenBucket {
 public:
  // Both at least 1; per_second at most 10^9.
  TokenBucket(std::uint32_t per_second, std::uint32_t burst);

  // Whether one would be taken at `now`; otherwise in how many milliseconds, at least 1, it would
  // be if nobody else took one.
  std::optional<std::uint32_t> retry_after_ms(Clock::Steady now) const;
  // Takes one, also where there is none: who calls has asked before.
  void take(Clock::Steady now);
  // One that was taken and not used; a bucket that is full stays so.
  void give_back();

 private:
  std::chrono::nanoseconds step_;
  std::chrono::nanoseconds most_;  // An empty bucket is full again after that.
  Clock::Steady full_at_{};
};

}  // namespace hsm::policy
