// The log's lines as one stream over all segments of a directory: audit-000001.jsonl,
// audit-000002.jsonl, … Only the last one grows; every other ends at a whole line.
//
//   list_segments(directory)         their names in order
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
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// "audit-000001.jsonl" for 1: six digits, more where the number has more.
std::string segment_name(std::uint64_t number);
// The number of such a name; nothing for any other spelling.
std::optional<std::uint64_t> segment_number(std::string_view name);

// In order, at least one. usage: the directory cannot be read, or has none. verification_failed: a
// hole in the numbers, or a name that begins and ends like a segment's and is none (audit-1.jsonl).
Result<std::vector<std::string>> list_segments(const std::string& directory);

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
  // As list_segments().
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
  const std::string& file() const { return files_[current_]; }
  std::uint64_t line() const { return lines_->line(); }
  std::uint64_t seq() const { return seq_; }
  // Bytes behind the last newline of the last segment. After next() gave nothing.
  std::uint64_t rest() const { return lines_->rest(); }

 private:
  SegmentReader(std::string directory, std::vector<std::string> files)
      : directory_{std::move(directory)}, files_{std::move(files)} {}
  Result<void> open_current();

  std::string directory_;
  std::vector<std::string> files_;
  std::size_t current_ = 0;
  std::uint64_t seq_ = 0;
  OwnedFd fd_;
  std::unique_ptr<LineReader> lines_;
};

}  // namespace hsm::audit
