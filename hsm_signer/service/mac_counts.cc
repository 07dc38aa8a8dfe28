#include "hsm_signer/service/mac_counts.h"

#include <algorithm>

namespace hsm::service {

using audit::Kind;
using audit::Record;

void MacCounts::resume(const std::vector<audit::RetiredWorker>& workers) {
  for (const audit::RetiredWorker& worker : workers)
    workers_[worker.worker] = {.last = worker.last, .confirmed = worker.confirmed};
}

void MacCounts::see(const Record& record) {
  switch (record.kind) {
    case Kind::sign:
      if (record.verdict == audit::Verdict::allow) tell(record.worker, record.worker_counter);
      return;
    case Kind::gap:
      tell(record.worker, record.to);
      return;
    case Kind::usage: {
      Told& told = tell(record.worker, record.worker_counter);
      told.confirmed = std::max(told.confirmed, record.worker_counter);
      return;
    }
    case Kind::key:
    case Kind::start:
    case Kind::stop:
    case Kind::admin:
    case Kind::refusals:
    case Kind::token:
      return;
  }
}

void MacCounts::unconfirm() {
  for (auto& [worker, told] : workers_) told.confirmed = 0;
}

MacCounts::Told& MacCounts::tell(std::uint64_t worker, std::uint64_t up_to) {
  Told& told = workers_[worker];
  told.last = std::max(told.last, up_to);
  return told;
}

MacCounts::Told MacCounts::told(std::uint64_t worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? Told{} : found->second;
}

std::optional<Record> MacCounts::lost(std::uint64_t worker, std::size_t in_flight) const {
  if (in_flight == 0) return std::nullopt;
  const std::uint64_t last = told(worker).last;
  return Record::gap(worker, last + 1, last + in_flight,
                     "the worker was lost with these in flight");
}

std::vector<Record> MacCounts::said(const UsageText& usage, ByteView audit_key,
                                    ByteView signature) const {
  const Told known = told(usage.worker);
  std::vector<Record> records;
  if (usage.count == 0 || usage.count <= known.confirmed) return records;
  if (usage.count > known.last)
    records.push_back(Record::gap(usage.worker, known.last + 1, usage.count,
                                  "the signer had gone before it heard of these"));
  Record record;
  record.kind = Kind::usage;
  record.token = usage.token;
  record.worker = usage.worker;
  record.worker_counter = usage.count;
  record.digest = hex_encode(usage.digest);
  record.audit_key = hex_encode(sha256(audit_key));
  record.signature = base64_encode(signature);
  records.push_back(std::move(record));
  return records;
}

}  // namespace hsm::service
