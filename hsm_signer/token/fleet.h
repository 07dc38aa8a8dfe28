// Which worker is to be started when: the supervisor's decisions, without processes or clocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/token/dispatch.h"

namespace hsm::token {

// Slot 0 is the admin worker, the rest sign. Logins are serialised: one worker starts at a time,
// the admin worker first, because it generates the keys that the others look for. After a refused
// PIN nothing is started any more: one C_Login, not one per worker, and no second try that brings a
// token nearer its lock.
class Fleet {
 public:
  using Slot = std::size_t;
  static constexpr Slot kAdmin = 0;

  // `restart_delay`: least pause after a worker that died without logging out.
  Fleet(std::size_t signing_workers, std::chrono::milliseconds restart_delay);

  static Role role(Slot slot) { return slot == kAdmin ? Role::admin : Role::signing; }
  std::size_t size() const { return slots_.size(); }

  // The worker to start now, if any.
  std::optional<Slot> next(Clock::Steady now) const;
  // When next() may have another answer without an event; nothing while one starts or all run.
  std::optional<Clock::Steady> wake_at() const;

  void started(Slot slot);
  void ready(Slot slot);
  // Before ended(): why it will not get ready.
  void failed(Slot slot, std::string sentence);
  void pin_refused(Slot slot, std::string sentence);
  // The token has signed for it: whatever ends this worker, its next failure is the first.
  void has_signed(Slot slot) { slots_[slot].failures = 0; }
  // The token signs wrongly. Latched as a refused PIN is.
  void taken_out(std::string sentence);
  // served: its connection is closed; the next follows at once. Else after a pause that doubles
  // from 250 ms to 30 s while workers of this slot fail one after the other, and not before the
  // restart delay for who could not tell the token goodbye.
  enum class Ending : std::uint8_t { served, logged_out, died };
  void ended(Slot slot, Ending ending, Clock::Steady now);

  bool is_ready(Slot slot) const { return slots_[slot].state == State::ready; }
  bool all_ready() const;
  // Everything has been tried once: all are ready, or somebody is not and it is known why.
  bool settled() const { return all_ready() || !sentence_.empty(); }
  // Nothing is started any more.
  bool latched() const { return latched_ != nullptr; }
  // What to tell who connects while nobody of this role is there or about to be; else nothing.
  std::optional<Error> refusal(Role role) const;

 private:
  enum class State : std::uint8_t { waiting, starting, ready };
  struct Worker {
    State state = State::waiting;
    unsigned failures = 0;
    Clock::Steady not_before{};
  };
  bool startable(Slot slot) const;

  std::vector<Worker> slots_;
  std::chrono::milliseconds restart_delay_;
  bool admin_was_ready_ = false;
  const char* latched_ = nullptr;  // What is wrong and what to do, once it is.
  std::string sentence_;           // Of the last failure, empty once a worker is ready.
};

}  // namespace hsm::token
