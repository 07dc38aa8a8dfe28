// All tokens and their workers: queues tasks by urgency, hands each to a worker, brings its answer
// back.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/lanes.h"
#include "hsm_signer/keystore/worker_link.h"

namespace hsm::keystore {

// One question to a worker and what becomes of it.
class Task {
 public:
  enum class Written : bool { no, yes };

  virtual ~Task() = default;
  // At dispatch: append one frame with this id. Written::no takes the task out of the queue and
  // hands it to parked(). An error ends it: finished() gets that error.
  virtual Result<Written> write(JobId id, Bytes& out) = 0;
  virtual void parked(std::unique_ptr<Task> self) = 0;
  // The deadline has passed while a worker has the frame. finished() still comes.
  virtual void overdue() = 0;
  // Exactly once, last: the worker's answer (never an error frame), or why there is none.
  virtual void finished(Result<wire::FrameView> answer) = 0;
  // Whether a worker that has the frame may have made a MAC, answer or not.
  virtual bool makes_mac() const { return false; }
};

class TokenPool final : private WorkerLink::Events {
 public:
  struct Token {
    TokenName name;
    std::string socket;
  };
  struct Health {
    std::uint32_t workers = 0;  // Up.
    std::uint32_t configured = 0;
    std::string problem;  // Of the last try, empty while a worker is up.
    std::optional<wire::Info> info;
  };

  // What becomes of workers; told by nobody else.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void worker_came(TokenIndex token, const wire::Info& info) = 0;
    // `in_flight`: frames for MACs that it had and did not answer.
    virtual void worker_went(TokenIndex token, std::uint64_t worker_id, std::size_t in_flight,
                             const Error& why) = 0;
  };

  // `turn_over` is called when all answers of one read have been delivered.
  TokenPool(boost::asio::io_context& io, const Clock& clock, std::vector<Token> tokens,
            std::function<void()> turn_over, LaneLimits limits = {});

  // Before start(); the watcher outlives this.
  void watch(Watcher& watcher) { watcher_ = &watcher; }
  void start();
  void stop();

  std::optional<TokenIndex> index_of(std::string_view token) const;
  const Health& health(TokenIndex token) const { return tokens_[token].health; }
  const std::string& name(TokenIndex token) const { return tokens_[token].name.value; }
  std::size_t size() const { return tokens_.size(); }

  // Takes the task into the lanes, or finishes it at once with the reason (overloaded, …).
  // token_unavailable without waiting when no worker of the token is up. `job.id` is chosen here.
  void submit(std::unique_ptr<Task> task, Job job);
  // Asks every worker of the token the same thing past the queue; `done` gets the first error or
  // Done.
  void broadcast(TokenIndex token, const wire::ObjectRef& object, wire::Type type,
                 std::function<void(Result<void>)> done);
  // Asks the workers of the token what they have signed in all, past the queue: those that have
  // signed since they were asked last, or every one. `each` gets one answer or error for each of
  // these, later and within `patience`; the frame dies with the call. Gives how many were asked.
  enum class Ask : bool { those_that_signed, all };
  std::size_t ask_usage(TokenIndex token, Ask whom, const wire::UsageQuery& query,
                        Clock::Steady::duration patience,
                        const std::function<void(Result<wire::FrameView>)>& each);
  // Hands out what can go; one write per worker. Called by itself after submit() and after answers.
  void pump();
  std::size_t unfinished() const { return tasks_.size(); }

 private:
  struct TokenState {
    TokenName name;
    std::string socket;
    Health health;
    std::vector<WorkerIndex> links;
  };
  struct Worker {
    TokenIndex token;
    std::unique_ptr<WorkerLink> link;
    std::deque<JobId> asked;  // In the order of the answers to come; broadcasts too.
    bool dirty = false;
    std::uint64_t worker_id = 0;
    bool has_signed = false;  // Since it was asked for its usage.
  };
  struct Entry {
    std::unique_ptr<Task> task;
    Clock::Steady deadline;
    bool in_lanes = false;  // False: a broadcast.
    bool overdue = false;
  };

  void worker_up(WorkerIndex worker, const wire::Info& info) override;
  void worker_answered(WorkerIndex worker, const wire::FrameView& frame) override;
  void worker_turn_over(WorkerIndex worker) override;
  void worker_lost(WorkerIndex worker, bool was_up, const Error& why) override;

  void add_link(TokenIndex token);
  void tell_loss(const Worker& worker, const Error& why);
  void schedule_pump();
  void dispatch(const Turn& turn);
  void finish(JobId id, Result<wire::FrameView> answer);
  void arm(Clock::Steady deadline);
  void sweep();

  boost::asio::io_context& io_;
  const Clock& clock_;
  boost::asio::steady_timer timer_;
  std::function<void()> turn_over_;
  Watcher* watcher_ = nullptr;
  Lanes lanes_;
  std::vector<TokenState> tokens_;
  std::vector<Worker> workers_;
  std::unordered_map<JobId, Entry> tasks_;
  std::optional<Clock::Steady> armed_;
  JobId next_job_ = 1;
  bool pump_scheduled_ = false;
};

}  // namespace hsm::keystore
