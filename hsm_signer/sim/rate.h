// The exchange's rate limits (Gemini documentation, "Rate limits"): 600 private requests a minute
// are one each 0.1 s. Of twenty that come together ten are served, five are queued, five refused.
#pragma once

#include <map>
#include <string>

#include "hsm_signer/base/os.h"

namespace hsm::sim {

struct Rate {
  std::chrono::nanoseconds interval;  // One request each.
  unsigned at_once;                   // That may come together.
  unsigned queued;                    // That may come on top, and wait until it is their turn.
};
inline constexpr Rate kPrivateRate{std::chrono::milliseconds{100}, 10, 5};
inline constexpr Rate kPublicRate{std::chrono::milliseconds{500}, 2, 5};
// The endpoints about deposit addresses.
inline constexpr Rate kAddressRate{std::chrono::seconds{2}, 1, 0};
// /v1/transfers.
inline constexpr Rate kTransfersRate{std::chrono::seconds{5}, 1, 0};

// One caller's share of a rate: the generic cell rate algorithm (ITU-T I.371).
class RateGate {
 public:
  struct Verdict {
    bool admitted;
    std::chrono::nanoseconds wait;  // Until it is served where admitted, until one may come else.
  };
  // A refused request does not count.
  Verdict admit(const Rate& rate, Clock::Steady now);
  bool is_idle(Clock::Steady now) const { return due_ <= now; }

 private:
  Clock::Steady due_{};  // When all that came so far is worked off.
};

// One gate per caller, forgotten when idle.
class RateGates {
 public:
  explicit RateGates(const Rate& rate) : rate_{rate} {}
  RateGate::Verdict admit(const std::string& caller, Clock::Steady now);
  std::size_t size() const { return gates_.size(); }
  static constexpr std::size_t kMost = 1'000;  // Beyond it, idle ones are forgotten.

 private:
  Rate rate_;
  std::map<std::string, RateGate> gates_;
};

}  // namespace hsm::sim
