// Letting old records go (docs/audit.md): whole segments, from the first on, once their state is in
// a file (retired.h) and a record that binds that file is sealed. In this order, so that a crash
// anywhere in between leaves a log that verifies, and what was begun can be finished or undone:
//
//   plan_cut()        which segments are old enough
//   state_after()     (verify.h) that they verify, and what they come to
//   write_retired()   durably; nothing reads it while the segments are there
//   retention_record(), appended, durable, under a checkpoint
//   remove_before()   lowest number first
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/disk.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

struct CutQuestion {
  Clock::Wall before;         // Every record of a segment that goes is older.
  std::uint64_t sealed = 0;   // And is among so many, which checkpoints and anchor cover.
  std::uint64_t current = 0;  // Number of the segment that is written to.
  // A record that is needed whatever its age; empty: none is.
  std::function<bool(const Record&)> still_counts = {};
  // Asked now and then: whether to go on. Empty: yes.
  std::function<bool()> goes_on = {};
};
struct Cut {
  std::uint64_t first = 1;  // Segments first to kept_from - 1 go; none where these are equal.
  std::uint64_t kept_from = 1;
  std::uint64_t records = 0;  // Of the log, up to the end of those.
  std::uint64_t count = 0;    // Of these, what goes.
  std::uint64_t bytes = 0;
  Clock::Wall begin{};  // Times of the oldest and newest of them.
  Clock::Wall end{};
  std::string why{};  // The next segment stays.
  bool empty() const { return first == kept_from; }
};
// As SegmentReader; verification_failed where a record is none; overloaded where told not to go on.
Result<Cut> plan_cut(const std::string& directory, const CutQuestion& question);

inline constexpr std::string_view kRetentionAction = "retention";
// `retired_sha256`: of the file. Statement and officers are the caller's to fill in.
Record retention_record(const Peer& who, const Retired& retired, std::string_view retired_sha256,
                        Clock::Wall before);

// Looks for the records that stand for files of retired.h.
class RetentionRecords {
 public:
  struct Found {
    std::uint64_t seq = 0;
    Clock::Wall time{};
    std::string by;  // "alice,bob"; "uid 0" where no officers were asked.
  };
  void want(const std::string& sha256) { wanted_.try_emplace(sha256); }
  void see(const Record& record);
  // The first one of this file.
  std::optional<Found> found(const std::string& sha256) const;

 private:
  std::map<std::string, std::optional<Found>> wanted_;
};

// What letting go left that did not come to its end, as a log finds it when it is opened.
struct Unfinished {
  std::vector<std::string> undo;  // Files that no record stands for.
  std::uint64_t kept_from = 1;    // What is before this segment is to go,
  std::uint64_t sealed = 0;       // once so many records are sealed.
  bool operator==(const Unfinished&) const = default;
  bool removes() const { return kept_from > 1; }
};

// The file's SHA-256 once it is durable (mode 0400), under its name. audit_unavailable: it is not;
// a rest of it under another name is overwritten the next time. Errors of retired_text().
Result<std::string> write_retired(const std::string& directory, Disk& disk, const Retired& retired);
// Removes all segments and older states before segment `kept_from`, durably; those that are gone
// already too. The caller has seen to the rest. audit_unavailable.
Result<void> remove_before(const std::string& directory, Disk& disk, std::uint64_t kept_from);
// These files of the directory, durably.
Result<void> remove_files(const std::string& directory, Disk& disk,
                          const std::vector<std::string>& names);

}  // namespace hsm::audit
