// The audit log on disk: a directory with
//   audit-000001.jsonl, …  the records in segments, appended only (docs/audit.md)
//   checkpoints            signed notes, each followed by an empty line, appended only
//
// A segment ends at a whole line when it is large or its day is over: it is made durable and may
// only be read from then on, before the next one gets a name. So whatever a crash leaves, only the
// last segment can end in a torn line.
//
// One thread owns a Log and calls everything but sync(), which any one other thread may call at the
// same time. append() only fills a buffer; flush() hands it to the kernel in one write, so one turn
// of the event loop costs one system call however many it signed:
//
//   append()… flush() ──▶ size() grows: `os` answers may leave
//                sync() ──▶ durable_size() grows: `fsync` answers may leave, the head may be sealed
//
// A stretch of disk ahead of the writing is kept allocated. Where that cannot be had any more the
// log is low: it still takes everything, and who signs is to ask only for what must go on.
//
// Fail closed: where a write fails, the file is cut back to its last whole line, the records of
// that flush do not exist (their sequence numbers are given again) and their answers may not leave;
// later flushes try again. Where fdatasync fails, nobody knows what is on disk, and no later
// success would tell (fsync(2), "Errors"): every call fails until a restart reads the log back.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/append_file.h"
#include "hsm_signer/audit/disk.h"
#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retention.h"
#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// When the next segment begins: behind so many bytes, and with the first record of another day
// (UTC). `reserve`: so many bytes are kept allocated behind the end of the segment, and
// 1/kNotesShare of them behind that of the checkpoints; 0: none.
struct Rotation {
  std::uint64_t bytes = 64 * 1024 * 1024;
  std::uint64_t reserve = 0;
};
// A note takes a third of a record and seals one or many.
inline constexpr std::uint64_t kNotesShare = 4;

inline constexpr std::string_view kCheckpointsName = "checkpoints";

// What a checkpoint seals.
struct Head {
  std::uint64_t size = 0;
  Sha256 root{};
  bool operator==(const Head&) const = default;
};

// A head of this log that is known from elsewhere, which it has to hold: as many records or more,
// and this root over the first of them.
struct Anchored {
  Head head;
  std::string where;  // For sentences: the anchor's path.
};

class HeldHeads;

class Log {
 public:
  // Sees every record at open(), in order: nonce marks and the like are taken from the log.
  using Visit = std::function<void(const Record&)>;
  // Before the first: what those came to that were let go, where there are such.
  using VisitRetired = std::function<void(const Retired&)>;

  struct Recovered {
    std::uint64_t records = 0;
    std::uint64_t cut_bytes = 0;  // Of a torn last line, which is gone; say so in the start record.
    std::uint64_t checkpoints = 0;
    std::uint64_t sealed = 0;         // Size at the last checkpoint, 0 without one.
    std::uint64_t sealed_before = 0;  // At the last one over fewer records than that.
  };

  // Makes the directory (0700) where there is none, durably. open() does it too; by itself it is
  // for who gives up, before it opens the log, the right to make one.
  static Result<void> make_directory(const std::string& directory);
  // audit_unavailable, with a sentence that says
  // what to do: another process has the log, the directory is writable by others, a line inside the
  // log is damaged, the log is shorter than or differs from its last checkpoint or one of
  // `anchored`, its beginning is missing and no record under a checkpoint says why. Checkpoint
  // signatures are not checked here but by verify_directory(). `disk`
  // outlives the Log.
  static Result<std::unique_ptr<Log>> open(const std::string& directory, const Visit& visit = {},
                                           Disk& disk = Disk::system(), Rotation rotation = {},
                                           const std::vector<Anchored>& anchored = {},
                                           const VisitRetired& visit_retired = {});
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  const Recovered& recovered() const { return recovered_; }
  // What letting old records go had not done yet.
  const Unfinished& unfinished() const { return unfinished_; }

  // Buffers the record and answers the sequence number it will have. Its `seq` is set here.
  // Refused: a malformed record (internal, too_large; nothing is buffered), a log that has failed
  // for good (audit_unavailable).
  Result<std::uint64_t> append(Record record);
  // One write of all that was appended. On an error none of it was.
  //
  // MACs whose records were dropped this way, or refused by append(), become `gap` records by
  // themselves, ahead of what is appended next: their workers counted them, their answers never
  // left.
  Result<void> flush();
  bool has_unflushed() const { return !buffer_.empty(); }

