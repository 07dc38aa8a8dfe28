#include "hsm_signer/service/sign_task.h"

#include <utility>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/log.h"

namespace hsm::service {

SignTask::SignTask(Signer& signer, Facts facts, SignReply reply)
    : signer_{signer}, facts_{std::move(facts)}, reply_{std::move(reply)} {}

keystore::Job SignTask::job(keystore::ClientIndex client) const {
  return {.id = 0,
          .key = facts_.mark,
          .client = client,
          .token = facts_.token,
          .urgency = keystore::urgency_of(facts_.payload.endpoint().cls),
          .deadline = facts_.deadline,
          .arrived = facts_.arrived,
          .in_order = caller_nonce()};
}

Result<keystore::Task::Written> SignTask::write(keystore::JobId id, Bytes& out) {
  TRY_VOID(signer_.still_fit(*this));
  if (caller_nonce()) {
    // Behind a panic a frozen key is refused above; one that was thawed since is refused here.
    TRY_VOID(signer_.parts_.nonces.not_overtaken(facts_.mark, signing_.nonce));
  } else {
    TRY(const std::optional<nonce::Drawn> drawn, signer_.parts_.nonces.draw(facts_.mark));
    if (!drawn) return Written::no;
    signing_.nonce = drawn->text;
  }
  TRY_VOID(signing_.write(signed_text(), facts_.version,
                          facts_.approved ? facts_.approved->bundle : std::string{}, id, out));
  reached_worker_ = true;
  return Written::yes;
}

std::string SignTask::signed_text() const {
  if (facts_.ask.form == Form::verbatim) return std::string{facts_.payload.verbatim()};
  std::string text;
  facts_.payload.build(signing_.nonce, text);
  return text;
}

void SignTask::parked(std::unique_ptr<Task> self) {
  std::shared_ptr<Task> kept{std::move(self)};
  signer_.parts_.nonces.park(facts_.mark, [this, kept](const Result<void>& reserved) {
    if (!reserved) return refuse(reserved.error());
    signer_.queue(std::make_unique<SignTask>(std::move(*this)));
  });
}

void SignTask::finished(Result<wire::FrameView> answer) {
  if (!answer) {
    if (answer.error().code == Code::quarantined)
      signer_.set_health(facts_.version.label(), answer.error().sentence());
    return refuse(answer.error());
  }
  const Result<wire::MacAnswer> mac = wire::decode<wire::MacAnswer>(*answer);
  if (!mac) return refuse(mac.error());
  record_mac(*mac);
}

void SignTask::record_mac(const wire::MacAnswer& mac) {
  wire::Signed answer = signing_.answer(facts_.version, mac);
  audit::Record entry = record();
  signing_.allow(mac, answer, entry);
  entry.durability = facts_.decision.durability;
  add_charge(facts_.decision, entry);
  std::string approval = statement_used_ ? facts_.approved->id : std::string{};
  signer_.parts_.ledger.allow(
      std::move(entry), facts_.mark,
      [signer = &signer_, who = facts_.ask.who, approval = std::move(approval),
       answer = std::move(answer),
       send = std::exchange(reply_, nullptr)](const Result<std::uint64_t>& sequence) mutable {
        if (!approval.empty()) signer->approved_was_signed(who, approval, sequence);
        if (!sequence) return send(fail(sequence.error()));
        answer.audit_sequence = *sequence;
        send(std::move(answer));
      });
}

audit::Record SignTask::record() const {
  audit::Record entry = record_of(facts_.ask.who, facts_.version, facts_.payload.endpoint(),
                                  signer_.parts_.clock.steady() - facts_.arrived);
  entry.op = op_name(facts_.ask.form);
  entry.client = facts_.decision.client;
  entry.payload_sha256 = signing_.payload_sha256.empty()
                             ? hex_encode(sha256(as_bytes(facts_.ask.payload)))
                             : signing_.payload_sha256;
  for (const policy::JudgedField& field : facts_.decision.judged)
    entry.fields.push_back({std::string{field.member}, std::string{field.text}});
  entry.rule = facts_.decision.rule;
  entry.reference = facts_.ask.reference;
  return entry;
}

// Once a worker has seen the frame there may be a signature of it.
void SignTask::give_back() {
  if (reached_worker_) return;
  signer_.parts_.policy.give_back(*facts_.rules, facts_.decision, facts_.payload.endpoint().cls,
                                  facts_.counted);
}

// What came before the frame, and what a token host says of it before it spends or signs anything,
// lets the officers' signatures count again.
void SignTask::tell_approval(const Error& error) {
  if (!statement_used_) return;
  const Code code = error.code;
  const bool untouched =
      code == Code::approval_required || code == Code::denied || code == Code::rate_limited;
  ApprovalDesk& approvals = signer_.parts_.approvals;
  if (!reached_worker_ || untouched)
    return approvals.back(facts_.ask.who, facts_.approved->id,
                          reached_worker_ ? error.sentence() : std::string{});
  approvals.lost(facts_.ask.who, facts_.approved->id, error.sentence());
}

void SignTask::refuse(const Error& error) {
  give_back();
  tell_approval(error);
  signer_.parts_.ledger.refuse(record(), error);
  if (error.ck_rv != 0) log(Level::warning, "token_refused", error.sentence());
  std::exchange(reply_, nullptr)(fail(error));
}

}  // namespace hsm::service
