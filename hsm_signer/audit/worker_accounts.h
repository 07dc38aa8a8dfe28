// Whether the log accounts for every MAC of every worker: each count has one record or a gap, and
// what a worker says of itself, signed in its token, is what its records say. Inside the room.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"
#include "hsm_signer/audit/verify.h"

namespace hsm::audit {

class WorkerAccounts {
 public:
  using Say = std::function<void(Severity, std::string sentence)>;

  // `key` outlives this. Usage that another key signs is not taken, and said once for each key.
  WorkerAccounts(const AuditKey& key, Say say)
      : key_{key}, fingerprint_{key.fingerprint()}, say_{std::move(say)} {}

  // Before the first record: what those came to that are no longer there.
  void resume(const std::vector<RetiredWorker>& workers);
  std::vector<RetiredWorker> state() const;

  // Records of these kinds, in the order of the log.
  void allow(const Record& record);
  void gap(const Record& record);
  void usage(const Record& record);

  struct Unconfirmed {
    std::uint64_t macs = 0;
    std::uint64_t workers = 0;
    bool operator==(const Unconfirmed&) const = default;
  };
  // Counts of records up to `seq` that no usage record came behind: all such of workers whose last
  // record is not behind `seq`.
  Unconfirmed unconfirmed(std::uint64_t seq) const;

 private:
  struct Account {
    std::uint64_t last = 0;       // Count that has a record or a gap, without holes.
    std::uint64_t recorded = 0;   // The last that has a record: a gap may say more than there were.
    std::uint64_t confirmed = 0;  // By the worker.
    std::uint64_t seq = 0;        // Of the last record.
    bool followed = true;         // `digest` is of all up to `last`.
    Sha256 digest{};
  };

  void count(Account& account, std::uint64_t worker, std::uint64_t from, std::uint64_t to);
  bool is_signed(const Record& record);

  const AuditKey& key_;
  const std::string fingerprint_;
  const Say say_;
  std::unordered_map<std::uint64_t, Account> accounts_;
  std::set<std::string> foreign_;  // Keys that were said.
};

}  // namespace hsm::audit
