#include "hsm_signer/keystore/lanes.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "hsm_signer/keystore/admission.h"
#include "hsm_signer/keystore/index_list.h"

// Jobs wait in *streams*, one per client of a key (one for all clients of a key whose jobs stay in
// order). The streams of a key and urgency that hold something stand in a ring, their *level*.
// Levels that hold something stand in a ring in turn: that of the worker where the key has frames,
// or that of the token where it has none. So picking looks at a few ring heads and never walks past
// a job that cannot go.

namespace hsm::keystore {
namespace {

using Slot = std::uint32_t;
using Rings = std::array<IndexList, kUrgencies>;

constexpr std::size_t index(Urgency urgency) { return static_cast<std::size_t>(urgency); }

struct Waiting {
  Link link;
  Job job;
  Clock::Steady entered{};
  Room room = Room::general;
  Slot stream = kNil;
  Slot key = kNil;
  WorkerIndex worker = kNil;  // Other than kNil: in flight there.
};

struct Stream {
  Link link;
  IndexList jobs;
};

struct LaneLevel {
  Link link;
  IndexList streams;
  bool in_ring = false;
  std::uint64_t ticket =
      0;  // Of its place in the ring: the lowest has waited longest for its turn.
};

struct Key {
  TokenIndex token = 0;
  WorkerIndex worker = kNil;  // Where its frames are, or kNil.
  std::uint32_t in_flight = 0;
  std::uint32_t waiting = 0;
  bool in_order = false;
  std::array<std::uint32_t, kUrgencies> by_urgency{};  // Waiting.
  std::array<std::unordered_map<ClientIndex, Slot>, kUrgencies> streams;
};

struct Worker {
  bool up = false;
  TokenIndex token = 0;
  unsigned depth = 0;
  unsigned in_flight = 0;
  IndexList frames;  // In the order of dispatch.
  Rings rings;

  bool has_room(unsigned at_most) const { return up && in_flight < std::min(depth, at_most); }
};

struct Token {
  explicit Token(const LaneLimits& limits) : admission{limits} {}
  Admission admission;
  Rings rings;
  std::vector<WorkerIndex> workers;
  ClientIndex last_client = kNoClient;
  Clock::Steady shared_until{};
  unsigned depth = kNil;  // Of each worker, just now.

  void came(ClientIndex client, Clock::Steady now, std::chrono::milliseconds memory) {
    if (client == kNoClient) return;
    const ClientIndex before = std::exchange(last_client, client);
    if (before != kNoClient && before != client) shared_until = now + memory;
  }
};

}  // namespace

struct Lanes::Impl {
  explicit Impl(LaneLimits l) : limits{l} {}

  LaneLimits limits;
  std::vector<Waiting> jobs;
  std::vector<Slot> free_jobs;
  std::unordered_map<JobId, Slot> by_id;
  std::set<std::pair<Clock::Steady, Slot>> deadlines;
  std::vector<Stream> streams;
  std::vector<Key> keys;
  std::unordered_map<KeyIndex, Slot> key_slots;
  std::vector<LaneLevel> levels;  // levels[key × kUrgencies + urgency]
  std::vector<Token> tokens;
  std::vector<Worker> workers;
  std::uint64_t last_ticket = 0;

  Token& token(TokenIndex i) {
    while (tokens.size() <= i) tokens.emplace_back(limits);
    return tokens[i];
  }

  Slot key_slot(KeyIndex key) {
    const auto [at, fresh] = key_slots.try_emplace(key, static_cast<Slot>(keys.size()));
    if (fresh) {
      keys.emplace_back();
      levels.resize(levels.size() + kUrgencies);
    }
    return at->second;
  }

  // The level at which a job is stored. Jobs that stay in order share one, whatever their urgency.
  static std::size_t stored_at(const Job& job) { return job.in_order ? 0 : index(job.urgency); }

  Slot stream_of(Key& key, const Job& job) {
    const ClientIndex client = job.in_order ? 0 : job.client;
    const auto [at, fresh] =
        key.streams[stored_at(job)].try_emplace(client, static_cast<Slot>(streams.size()));
    if (fresh) streams.emplace_back();
    return at->second;
  }

