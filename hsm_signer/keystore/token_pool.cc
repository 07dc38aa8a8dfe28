#include "hsm_signer/keystore/token_pool.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "hsm_signer/base/log.h"

namespace hsm::keystore {
namespace {

constexpr std::uint32_t kMostWorkers = 64;  // Of one token; a host that claims more is wrong.

tl::unexpected<Error> overdue_error() {
  return fail(Code::deadline_exceeded, "the deadline passed before the token had signed");
}

// A question to one worker, past the queue; overdue counts as an answer.
class Aside final : public Task {
 public:
  using Done = std::function<void(Result<wire::FrameView>)>;
  explicit Aside(Done done) : done_{std::move(done)} {}

  Result<Written> write(JobId, Bytes&) override { return Written::no; }
  void parked(std::unique_ptr<Task>) override {}
  void overdue() override { finished(overdue_error()); }
  void finished(Result<wire::FrameView> answer) override {
    if (const Done done = std::exchange(done_, nullptr)) done(std::move(answer));
  }

 private:
  Done done_;
};

// A broadcast counts down over the workers; the first error wins.
class Broadcast final : public Task {
 public:
  struct Shared {
    std::size_t open;
    Result<void> outcome;
    std::function<void(Result<void>)> done;
  };
  explicit Broadcast(std::shared_ptr<Shared> shared) : shared_{std::move(shared)} {}

  Result<Written> write(JobId, Bytes&) override { return Written::no; }
  void parked(std::unique_ptr<Task>) override {}
  void overdue() override {}
  void finished(Result<wire::FrameView> answer) override {
    // A worker that is lost has forgotten everything.
    const bool forgot = answer.has_value() || answer.error().code == Code::token_unavailable;
    if (!forgot && shared_->outcome) shared_->outcome = fail(answer.error());
    if (--shared_->open == 0) shared_->done(std::move(shared_->outcome));
  }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace

TokenPool::TokenPool(boost::asio::io_context& io, const Clock& clock, std::vector<Token> tokens,
                     std::function<void()> turn_over, LaneLimits limits)
    : io_{io}, clock_{clock}, timer_{io}, turn_over_{std::move(turn_over)}, lanes_{limits} {
  for (Token& token : tokens) {
    tokens_.push_back({.name = std::move(token.name),
                       .socket = std::move(token.socket),
                       .health = {},
                       .links = {}});
    tokens_.back().health.problem = "not connected yet";
  }
}

void TokenPool::start() {
  // The first connection learns how many workers there are.
  for (TokenIndex token = 0; token < tokens_.size(); ++token) add_link(token);
}

void TokenPool::stop() {
  for (Worker& worker : workers_) worker.link->stop();
  timer_.cancel();
}

std::optional<TokenIndex> TokenPool::index_of(std::string_view token) const {
  for (TokenIndex i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].name.value == token) return i;
  }
  return std::nullopt;
}

void TokenPool::add_link(TokenIndex token) {
  const auto index = static_cast<WorkerIndex>(workers_.size());
  auto link = std::make_unique<WorkerLink>(io_, tokens_[token].socket, index,
                                           static_cast<WorkerLink::Events&>(*this));
  tokens_[token].links.push_back(index);
  workers_.push_back({.token = token, .link = std::move(link), .asked = {}});
  workers_.back().link->start();
}

void TokenPool::submit(std::unique_ptr<Task> task, Job job) {
  const Health& health = tokens_[job.token].health;
  if (health.workers == 0) {
    // Not worth a place in the queue: the client can decide better than a time-out.
    task->finished(fail(Code::token_unavailable, "no worker of the token is up", health.problem));
    return;
  }
  job.id = next_job_++;
  if (const auto entered = lanes_.enter(job, clock_.steady()); !entered) {
    task->finished(fail(entered.error()));
    return;
  }
  tasks_.emplace(job.id,
                 Entry{.task = std::move(task), .deadline = job.deadline, .in_lanes = true});
  arm(job.deadline);
  schedule_pump();
}

void TokenPool::broadcast(TokenIndex token, const wire::ObjectRef& object, wire::Type type,
                          std::function<void(Result<void>)> done) {
  auto shared = std::make_shared<Broadcast::Shared>(
      Broadcast::Shared{.open = 1, .outcome = {}, .done = std::move(done)});
  for (const WorkerIndex index : tokens_[token].links) {
    Worker& worker = workers_[index];
    if (!worker.link->up()) continue;
    const JobId id = next_job_++;
    if (const auto encoded = wire::encode(worker.link->out(), type, id, object); !encoded) {
      shared->outcome = fail(encoded.error());
      continue;
    }
    ++shared->open;
    worker.asked.push_back(id);
    tasks_.emplace(
        id, Entry{.task = std::make_unique<Broadcast>(shared), .deadline = Clock::Steady::max()});
    worker.link->flush();
  }
  // The one that stands for this function: a token without workers is done at once.
  Broadcast{shared}.finished(fail(Code::token_unavailable, {}));
}

std::size_t TokenPool::ask_usage(TokenIndex token, Ask whom, const wire::UsageQuery& query,
                                 Clock::Steady::duration patience,
                                 const std::function<void(Result<wire::FrameView>)>& each) {
  const Clock::Steady deadline = clock_.steady() + patience;
  std::size_t asked = 0;
  for (const WorkerIndex index : tokens_[token].links) {
    Worker& worker = workers_[index];
    if (!worker.link->up() || (!worker.has_signed && whom != Ask::all)) continue;
    const JobId id = next_job_++;
    if (!wire::encode(worker.link->out(), id, query)) continue;
    ++asked;
    worker.has_signed = false;
    worker.asked.push_back(id);
    tasks_.emplace(id, Entry{.task = std::make_unique<Aside>(each), .deadline = deadline});
    arm(deadline);
    worker.link->flush();
  }
  return asked;
}

void TokenPool::schedule_pump() {
  if (std::exchange(pump_scheduled_, true)) return;
  boost::asio::post(io_, [this] { pump(); });
}

void TokenPool::pump() {
  pump_scheduled_ = false;
  std::vector<JobId> expired;
  for (TokenIndex token = 0; token < tokens_.size(); ++token) {
    while (const auto turn = lanes_.next(token, clock_.steady(), expired)) dispatch(*turn);
  }
  for (Worker& worker : workers_) {
    if (std::exchange(worker.dirty, false)) worker.link->flush();
  }
  for (const JobId id : expired) finish(id, overdue_error());
}

void TokenPool::dispatch(const Turn& turn) {
  Worker& worker = workers_[turn.worker];
  Entry& entry = tasks_.at(turn.job);
  const Result<Task::Written> written = entry.task->write(turn.job, worker.link->out());
  if (written && *written == Task::Written::yes) {
    worker.asked.push_back(turn.job);
    worker.dirty = true;
    return;
  }
  lanes_.done(turn.worker, turn.job, clock_.steady());
  if (!written) {
    finish(turn.job, fail(written.error()));
    return;
  }
  std::unique_ptr<Task> task = std::move(entry.task);
  tasks_.erase(turn.job);
  Task& parked = *task;
  parked.parked(std::move(task));
}

void TokenPool::finish(JobId id, Result<wire::FrameView> answer) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;
  const std::unique_ptr<Task> task = std::move(found->second.task);
  tasks_.erase(found);
  task->finished(std::move(answer));
}

