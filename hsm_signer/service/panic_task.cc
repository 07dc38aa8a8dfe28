#include "hsm_signer/service/panic_task.h"

#include <utility>

#include "hsm_signer/base/hash.h"

namespace hsm::service {

void PanicTask::submit(std::unique_ptr<PanicTask> task) {
  // The key is frozen: what else of it waits falls out at its turn, so these go as soon as a worker
  // has room. Of no client: no client's share of the queue can keep them out.
  const keystore::Job job{.id = 0,
                          .key = task->facts_.mark,
                          .client = keystore::kNoClient,
                          .token = task->facts_.token,
                          .urgency = keystore::Urgency::cancel,
                          .deadline = task->facts_.deadline,
                          .arrived = task->facts_.arrived,
                          .in_order = nonce::is_caller(task->facts_.version.nonce_form)};
  keystore::TokenPool& pool = task->parts_.pool;
  pool.submit(std::move(task), job);
}

Result<void> PanicTask::still_fit() const {
  if (const auto trouble = parts_.ledger.blocked()) return fail(*trouble);
  const keystore::KeyVersion* now =
      parts_.registry.find(facts_.version.key.value, facts_.version.version);
  if (now == nullptr || now->state != VersionState::active)
    return fail(Code::key_not_active, "this key was taken out of use meanwhile",
                facts_.version.label());
  return {};
}

Result<keystore::Task::Written> PanicTask::write(keystore::JobId id, Bytes& out) {
  TRY_VOID(still_fit());
  TRY(const std::optional<nonce::Drawn> drawn, parts_.nonces.overtake(facts_.mark));
  if (!drawn) return Written::no;
  nonce_ = drawn->text;
  std::string text;
  facts_.payload.build(nonce_, text);
  payload_sha256_ = hex_encode(sha256(as_bytes(text)));
  base64_ = base64_encode(as_bytes(text));
  const ByteView message = as_bytes(base64_);
  TRY_VOID(wire::encode(out, id,
                        wire::MacRequest{.label = facts_.version.label(),
                                         .cka_id = facts_.version.cka_id,
                                         .key_check = facts_.version.kcv,
                                         .message = Bytes{message.begin(), message.end()},
                                         .statements = {}}));
  return Written::yes;
}

void PanicTask::parked(std::unique_ptr<Task> self) {
  std::shared_ptr<Task> kept{std::move(self)};
  parts_.nonces.park(facts_.mark, [this, kept](const Result<void>& reserved) {
    if (!reserved) return refuse(reserved.error());
    submit(std::make_unique<PanicTask>(std::move(*this)));
  });
}

void PanicTask::finished(Result<wire::FrameView> answer) {
  if (!answer) return refuse(answer.error());
  const Result<wire::MacAnswer> mac = wire::decode<wire::MacAnswer>(*answer);
  if (!mac) return refuse(mac.error());
  allow(*mac);
}

audit::Record PanicTask::record() const {
  audit::Record entry = audit::Record::sign(facts_.who.uid, facts_.who.gid, facts_.who.pid);
  entry.client = kPanicClient;
  entry.op = kPanicOp;
  entry.key = facts_.version.key.value;
  entry.version = facts_.version.version;
  entry.api_key_id = facts_.version.api_key_id.value;
  entry.endpoint = std::string{facts_.payload.endpoint().path};
  entry.endpoint_class = std::string{venue::name(facts_.payload.endpoint().cls)};
  entry.payload_sha256 = payload_sha256_;
  const auto waited = parts_.clock.steady() - facts_.arrived;
  entry.latency_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(waited).count());
  return entry;
}

void PanicTask::allow(const wire::MacAnswer& mac) {
  wire::Signed answer{.api_key_id = facts_.version.api_key_id.value,
                      .payload_base64 = base64_,
                      .signature = hex_encode(mac.mac),
                      .nonce = nonce_,
                      .audit_sequence = 0,
                      .key = facts_.version.key.value,
                      .version = facts_.version.version};
  audit::Record entry = record();
  entry.verdict = audit::Verdict::allow;
  entry.nonce = nonce_;
  entry.worker = mac.worker_id;
  entry.worker_counter = mac.counter;
  entry.signature_sha256 = hex_encode(sha256(as_bytes(answer.signature)));
  entry.durability = Durability::fsync;
  parts_.ledger.allow(std::move(entry), facts_.mark,
                      [answer = std::move(answer), send = std::exchange(reply_, nullptr)](
                          const Result<std::uint64_t>& sequence) mutable {
                        if (!sequence) return send(fail(sequence.error()));
                        answer.audit_sequence = *sequence;
                        send(std::move(answer));
                      });
}

void PanicTask::refuse(const Error& error) {
  audit::Record entry = record();
  entry.verdict = audit::Verdict::refuse;
  entry.code = std::string{name(error.code)};
  entry.sentence = error.sentence();
  parts_.ledger.refuse(std::move(entry));
  std::exchange(reply_, nullptr)(fail(error));
}

}  // namespace hsm::service
