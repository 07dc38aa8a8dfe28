#include "hsm_signer/sim/rate.h"

#include <algorithm>

namespace hsm::sim {

RateGate::Verdict RateGate::admit(const Rate& rate, Clock::Steady now) {
  using std::chrono::nanoseconds;
  const nanoseconds backlog = std::max(due_ - now, nanoseconds{0});
  // The request itself comes on top of the backlog.
  const nanoseconds at_once = rate.interval * (rate.at_once - 1);
  const nanoseconds most = at_once + rate.interval * rate.queued;
  if (backlog > most) return {false, backlog - most};
  due_ = now + backlog + rate.interval;
  return {true, std::max(backlog - at_once, nanoseconds{0})};
}

RateGate::Verdict RateGates::admit(const std::string& caller, Clock::Steady now) {
  if (gates_.size() >= kMost)
    std::erase_if(gates_, [now](const auto& entry) { return entry.second.is_idle(now); });
  return gates_[caller].admit(rate_, now);
}

}  // namespace hsm::sim