  // Whether a level of the key has something to offer. A key in order goes by its most urgent job
  // alone.
  static bool offers(const Key& key, std::size_t urgency) {
    if (!key.in_order) return key.by_urgency[urgency] > 0;
    for (std::size_t u = 0; u < urgency; ++u) {
      if (key.by_urgency[u] > 0) return false;
    }
    return key.by_urgency[urgency] > 0;
  }

  Rings& rings_of(const Key& key) {
    return key.worker == kNil ? token(key.token).rings : workers[key.worker].rings;
  }

  void join(IndexList& ring, Slot level) {
    levels[level].ticket = ++last_ticket;
    ring.push_back(levels, level);
  }

  // Puts each level of the key into the ring where it belongs, or takes it out. Call when what
  // waits has changed.
  void settle_levels(Slot slot) {
    const Key& key = keys[slot];
    Rings& rings = rings_of(key);
    for (std::size_t u = 0; u < kUrgencies; ++u) {
      const auto at = static_cast<Slot>(slot * kUrgencies + u);
      const bool wanted = offers(key, u);
      if (wanted == levels[at].in_ring) continue;
      levels[at].in_ring = wanted;
      wanted ? join(rings[u], at) : rings[u].erase(levels, at);
    }
  }

  // Moves the levels of a key between the rings of its token and of a worker.
  void move_key(Slot slot, WorkerIndex to) {
    Key& key = keys[slot];
    Rings& from_rings = rings_of(key);
    key.worker = to;
    Rings& to_rings = rings_of(key);
    for (std::size_t u = 0; u < kUrgencies; ++u) {
      const auto at = static_cast<Slot>(slot * kUrgencies + u);
      if (!levels[at].in_ring) continue;
      from_rings[u].erase(levels, at);
      join(to_rings[u], at);
    }
  }

  Slot take_slot() {
    if (free_jobs.empty()) {
      jobs.emplace_back();
      return static_cast<Slot>(jobs.size() - 1);
    }
    const Slot slot = free_jobs.back();
    free_jobs.pop_back();
    return slot;
  }

  void forget_job(Slot slot) {
    by_id.erase(jobs[slot].job.id);
    jobs[slot] = Waiting{};
    free_jobs.push_back(slot);
  }

  // Takes a job out of the queue; it stays known.
  void unqueue(Slot slot) {
    Waiting& waiting = jobs[slot];
    const Job& job = waiting.job;
    Key& key = keys[waiting.key];
    Stream& stream = streams[waiting.stream];
    const std::size_t level = waiting.key * kUrgencies + stored_at(job);
    stream.jobs.erase(jobs, slot);
    if (stream.jobs.empty()) levels[level].streams.erase(streams, waiting.stream);
    --key.waiting;
    --key.by_urgency[index(job.urgency)];
    deadlines.erase({job.deadline, slot});
    token(key.token).admission.leave(job.client, waiting.room);
    settle_levels(waiting.key);
  }

  JobId drop(Slot slot) {
    const JobId id = jobs[slot].job.id;
    unqueue(slot);
    forget_job(slot);
    return id;
  }

  // The job before which this one belongs, kNil for the end. Jobs in order came in the order in
  // which their nonces were admitted.
  Slot first_after(const Stream& stream, const Job& job) const {
    Slot behind = kNil;
    for (Slot at = stream.jobs.back(); !job.in_order && at != kNil; at = jobs[at].link.prev) {
      if (jobs[at].job.arrived <= job.arrived) break;
      behind = at;
    }
    return behind;
  }

  void enqueue(const Job& job, Room room, Clock::Steady now) {
    const Slot key_at = key_slot(job.key);
    Key& key = keys[key_at];
    key.token = job.token;
    if (key.waiting == 0) key.in_order = job.in_order;
    const Slot slot = take_slot();
    const Slot stream = stream_of(key, job);
    jobs[slot] = Waiting{
        .link = {}, .job = job, .entered = now, .room = room, .stream = stream, .key = key_at};
    if (streams[stream].jobs.empty())
      levels[key_at * kUrgencies + stored_at(job)].streams.push_back(streams, stream);
    streams[stream].jobs.insert(jobs, slot, first_after(streams[stream], job));
    ++key.waiting;
    ++key.by_urgency[index(job.urgency)];
    by_id.emplace(job.id, slot);
    deadlines.emplace(job.deadline, slot);
    settle_levels(key_at);
  }

