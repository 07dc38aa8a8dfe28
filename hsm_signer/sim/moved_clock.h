// A clock that can be moved forward: seven days of waiting, thirty seconds without a heartbeat. And
// one that is wrong, as the exchange's may be or this machine's.
#pragma once

#include "hsm_signer/base/os.h"

namespace hsm::sim {

class MovedClock final : public Clock {
 public:
  // `clock` must outlive this one. `skew`, of either sign, goes to the time of day alone.
  explicit MovedClock(const Clock& clock, std::chrono::milliseconds skew = {})
      : clock_{clock}, skew_{skew} {}
  Wall wall() const override { return clock_.wall() + skew_ + moved_; }
  Steady steady() const override { return clock_.steady() + moved_; }
  Steady awake_or_not() const override { return clock_.awake_or_not() + moved_; }
  void advance(std::chrono::nanoseconds by) { moved_ += by; }
  std::chrono::nanoseconds moved() const { return moved_; }

 private:
  const Clock& clock_;
  const std::chrono::milliseconds skew_;
  std::chrono::nanoseconds moved_{0};
};

}  // namespace hsm::sim
