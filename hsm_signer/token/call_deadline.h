// A hung PKCS#11 module cannot be interrupted, only killed: C_Sign on a frozen YubiHSM connector
// waits without limit. So a timer of the kernel stands around every call into a module and kills
// this process; the supervisor starts the next.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

#include "hsm_signer/base/result.h"

namespace hsm::token {

// One per process; a worker has one thread, so calls never overlap.
class KillTimer {
 public:
  // `start`: initialising the module, finding the token, logging in, listing its keys; libp11 waits
  // without limit for a session where the token has none left. `slow`: making an RSA key.
  struct Limits {
    std::chrono::milliseconds call{5'000};
    std::chrono::milliseconds start{20'000};
    std::chrono::milliseconds slow{60'000};
  };

  static Result<KillTimer> create(Limits limits);
  KillTimer(KillTimer&& other) noexcept;
  KillTimer& operator=(KillTimer&&) = delete;
  // Not copied: two owners would disarm each other.
  KillTimer(const KillTimer&) = delete;
  KillTimer& operator=(const KillTimer&) = delete;
  ~KillTimer();

 private:
  friend class CallDeadline;
  KillTimer(timer_t timer, Limits limits) : timer_{timer}, limits_{limits}, owned_{true} {}
  void set(std::chrono::milliseconds in) const;

  timer_t timer_;
  Limits limits_;
  bool owned_;
};

enum class Pace : std::uint8_t { normal, start, slow };

// For as long as it lives, the process dies when the time is up.
class CallDeadline {
 public:
  explicit CallDeadline(const KillTimer& timer, Pace pace = Pace::normal) : timer_{timer} {
    const KillTimer::Limits& limits = timer_.limits_;
    timer_.set(pace == Pace::slow ? limits.slow : pace == Pace::start ? limits.start : limits.call);
  }
  CallDeadline(const CallDeadline&) = delete;
  CallDeadline& operator=(const CallDeadline&) = delete;
  ~CallDeadline() { timer_.set(std::chrono::milliseconds{0}); }

 private:
  const KillTimer& timer_;
};

}  // namespace hsm::token