  // The job that a level would give next.
  Slot head_of(Slot level) const {
    const auto key = static_cast<Slot>(level / kUrgencies);
    const Slot stored = keys[key].in_order ? static_cast<Slot>(key * kUrgencies) : level;
    return streams[levels[stored].streams.front()].jobs.front();
  }

  WorkerIndex roomiest(const Token& token) const {
    WorkerIndex best = kNil;
    for (const WorkerIndex w : token.workers) {
      if (!workers[w].has_room(token.depth)) continue;
      if (best == kNil || workers[w].in_flight < workers[best].in_flight) best = w;
    }
    return best;
  }

  struct Pick {
    Slot job = kNil;
    WorkerIndex worker = kNil;
    IndexList* ring = nullptr;
  };

  // Of the rings of this urgency that a worker has room for, the head whose turn it is.
  Pick pick(Token& token, std::size_t urgency) {
    Pick best;
    std::uint64_t ticket = ~std::uint64_t{0};
    const auto consider = [&](IndexList& ring, WorkerIndex worker) {
      if (ring.empty() || levels[ring.front()].ticket >= ticket) return;
      ticket = levels[ring.front()].ticket;
      best = {head_of(ring.front()), worker, &ring};
    };
    const WorkerIndex roomy = roomiest(token);
    if (roomy == kNil) return best;
    consider(token.rings[urgency], roomy);
    for (const WorkerIndex worker : token.workers) {
      if (workers[worker].has_room(token.depth)) consider(workers[worker].rings[urgency], worker);
    }
    return best;
  }

  Pick pick(Token& token, Clock::Steady now) {
    if (Pick cancel = pick(token, index(Urgency::cancel)); cancel.job != kNil) return cancel;
    const Pick checkpoint = pick(token, index(Urgency::checkpoint));
    if (checkpoint.job != kNil && now - jobs[checkpoint.job].entered >= limits.checkpoint_patience)
      return checkpoint;
    for (const Urgency urgency : {Urgency::trade, Urgency::other}) {
      if (Pick found = pick(token, index(urgency)); found.job != kNil) return found;
    }
    return checkpoint;
  }

  void dispatch(const Pick& picked) {
    Waiting& waiting = jobs[picked.job];
    const Slot slot = waiting.key;
    Key& key = keys[slot];
    // Everybody behind comes first next time: keys of the ring, then clients of the key.
    const std::size_t level = slot * kUrgencies + stored_at(waiting.job);
    const Slot head = picked.ring->front();
    picked.ring->erase(levels, head);
    join(*picked.ring, head);
    levels[level].streams.rotate(streams);
    unqueue(picked.job);
    waiting.worker = picked.worker;
    Worker& worker = workers[picked.worker];
    worker.frames.push_back(jobs, picked.job);
    ++worker.in_flight;
    if (key.in_flight++ == 0) move_key(slot, picked.worker);
  }

