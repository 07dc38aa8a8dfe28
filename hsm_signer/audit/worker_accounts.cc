#include "hsm_signer/audit/worker_accounts.h"

#include <algorithm>

#include "hsm_signer/audit/canonical.h"
#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/usage_text.h"

namespace hsm::audit {
namespace {

constexpr std::size_t kForeignKeys = 16;

std::string range(std::uint64_t from, std::uint64_t to) {
  return from == to ? std::to_string(from) : std::to_string(from) + " to " + std::to_string(to);
}

std::string named(std::uint64_t worker) { return "worker " + hex64_text(worker); }

}  // namespace

void WorkerAccounts::resume(const std::vector<RetiredWorker>& workers) {
  for (const RetiredWorker& worker : workers)
    accounts_[worker.worker] = {.last = worker.last,
                                .recorded = worker.recorded,
                                .confirmed = worker.confirmed,
                                .seq = worker.seq,
                                .followed = worker.digest.has_value(),
                                .digest = worker.digest.value_or(Sha256{})};
}

std::vector<RetiredWorker> WorkerAccounts::state() const {
  std::vector<RetiredWorker> workers;
  for (const auto& [worker, account] : accounts_) {
    RetiredWorker& state = workers.emplace_back(RetiredWorker{.worker = worker,
                                                              .last = account.last,
                                                              .recorded = account.recorded,
                                                              .confirmed = account.confirmed,
                                                              .seq = account.seq});
    if (account.followed) state.digest = account.digest;
  }
  std::ranges::sort(workers, {}, &RetiredWorker::worker);
  return workers;
}

void WorkerAccounts::allow(const Record& record) {
  Account& account = accounts_[record.worker];
  account.followed = account.followed && record.worker_counter == account.last + 1;
  count(account, record.worker, record.worker_counter, record.worker_counter);
  account.recorded = std::max(account.recorded, record.worker_counter);
  account.seq = record.seq;
  if (!account.followed) return;
  account.digest =
      usage_digest(account.digest, record.worker_counter, hash_of(record.payload_sha256),
                   key_label(record.key, record.version));
}

void WorkerAccounts::gap(const Record& record) {
  const std::uint64_t size = record.to - record.from + 1;
  say_(Severity::warning, named(record.worker) + " made " + std::to_string(size) +
                              " MACs at most (" + range(record.from, record.to) +
                              ") without a record: " + record.reason);
  Account& account = accounts_[record.worker];
  account.followed = false;
  count(account, record.worker, record.from, record.to);
}

// A worker counts its MACs from 1: each count has a record or a gap, in this order.
void WorkerAccounts::count(Account& account, std::uint64_t worker, std::uint64_t from,
                           std::uint64_t to) {
  if (from > account.last + 1) {
    say_(Severity::failure, named(worker) + " made MACs without a record or gap: " +
                                range(account.last + 1, from - 1));
  } else if (from <= account.last) {
    say_(Severity::failure, named(worker) + " counts " + range(from, to) + " again, after " +
                                std::to_string(account.last));
  }
  account.last = std::max(account.last, to);
}

// A worker answers in the order in which it was asked, so what it made before it was asked stands
// before its answer.
void WorkerAccounts::usage(const Record& record) {
  if (!is_signed(record)) return;
  Account& account = accounts_[record.worker];
  const std::uint64_t says = record.worker_counter;
  const Sha256 digest = hash_of(record.digest);
  if (says > account.last) {
    say_(Severity::failure, named(record.worker) + " made MACs without a record or gap: " +
                                range(account.last + 1, says) + "; its token says that it made " +
                                std::to_string(says));
  } else if (says < account.recorded) {
    say_(Severity::failure, named(record.worker) + " has records of more MACs than it made: " +
                                range(says + 1, account.recorded));
  } else if (account.followed && digest != account.digest) {
    say_(Severity::failure, "what " + named(record.worker) +
                                " signed is not what its records say, somewhere in " +
                                range(account.confirmed + 1, says));
  }
  account.last = std::max(account.last, says);
  account.recorded = account.confirmed = std::max(account.recorded, says);
  account.digest = digest;
  account.followed = account.last == says;
}

bool WorkerAccounts::is_signed(const Record& record) {
  if (record.audit_key != fingerprint_) {
    if (foreign_.size() < kForeignKeys && foreign_.insert(record.audit_key).second)
      say_(Severity::warning, "what workers of token " + record.token +
                                  " say of themselves is signed with another key (" +
                                  record.audit_key.substr(0, 16) + "…): nothing of it was taken");
    return false;
  }
  const auto signature = base64_decode_canonical(record.signature);
  const std::string text =
      usage_text(record.token, record.worker, record.worker_counter, hash_of(record.digest));
  if (signature && key_.verifies(text, *signature)) return true;
  say_(Severity::failure, "the signature of this usage record does not verify");
  return false;
}

WorkerAccounts::Unconfirmed WorkerAccounts::unconfirmed(std::uint64_t seq) const {
  Unconfirmed sum;
  for (const auto& [worker, account] : accounts_) {
    if (account.seq > seq || account.recorded <= account.confirmed) continue;
    sum.macs += account.recorded - account.confirmed;
    ++sum.workers;
  }
  return sum;
}

}  // namespace hsm::audit
