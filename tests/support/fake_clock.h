// Time that moves only when a test says so.
#pragma once

#include "hsm_signer/base/os.h"

namespace hsm {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(std::chrono::nanoseconds since_epoch = std::chrono::seconds{1'800'000'000})
      : wall_{since_epoch}, steady_{std::chrono::hours{1}} {}
  Wall wall() const override { return wall_; }
  Steady steady() const override { return steady_; }
  Steady awake_or_not() const override { return steady_ + asleep_; }
  void advance(std::chrono::nanoseconds by) {
    wall_ += by;
    steady_ += by;
  }
  // The machine sleeps: CLOCK_MONOTONIC stands still meanwhile.
  void suspend(std::chrono::nanoseconds time) {
    wall_ += time;
    asleep_ += time;
  }
  // An operator or NTP sets the clock: wall time jumps, steady time does not.
  void step_wall(std::chrono::nanoseconds by) { wall_ += by; }

 private:
  Wall wall_;
  Steady steady_;
  std::chrono::nanoseconds asleep_{0};
};

}  // namespace hsm
