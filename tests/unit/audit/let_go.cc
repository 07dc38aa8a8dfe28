#include "tests/unit/audit/let_go.h"

namespace hsm::audit {

Disk& unsynced() {
  static UnsyncedDisk disk;
  return disk;
}

Clock::Wall nth_time(std::uint64_t i) {
  return start_record().time + std::chrono::seconds{static_cast<std::int64_t>(i)};
}

Record nth_record(std::uint64_t i) {
  Record record = allow_record(i, i);
  record.time = nth_time(i);
  return record;
}

Rotation a_record_a_segment() { return {.bytes = 1}; }

void write_segments(Log& log, const TestKey& key, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) write_records(log, {nth_record(log.size() + 1)});
  seal_head(log, key);
}

void write_more(Log& log, const TestKey& key, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) write_records(log, {refuse_record()});
  seal_head(log, key);
}

Result<Cut> plan(const Log& log, std::uint64_t records) {
  return plan_cut(
      log.directory(),
      {.before = nth_time(records + 1), .sealed = log.sealed().size, .current = log.segment()});
}

Result<void> let_go(Log& log, Disk& disk, const TestKey& key, std::uint64_t records, Steps steps) {
  TRY(const Cut cut, plan(log, records));
  TRY(const Retired retired, state_after(log.directory(), key.public_pem(), cut));
  TRY(const std::string sha256, write_retired(log.directory(), disk, retired));
  if (steps.record) {
    Record record =
        retention_record({.uid = 0, .gid = 0, .pid = 9}, retired, sha256, nth_time(records + 1));
    record.time = nth_time(1000);
    record.statement = "s-1";
    record.officers = "alice,bob";
    TRY(const std::uint64_t seq, log.append(std::move(record)));
    (void)seq;
    TRY_VOID(log.flush());
    TRY(const std::uint64_t durable, log.sync());
    (void)durable;
  }
  if (steps.seal) {
    TRY_VOID(log.add_checkpoint(key.note(log.size(), log.root())));
    TRY(const std::uint64_t durable, log.sync());
    (void)durable;
  }
  return steps.remove ? remove_before(log.directory(), disk, retired.kept_from) : Result<void>{};
}

Result<void> finish(Log& log, const TestKey& key) {
  const Unfinished left = log.unfinished();
  TRY_VOID(remove_files(log.directory(), unsynced(), left.undo));
  if (!left.removes()) return {};
  if (log.sealed().size < left.sealed) seal_head(log, key);
  return remove_before(log.directory(), unsynced(), left.kept_from);
}

}  // namespace hsm::audit
