// A log of a record a segment, and officers' letting its beginning go, step by step as the signer
// does it.
#pragma once

#include <memory>
#include <string>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/retention.h"
#include "hsm_signer/audit/verify.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {

// Syncs nothing: a test that loses no power need not wait.
class UnsyncedDisk : public Disk {
 public:
  int fdatasync(int) override { return 0; }
  int fsync(int) override { return 0; }
};
Disk& unsynced();

// Record `i` of such a log: an allowed signature, of second `i`.
Record nth_record(std::uint64_t i);
Clock::Wall nth_time(std::uint64_t i);
// The next `count` records, each in a segment of its own, sealed at the end.
void write_segments(Log& log, const TestKey& key, std::uint64_t count);
// Some of another kind, behind records of which the above would not be the next.
void write_more(Log& log, const TestKey& key, std::uint64_t count);
Rotation a_record_a_segment();

// What of the first `records` goes, by the time of the one behind them.
Result<Cut> plan(const Log& log, std::uint64_t records);
struct Steps {
  bool record = true;
  bool seal = true;
  bool remove = true;
};
// Stops at the first step that fails, as a process does that was killed there.
Result<void> let_go(Log& log, Disk& disk, const TestKey& key, std::uint64_t records,
                    Steps steps = {});
// As the next start does.
Result<void> finish(Log& log, const TestKey& key);

}  // namespace hsm::audit