  // fdatasync of what was flushed before this call; answers the durable size. The sync thread's.
  Result<std::uint64_t> sync();

  // Why the reserve is not whole, or nothing: it is, or none is kept. Seen when a flush or a note
  // needs more of it, and at open(); what was flushed is written all the same.
  std::optional<Error> low() const;
  // Tries to have all of it again; a failed try costs two system calls.
  void refill();
  // Bytes that are still free where the log is. audit_unavailable: nobody can tell.
  Result<std::uint64_t> free_bytes() const;
  const std::string& directory() const { return directory_; }
  // The file system cannot reserve (fallocate(2), EOPNOTSUPP), so none is kept.
  bool cannot_reserve() const { return cannot_reserve_; }

  // Of the segment that is written to.
  std::uint64_t segment() const { return segment_number_; }

  // Flushed records.
  std::uint64_t size() const { return tree_.size(); }
  Sha256 root() const { return tree_.root(); }
  Head head() const { return {size(), root()}; }
  // By the last checkpoint.
  const Head& sealed() const { return sealed_; }
  // May be read by any thread.
  std::uint64_t durable_size() const { return durable_.load(std::memory_order_acquire); }
  // Why nothing can be appended until a restart, or nothing. May be read by any thread.
  std::optional<Error> failure() const;

  // Appends a note that seal() made and open_note() took. Refused (audit_unavailable): a note over
  // less than the last one, over more than is durable (after a power cut the log would be shorter
  // than its own checkpoint), a failed write (cut back; may be tried again). The next sync() makes
  // it durable.
  Result<void> add_checkpoint(std::string_view note);

 private:
  struct Lost {  // MACs that were made and whose records were not written.
    std::uint64_t worker, from, to;
  };

  Log(std::string directory, Disk& disk, Rotation rotation);
  Result<void> take_directory();
  Result<void> open_files();
  Result<void> read_back(const Visit& visit, const std::vector<Anchored>& anchored,
                         const VisitRetired& visit_retired);
  Result<void> read_segments(SegmentReader& lines, HeldHeads& heads, RetentionRecords& retentions,
                             const Visit& visit);
  Result<void> take_base(const SegmentReader& lines, RetentionRecords& retentions,
                         const VisitRetired& visit_retired);
  Result<void> find_unfinished(const SegmentReader& lines, const RetentionRecords& retentions);
  Result<void> begin_segment_where_due();
  Result<void> begin_segment();
  Result<void> undo_segment(const std::string& name);
  void keep_reserve(AppendFile& file, std::size_t next, std::uint64_t ahead);
  tl::unexpected<Error> fail_for_good();
  Result<void> read_checkpoints();
  Result<void> append_gaps(Clock::Wall time);
  Result<void> buffer(Record record);
  void drop_buffer();
  std::string path(std::string_view file) const { return directory_ + "/" + std::string{file}; }

  const std::string directory_;
  Disk& disk_;
  OwnedFd directory_fd_;  // Holds the lock.
  // Replaced by the thread that appends, used by the one that syncs too.
  AppendFile segment_;
  mutable std::mutex segment_mutex_;
  AppendFile checkpoints_;
  const Rotation rotation_;
  int low_errno_ = 0;
  bool cannot_reserve_ = false;
  Recovered recovered_;
  Unfinished unfinished_;
  std::vector<RetiredFile> pending_;  // While the log is read.

  Tree tree_;  // Over what the kernel has.
  std::uint64_t segment_number_ = 1;
  std::string segment_name_;
  std::uint64_t next_try_ = 0;  // Bytes; no new segment before, the last try failed.
  std::optional<std::chrono::sys_days> segment_day_;  // Of its first record.
  std::optional<std::chrono::sys_days> buffer_day_;
  Head sealed_;

  std::string buffer_;
  Tree ahead_;              // tree_ with the buffer's lines.
  std::vector<Lost> macs_;  // In the buffer.
  std::vector<Lost> lost_;  // Waiting to be told as gaps.

  std::atomic<std::uint64_t> written_{0};  // = tree_.size(), for sync().
  std::atomic<std::uint64_t> durable_{0};
  std::atomic<bool> notes_dirty_{false};
  std::atomic<int> failed_errno_{0};
};

}  // namespace hsm::audit
