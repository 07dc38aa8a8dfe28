#include "hsm_signer/nonce/gates.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hsm::nonce {

bool Gates::Gate::knows(Who who) const {
  const auto is_it = [who](const Waiting& waiting) { return waiting.who == who; };
  return (held && held->who == who) || std::any_of(urgent.begin(), urgent.end(), is_it) ||
         std::any_of(others.begin(), others.end(), is_it);
}

void Gates::pass(Gate& gate, Clock::Steady now) {
  if (gate.held && gate.held->until <= now) gate.held.reset();
  for (std::deque<Waiting>* queue : std::array{&gate.urgent, &gate.others}) {
    for (auto waiting = queue->begin(); waiting != queue->end();) {
      if (waiting->until > now) {
        ++waiting;
        continue;
      }
      const Entered entered = std::move(waiting->entered);
      waiting = queue->erase(waiting);
      entered(fail(Code::deadline_exceeded, "the deadline passed before this gate was free"));
    }
  }
  if (gate.held || now < open_from_) return;
  std::deque<Waiting>& queue = gate.urgent.empty() ? gate.others : gate.urgent;
  if (queue.empty()) return;
  const Waiting next = std::move(queue.front());
  queue.pop_front();
  gate.held = Held{next.who, now + kHeld};
  next.entered(++gate.place);
}

void Gates::enter(const ApiKeyId& id, Who who, bool urgent, Clock::Steady until, Clock::Steady now,
                  Entered entered) {
  if (closed_) return entered(fail(*closed_));
  Gate& gate = gates_[id];
  pass(gate, now);
  if (gate.knows(who))
    return entered(fail(Code::denied, "this connection is at this gate already",
                        "gate_leave first; one connection for each request that is to wait"));
  if (gate.urgent.size() + gate.others.size() >= kMostWaiting)
    return entered(fail(Code::overloaded, "too many wait at this gate",
                        std::to_string(kMostWaiting) + " at most"));
  (urgent ? gate.urgent : gate.others).push_back({who, until, std::move(entered)});
  pass(gate, now);
}

Result<void> Gates::leave(const ApiKeyId& id, Who who, Clock::Steady now) {
  const auto found = gates_.find(id);
  if (found != gates_.end()) pass(found->second, now);
  if (found == gates_.end() || !found->second.held || found->second.held->who != who)
    return fail(Code::deadline_exceeded, "this connection does not hold this gate",
                "it is passed on after " + std::to_string(kHeld.count()) +
                    " s: what was sent since may have come out of order");
  found->second.held.reset();
  pass(found->second, now);
  return {};
}

void Gates::gone(Who who, Clock::Steady now) {
  const auto is_it = [who](const Waiting& waiting) { return waiting.who == who; };
  for (auto& [id, gate] : gates_) {
    std::erase_if(gate.urgent, is_it);
    std::erase_if(gate.others, is_it);
    if (!gate.held || gate.held->who != who) continue;
    gate.held.reset();
    pass(gate, now);
  }
}

void Gates::pass(Clock::Steady now) {
  for (auto& [id, gate] : gates_) pass(gate, now);
}

void Gates::close(Error why) {
  closed_ = std::move(why);
  for (auto& [id, gate] : gates_) {
    for (std::deque<Waiting>* queue : std::array{&gate.urgent, &gate.others})
      for (const Waiting& waiting : std::exchange(*queue, {})) waiting.entered(fail(*closed_));
  }
}

bool Gates::busy() const {
  return std::any_of(gates_.begin(), gates_.end(),
                     [](const auto& entry) { return !entry.second.idle(); });
}

}  // namespace hsm::nonce