  void land(Slot slot) {
    Worker& worker = workers[jobs[slot].worker];
    const Slot key = jobs[slot].key;
    worker.frames.erase(jobs, slot);
    --worker.in_flight;
    if (--keys[key].in_flight == 0) move_key(key, kNil);
    forget_job(slot);
  }
};

Urgency urgency_of(venue::Class cls) {
  switch (cls) {
    case venue::Class::cancel:
    case venue::Class::session:
      return Urgency::cancel;
    case venue::Class::trade:
      return Urgency::trade;
    case venue::Class::read:
    case venue::Class::move:
    case venue::Class::widen:
    case venue::Class::admin:
      return Urgency::other;
  }
  return Urgency::other;
}

Lanes::Lanes(LaneLimits limits) : impl_{std::make_unique<Impl>(limits)} {}
Lanes::Lanes(Lanes&&) noexcept = default;
Lanes& Lanes::operator=(Lanes&&) noexcept = default;
Lanes::~Lanes() = default;

void Lanes::worker_up(TokenIndex token, WorkerIndex worker, unsigned depth) {
  if (impl_->workers.size() <= worker) impl_->workers.resize(worker + std::size_t{1});
  Worker& fresh = impl_->workers[worker];
  fresh.depth = depth;
  if (std::exchange(fresh.up, true)) return;
  fresh.token = token;
  impl_->token(token).workers.push_back(worker);
}

std::vector<JobId> Lanes::worker_lost(WorkerIndex worker) {
  std::vector<JobId> lost;
  if (worker >= impl_->workers.size() || !impl_->workers[worker].up) return lost;
  Worker& gone = impl_->workers[worker];
  while (!gone.frames.empty()) {
    lost.push_back(impl_->jobs[gone.frames.front()].job.id);
    impl_->land(gone.frames.front());
  }
  gone.up = false;
  std::erase(impl_->token(gone.token).workers, worker);
  return lost;
}

std::vector<JobId> Lanes::token_lost(TokenIndex token) {
  std::vector<Slot> waiting;
  for (const auto& [id, slot] : impl_->by_id) {
    const Waiting& job = impl_->jobs[slot];
    if (job.worker == kNil && job.job.token == token) waiting.push_back(slot);
  }
  std::vector<JobId> lost;
  for (const Slot slot : waiting) lost.push_back(impl_->drop(slot));
  return lost;
}

Result<void> Lanes::enter(const Job& job, Clock::Steady now) {
  if (job.deadline <= now) return fail(Code::deadline_exceeded, "the deadline has passed");
  if (impl_->by_id.contains(job.id)) return fail(Code::internal, "a job of that number is queued");
  if (const auto known = impl_->key_slots.find(job.key); known != impl_->key_slots.end()) {
    const Key& key = impl_->keys[known->second];
    const bool at_work = key.waiting > 0 || key.in_flight > 0;
    // Two tokens would answer in any order, and nonces would leave in any order.
    if (at_work && key.token != job.token)
      return fail(Code::token_unavailable, "the key is at work in another token");
    if (key.waiting > 0 && key.in_order != job.in_order)
      return fail(Code::internal, "a key's jobs are all in order or none is");
  }
  TRY(const Room room, impl_->token(job.token).admission.enter(job.client, job.urgency));
  impl_->token(job.token).came(job.client, now, impl_->limits.shared_for);
  impl_->enqueue(job, room, now);
  return {};
}

std::optional<Turn> Lanes::next(TokenIndex token, Clock::Steady now, std::vector<JobId>& expired) {
  Token& its = impl_->token(token);
  its.depth = now < its.shared_until ? impl_->limits.shared_depth : kNil;
  for (;;) {
    const Impl::Pick picked = impl_->pick(impl_->token(token), now);
    if (picked.job == kNil) return std::nullopt;
    const Job& job = impl_->jobs[picked.job].job;
    if (job.deadline <= now) {
      expired.push_back(impl_->drop(picked.job));
      continue;
    }
    const Turn turn{job.id, picked.worker};
    impl_->dispatch(picked);
    return turn;
  }
}

bool Lanes::done(WorkerIndex worker, JobId job, Clock::Steady now) {
  const auto found = impl_->by_id.find(job);
  if (found == impl_->by_id.end() || impl_->jobs[found->second].worker != worker || worker == kNil)
    return false;
  impl_->token(impl_->workers[worker].token).admission.answered(now);
  impl_->land(found->second);
  return true;
}

std::vector<JobId> Lanes::expire(Clock::Steady now) {
  std::vector<JobId> late;
  while (!impl_->deadlines.empty() && impl_->deadlines.begin()->first <= now)
    late.push_back(impl_->drop(impl_->deadlines.begin()->second));
  return late;
}

std::optional<Clock::Steady> Lanes::next_deadline() const {
  if (impl_->deadlines.empty()) return std::nullopt;
  return impl_->deadlines.begin()->first;
}

std::size_t Lanes::waiting(TokenIndex token) const {
  return token < impl_->tokens.size() ? impl_->tokens[token].admission.waiting() : 0;
}

std::size_t Lanes::in_flight(WorkerIndex worker) const {
  return worker < impl_->workers.size() ? impl_->workers[worker].in_flight : 0;
}

}  // namespace hsm::keystore
