// One request on its way: what was asked, what was decided, and what becomes of it in a worker.
#pragma once

#include "hsm_signer/service/signer.h"
#include "hsm_signer/service/signing.h"

namespace hsm::service {

class SignTask final : public keystore::Task {
 public:
  struct Facts {
    SignAsk ask;
    venue::Payload payload;
    std::shared_ptr<const policy::Rules> rules;  // Those of the decision, which points into them.
    policy::Decision decision;
    Clock::Wall counted;  // When its windows counted it.
    keystore::KeyVersion version;
    keystore::TokenIndex token;
    nonce::MarkIndex mark;
    std::optional<Approved> approved;  // By officers, where the rule wants them.
    Clock::Steady arrived;
    Clock::Steady deadline;
  };
  SignTask(Signer& signer, Facts facts, SignReply reply);

  const Facts& facts() const { return facts_; }
  keystore::Job job(keystore::ClientIndex client) const;
  // The caller's own nonce, admitted; before the task is queued.
  void admitted() { signing_.nonce = facts_.payload.nonce(); }
  // The officers' statement is used up: from now on the approval is told what became of it.
  void statement_used() { statement_used_ = true; }
  bool caller_nonce() const { return nonce::is_caller(facts_.version.nonce_form); }

  Result<Written> write(keystore::JobId id, Bytes& out) override;
  void parked(std::unique_ptr<Task> self) override;
  bool makes_mac() const override { return true; }
  // Deadlines has told the client; the MAC may still be made, and is then recorded.
  void overdue() override {}
  void finished(Result<wire::FrameView> answer) override;

  // Ends the task with an error, recorded as a refusal.
  void refuse(const Error& error);

 private:
  void give_back();
  void tell_approval(const Error& error);
  std::string signed_text() const;
  audit::Record record() const;
  void record_mac(const wire::MacAnswer& mac);

  Signer& signer_;
  Facts facts_;
  SignReply reply_;
  Signing signing_;
  bool reached_worker_ = false;
  bool statement_used_ = false;
};

}  // namespace hsm::service
