// What an operator does first when something is very wrong with a key (docs/incidents.md): nothing
// more is signed with it but what takes its orders back and burns its nonces.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hsm_signer/service/panic_task.h"
#include "hsm_signer/service/switch_desk.h"

namespace hsm::service {

class Panic {
 public:
  struct Parts {
    PanicTask::Parts task;
    SwitchDesk& switches;
    Deadlines& deadlines;
    std::chrono::milliseconds deadline;  // Of each step.
  };
  using Reply = std::function<void(Result<wire::Panicked>)>;

  explicit Panic(Parts parts) : parts_{std::move(parts)} {}

  // Freezes, signs /v1/order/cancel/all, then the heartbeat whose nonce is above every other of
  // this key. Frozen first, so that nothing is signed between those two and the nonces below the
  // second are all there will be. Each step is tried whatever became of those before and is in the
  // answer, which comes within two deadlines, and later only where the state hangs. Errors: usage,
  // and denied where there is no such key.
  void run(const Peer& who, const wire::Panic& ask, Reply reply);
  // Signatures that are still awaited; a stop waits for them.
  std::size_t unfinished() const { return unfinished_; }

 private:
  struct Course;

  std::vector<std::string> names_of(const ApiKeyId& id) const;
  void freeze(const std::shared_ptr<Course>& course);
  void cancel(const std::shared_ptr<Course>& course, std::function<void()> then);
  void burn(const std::shared_ptr<Course>& course, std::function<void()> then);
  void end(const std::shared_ptr<Course>& course);
  void sign(const Course& course, const char* request, SignReply reply);
  Result<PanicTask::Facts> facts_of(const Course& course, const char* request) const;

  Parts parts_;
  std::size_t unfinished_ = 0;
};

}  // namespace hsm::service
