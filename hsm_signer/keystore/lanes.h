// Who goes next: the queue between the decision and the workers. Pure; pass the time.
//
// Urgency decides first; at equal urgency keys take turns, and within a key its clients take turns.
// A key with frames in a worker stays with that worker, which answers in order, so a key's answers
// leave in nonce order. At most `depth` frames wait inside a worker: what waits here can still be
// overtaken by a cancel, what waits there cannot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::keystore {

enum class Urgency : std::uint8_t { cancel, trade, other, checkpoint };
inline constexpr std::size_t kUrgencies = 4;
// cancel and session (heartbeats keep orders alive) → cancel; trade → trade; read, move, widen,
// admin → other.
Urgency urgency_of(venue::Class cls);

// Chosen by the caller. Clients, tokens and workers are small and dense; the others may be any
// number.
using JobId = std::uint64_t;
// One per API key id (nonce::MarkIndex), not per name: names that share it share the order of
// nonces.
using KeyIndex = std::uint32_t;
using ClientIndex = std::uint32_t;
using TokenIndex = std::uint32_t;
using WorkerIndex = std::uint32_t;
// The signer's own jobs (checkpoints): outside the shares of clients.
inline constexpr ClientIndex kNoClient = 0xFFFF'FFFF;

struct Job {
  JobId id = 0;  // Unique among those in here.
  KeyIndex key = 0;
  ClientIndex client = 0;
  TokenIndex token = 0;
  Urgency urgency = Urgency::other;
  Clock::Steady deadline{};
  // When its request came. Among jobs of one key, client and urgency the earlier goes first, also
  // when it comes in here a second time (it had to wait for a nonce).
  Clock::Steady arrived{};
  // caller-* nonces: all jobs of the key leave in the order in which they came (a cancel that
  // overtook an order would make the order's nonce fall). The key then goes by its most urgent job.
  // The same for all jobs of a key.
  bool in_order = false;
};

struct LaneLimits {
  std::size_t queue = 4096;  // Waiting jobs per token, the reserved room included.
  std::size_t reserved_cancels =
      1024;  // Of these, only for Urgency::cancel (which may take from the rest too).
  // A checkpoint that has waited so long goes before trades: the log is to be sealed each second
  // under load too.
  std::chrono::milliseconds checkpoint_patience{500};
  // While several clients use a token, fewer frames wait inside its workers: what one client has
  // sent there all the others wait behind. A client alone gets the whole depth, which is faster.
  unsigned shared_depth = 4;
  std::chrono::milliseconds shared_for{1000};  // Since two clients came one behind the other.
};

struct Turn {
  JobId job;
  WorkerIndex worker;
};

class Lanes {
 public:
  explicit Lanes(LaneLimits limits = {});
  Lanes(Lanes&&) noexcept;
  Lanes& operator=(Lanes&&) noexcept;
  ~Lanes();

  // A worker of `token` is ready for `depth` frames. A WorkerIndex may be used again after
  // worker_lost().
  void worker_up(TokenIndex token, WorkerIndex worker, unsigned depth);
  // Forgets the worker and gives the jobs that were in flight there, in the order of dispatch.
  // Their keys are free.
  std::vector<JobId> worker_lost(WorkerIndex worker);
  // Gives up on all that waits for this token (in no order); in flight stays until done() or
  // worker_lost().
  std::vector<JobId> token_lost(TokenIndex token);

  // overloaded with retry_after_ms: the token's queue is full, or this client has its share of it
  // (a client may hold 1/(n+1) of the room while n clients wait, so that the next one always finds
  // some). token_unavailable: the key is at work in another token. deadline_exceeded: the deadline
  // has passed.
  Result<void> enter(const Job& job, Clock::Steady now);
  // The next job for a worker of `token` that has room, now in flight there; nothing where none
  // waits or none fits. Jobs whose deadline has passed fall out and are appended to `expired`.
  std::optional<Turn> next(TokenIndex token, Clock::Steady now, std::vector<JobId>& expired);
  // The worker has answered; its place is free. False: not in flight there.
  bool done(WorkerIndex worker, JobId job, Clock::Steady now);
  // Takes out what waits past its deadline.
  std::vector<JobId> expire(Clock::Steady now);
  // When expire() will next have something to do.
  std::optional<Clock::Steady> next_deadline() const;

  std::size_t waiting(TokenIndex token) const;
  std::size_t in_flight(WorkerIndex worker) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hsm::keystore
