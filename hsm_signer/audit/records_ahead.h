// The log's records in order, with their leaf hashes. Blocks of lines are hashed and parsed on
// other threads while the caller judges the records before. Inside the room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// of_each_core: also of the caller's; at most eight. none: beside work that must not wait.
enum class Helpers : bool { none, of_each_core };

// Holds a few blocks of lines, however long the log is.
class RecordsAhead {
 public:
  // Of one line. `record` is nothing to go by where `parsed` is an error, that of parse_line().
  struct Read {
    Record record;
    Sha256 leaf{};  // leaf_hash() of the line.
    Result<void> parsed;
  };

  RecordsAhead(SegmentReader lines, Helpers helpers);
  ~RecordsAhead();

  // The next line's, valid until the next call; null at the end. Errors: as SegmentReader::next(),
  // each in its place behind the lines before it.
  Result<const Read*> next();

  // As SegmentReader's.
  const std::optional<RetiredFile>& base() const { return lines_.base(); }
  const LogFiles& files() const { return lines_.files(); }
  // Of the last line given out, or where an error or the end is.
  std::string_view file() const { return file_; }
  std::uint64_t line() const { return line_; }
  // After next() gave null: as SegmentReader's.
  std::uint64_t rest() const { return lines_.rest(); }

 private:
  struct Place {
    std::size_t end;  // Of the line, in the block's text.
    std::string_view file;
    std::uint64_t line;
  };
  struct Block {
    std::string text;
    std::vector<Place> places;
    std::vector<Read> reads;  // Of each line; more of them where an earlier block was longer.
    std::future<void> done;
  };
  static void parse(Block& block);
  void fill(Block& block);
  void read_ahead();

  SegmentReader lines_;
  const std::size_t helpers_;
  std::optional<Result<void>> end_;  // What lines_ said behind the last block.
  std::deque<Block> blocks_;         // The first is given out, the others are under way.
  Block spare_;                      // Its memory is used again.
  std::size_t given_ = 0;            // Of the first block's lines.
  std::string_view file_;
  std::uint64_t line_ = 0;
  class Team;
  std::unique_ptr<Team> team_;  // Last: its threads use what is above.
};

}  // namespace hsm::audit
