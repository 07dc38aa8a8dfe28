// One question to one worker, answered through a function: key checks and checkpoints, which belong
// to no client.
#pragma once

#include <functional>
#include <utility>

#include "hsm_signer/keystore/token_pool.h"

namespace hsm::service {

class Question final : public keystore::Task {
 public:
  using Write = std::function<Result<void>(keystore::JobId, Bytes&)>;
  // Exactly once; a frame is a view that dies with the call.
  using Done = std::function<void(Result<wire::FrameView>)>;
  Question(Write write, Done done) : write_{std::move(write)}, done_{std::move(done)} {}

  Result<Written> write(keystore::JobId id, Bytes& out) override {
    TRY_VOID(write_(id, out));
    return Written::yes;
  }
  void parked(std::unique_ptr<Task>) override {}
  void overdue() override {
    answer(fail(Code::deadline_exceeded, "the token did not answer in time"));
  }
  void finished(Result<wire::FrameView> frame) override { answer(std::move(frame)); }

 private:
  void answer(Result<wire::FrameView> frame) {
    if (const Done done = std::exchange(done_, nullptr)) done(std::move(frame));
  }

  Write write_;
  Done done_;
};

}  // namespace hsm::service
