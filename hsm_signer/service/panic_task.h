// One request that a panic signs: no client's, judged by no rule and stopped by no switch, but
// recorded like any other.
#pragma once

#include <functional>
#include <string>

#include "hsm_signer/keystore/registry.h"
#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/service/deadlines.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/nonce_desk.h"
#include "hsm_signer/service/signing.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::service {

class PanicTask final : public keystore::Task {
 public:
  // Of the daemon; they outlive every task.
  struct Parts {
    const Clock& clock;
    const keystore::Registry& registry;
    NonceDesk& nonces;
    keystore::TokenPool& pool;
    Ledger& ledger;
  };
  struct Facts {
    Peer who;
    keystore::KeyVersion version;
    keystore::TokenIndex token;
    nonce::MarkIndex mark;
    venue::Payload payload;
    Clock::Steady arrived;
    Clock::Steady deadline;
  };
  // `reply` runs once, after the record.
  PanicTask(const Parts& parts, Facts facts, SignReply reply)
      : parts_{parts}, facts_{std::move(facts)}, reply_{std::move(reply)} {}
  static void submit(std::unique_ptr<PanicTask> task);

  Result<Written> write(keystore::JobId id, Bytes& out) override;
  void parked(std::unique_ptr<Task> self) override;
  bool makes_mac() const override { return true; }
  // Deadlines has answered; a MAC that is still made is recorded.
  void overdue() override {}
  void finished(Result<wire::FrameView> answer) override;

 private:
  Result<void> still_fit() const;
  audit::Record record() const;
  void allow(const wire::MacAnswer& mac);
  void refuse(const Error& error);

  const Parts& parts_;
  Facts facts_;
  SignReply reply_;
  Signing signing_;
};

}  // namespace hsm::service
