#include "hsm_signer/service/panic_task.h"

#include <utility>

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
  signing_.nonce = drawn->text;
  std::string text;
  facts_.payload.build(signing_.nonce, text);
  TRY_VOID(signing_.write(text, facts_.version, {}, id, out));
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
  audit::Record entry = record_of(facts_.who, facts_.version, facts_.payload.endpoint(),
                                  parts_.clock.steady() - facts_.arrived);
  entry.client = kPanicClient;
  entry.op = kPanicOp;
  entry.payload_sha256 = signing_.payload_sha256;
  return entry;
}

void PanicTask::allow(const wire::MacAnswer& mac) {
  wire::Signed answer = signing_.answer(facts_.version, mac);
  audit::Record entry = record();
  signing_.allow(mac, answer, entry);
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
  parts_.ledger.refuse(record(), error);
  std::exchange(reply_, nullptr)(fail(error));
}

}  // namespace hsm::service
