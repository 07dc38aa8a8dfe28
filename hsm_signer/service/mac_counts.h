// How far the MACs of each worker are told in the audit log, and what has to be told yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"
#include "hsm_signer/base/usage_text.h"

namespace hsm::service {

class MacCounts {
 public:
  // Before the first record: how far those were told that the log no longer has.
  void resume(const std::vector<audit::RetiredWorker>& workers);
  // A record of the log, old or about to be appended, in order.
  void see(const audit::Record& record);
  // What was appended last was not written: usage records among it are to be written again.
  void unconfirm();
  // The gap for MACs that a lost worker may have made: at most `in_flight` behind those told.
  std::optional<audit::Record> lost(std::uint64_t worker, std::size_t in_flight) const;
  // What a worker says of itself and the log does not: its usage record, and ahead of that a gap
  // where it made MACs that this process never heard of. Nothing where it is told already.
  // `audit_key`: of its token, SubjectPublicKeyInfo in DER. see() the records when they are
  // appended.
  std::vector<audit::Record> said(const UsageText& usage, ByteView audit_key,
                                  ByteView signature) const;

 private:
  struct Told {
    std::uint64_t last = 0;       // Count with a record or a gap.
    std::uint64_t confirmed = 0;  // Count of its last usage record.
  };
  Told& tell(std::uint64_t worker, std::uint64_t up_to);
  Told told(std::uint64_t worker) const;

  // Of every worker that the log knows: a usage may come from one that has long been gone.
  std::unordered_map<std::uint64_t, Told> workers_;
};

}  // namespace hsm::service
