// Order on the wire: signing in order is not enough where requests of one API key race on their way
// to the exchange, which refuses the lower nonce that comes late. Who holds a key's gate is alone
// between the draw of its nonce and "sent". Pure: whoever calls passes the time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::nonce {

class Gates {
 public:
  // Longer nobody holds a gate: it is passed on, whether he has sent or not.
  static constexpr std::chrono::seconds kHeld{2};
  static constexpr std::size_t kMostWaiting = 1024;  // At one gate.

  // One connection; a number that comes again only after gone().
  using Who = std::uint64_t;
  // The place in the key's order, from 1 since the start; or why there is none. Called once,
  // perhaps within enter(); it must not call back.
  using Entered = std::function<void(Result<std::uint64_t>)>;

  // What the process before this one let in may still be on its way: gates open kHeld later.
  explicit Gates(Clock::Steady start) : open_from_{start + kHeld} {}

  // First come, first in; `urgent` (a cancel, a heartbeat) before all that are not, and never
  // before who holds it. deadline_exceeded: not let in before `until`. Refused: who holds or waits
  // already, and overloaded: kMostWaiting; all after close().
  void enter(const ApiKeyId& gate, Who who, bool urgent, Clock::Steady until, Clock::Steady now,
             Entered entered);
  // deadline_exceeded where who does not hold it: it was passed on, so the order is not kept.
  Result<void> leave(const ApiKeyId& gate, Who who, Clock::Steady now);
  // The connection has ended: it holds no gate and waits at none.
  void gone(Who who, Clock::Steady now);

  // Lets in who is next where a time is over. To be called now and then while any gate is busy.
  void pass(Clock::Steady now);
  bool busy() const;
  // At a stop: who waits hears `why`, and so does who comes later; who is in may leave.
  void close(Error why);

 private:
  struct Waiting {
    Who who;
    Clock::Steady until;
    Entered entered;
  };
  struct Held {
    Who who;
    Clock::Steady until;
  };
  struct Gate {
    std::optional<Held> held;
    std::deque<Waiting> urgent;
    std::deque<Waiting> others;
    std::uint64_t place = 0;

    bool knows(Who who) const;
    bool idle() const { return !held && urgent.empty() && others.empty(); }
  };
  void pass(Gate& gate, Clock::Steady now);

  Clock::Steady open_from_;
  std::optional<Error> closed_;
  std::unordered_map<ApiKeyId, Gate> gates_;
};

}  // namespace hsm::nonce