void TokenPool::worker_up(WorkerIndex index, const wire::Info& info) {
  const TokenIndex token = workers_[index].token;
  TokenState& state = tokens_[token];
  workers_[index].worker_id = info.worker_id;
  workers_[index].has_signed = false;
  state.health.configured = std::clamp(info.workers, 1U, kMostWorkers);
  state.health.info = info;
  ++state.health.workers;
  state.health.problem.clear();
  lanes_.worker_up(token, index, std::max(1U, info.depth));
  while (state.links.size() < tokens_[token].health.configured) add_link(token);
  log(Level::info, "worker_up",
      state.name.value + " " + std::to_string(state.health.workers) + " of " +
          std::to_string(state.health.configured));
  if (watcher_ != nullptr) watcher_->worker_came(token, info);
  schedule_pump();
}

void TokenPool::worker_answered(WorkerIndex index, const wire::FrameView& frame) {
  Worker& worker = workers_[index];
  if (worker.asked.empty() || worker.asked.front() != frame.id()) {
    log(Level::error, "worker_broke_protocol",
        "an answer to no question; the connection is closed");
    worker.link->drop();
    return;
  }
  worker.asked.pop_front();
  lanes_.done(index, frame.id(), clock_.steady());
  if (frame.type() != wire::Type::error) {
    worker.has_signed |= frame.type() == wire::answer_to(wire::Type::mac);
    finish(frame.id(), frame);
    return;
  }
  const Result<wire::Failure> failure = wire::decode<wire::Failure>(frame);
  finish(frame.id(), failure ? fail(wire::to_error(*failure)) : fail(failure.error()));
}

void TokenPool::worker_turn_over(WorkerIndex) {
  turn_over_();
  pump();
}

void TokenPool::tell_loss(const Worker& worker, const Error& why) {
  if (watcher_ == nullptr) return;
  const auto in_flight = std::count_if(worker.asked.begin(), worker.asked.end(), [this](JobId id) {
    return tasks_.at(id).task->makes_mac();
  });
  watcher_->worker_went(worker.token, worker.worker_id, static_cast<std::size_t>(in_flight), why);
}

void TokenPool::worker_lost(WorkerIndex index, bool was_up, const Error& why) {
  Worker& worker = workers_[index];
  TokenState& state = tokens_[worker.token];
  if (was_up) {
    --state.health.workers;
    tell_loss(worker, why);
    lanes_.worker_lost(index);
    log(Level::warning, "worker_lost", state.name.value + ": " + why.sentence());
    for (const JobId id : std::exchange(worker.asked, {}))
      finish(id, fail(Code::token_unavailable, "the token's worker was lost while it signed",
                      state.name.value));
  }
  // What was bound to the lost worker may go to another now.
  if (state.health.workers > 0) return schedule_pump();
  state.health.problem = why.sentence();
  for (const JobId id : lanes_.token_lost(worker.token))
    finish(id, fail(Code::token_unavailable, "no worker of the token is up", state.health.problem));
  turn_over_();
}

void TokenPool::arm(Clock::Steady deadline) {
  if (armed_ && *armed_ <= deadline) return;
  armed_ = deadline;
  timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(deadline));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

void TokenPool::sweep() {
  armed_.reset();
  const Clock::Steady now = clock_.steady();
  for (const JobId id : lanes_.expire(now)) finish(id, overdue_error());
  // What a worker has is bounded by its depth, so looking at all of it is cheap.
  std::optional<Clock::Steady> next = lanes_.next_deadline();
  for (const Worker& worker : workers_) {
    for (const JobId id : worker.asked) {
      Entry& entry = tasks_.at(id);
      if (entry.overdue) continue;
      if (entry.deadline > now) {
        next = std::min(next.value_or(entry.deadline), entry.deadline);
      } else {
        entry.overdue = true;
        entry.task->overdue();
      }
    }
  }
  turn_over_();
  if (next && *next != Clock::Steady::max()) arm(*next);
}

}  // namespace hsm::keystore
