// The log's lines as one stream over all segments of a directory: audit-000001.jsonl,
// audit-000002.jsonl, … Only the last one grows; every other ends at a whole line. Where the first
// were let go, a file has the state of the log up to there (retired.h), and reading begins behind.
//
//   list_log(directory)              which files make it up
//   SegmentReader::open(directory)   next() gives one line after another
//   reader.look_again()              and goes on where the log has grown meanwhile
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/lines.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// "audit-000001.jsonl" for 1: six digits, more where the number has more.
std::string segment_name(std::uint64_t number);
// The number of such a name; nothing for any other spelling.
std::optional<std::uint64_t> segment_number(std::string_view name);

struct LogFiles {
  std::uint64_t first = 1;            // Number of the first segment.
  std::vector<std::string> segments;  // In order, at least one.
  std::string base;                   // Has the state before the first; empty where that is 1.
  // Segments before the first and older such files: of a removal that did not come to its end.
  std::vector<std::string> leftovers;
  // Such files of segments that are all still there: letting those go did not come to its end, or
  // somebody has brought them back.
  std::vector<std::string> pending;
};
// usage: the directory cannot be read, or has no log. verification_failed: a hole in the numbers,
// segments before the first that nothing stands for, or a name that begins and ends like a
// segment's and is none (audit-1.jsonl).
Result<LogFiles> list_log(const std::string& directory);

struct LogLine {
  std::string_view text;     // Without its newline; valid until the reader's next call.
  std::string_view file;     // "audit-000001.jsonl"; valid as long as the reader, to look_again().
  std::uint64_t line = 0;    // In that file, from 1.
  std::uint64_t seq = 0;     // Of all lines before and this one: what its record has to say.
  std::uint64_t offset = 0;  // In that file, behind this line and its newline.
};

// Holds one block of one file at a time, however long the log is.
class SegmentReader {
 public:
  // As list_log(), and read_retired() of the base.
  static Result<SegmentReader> open(const std::string& directory);

  // The next whole line; nothing at the end, where the bytes behind the last newline are counted by
  // rest(). verification_failed: a line over kLineLimit, an unfinished line at the end of any
  // segment but the last; the file and line are in the sentence, and in file() and line().
  // usage, audit_unavailable: a segment cannot be opened or read.
  Result<std::optional<LogLine>> next();
  // After next() gave nothing: sees segments made since, and reads an unfinished line anew. Then
  // next() gives what was appended.
  Result<void> look_again();

  // Of the last line given out, or where that is none, of the segment it would be in.
  const std::string& file() const { return files_.segments[current_]; }
  std::uint64_t line() const { return lines_->line(); }
  std::uint64_t seq() const { return seq_; }
  // Bytes behind the last newline of the last segment. After next() gave nothing.
  std::uint64_t rest() const { return lines_->rest(); }

  // What came before the first line: nothing, or records that were let go, which seq() counts.
  const std::optional<RetiredFile>& base() const { return base_; }
  const LogFiles& files() const { return files_; }

 private:
  SegmentReader(std::string directory, LogFiles files, std::optional<RetiredFile> base)
      : directory_{std::move(directory)},
        files_{std::move(files)},
        base_{std::move(base)},
        seq_{base_ ? base_->retired.records() : 0} {}
  Result<void> open_current();

  std::string directory_;
  LogFiles files_;
  std::optional<RetiredFile> base_;
  std::size_t current_ = 0;
  std::uint64_t seq_;
  OwnedFd fd_;
  std::unique_ptr<LineReader> lines_;
};

}  // namespace hsm::audit
