// Reads the log's files as streams of whole lines and whole notes. Inside the room.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::audit {

// Holds one block of the file at a time and reads with pread(2), so the descriptor may be shared.
//
// A line with a zero byte ends the file, whatever follows: nobody writes one, but a power cut
// leaves them in the place of what was written and not synced, in front of a later write that
// reached the disk.
class LineReader {
 public:
  static constexpr std::uint64_t kAll = ~std::uint64_t{0};

  // `fd` outlives the reader. `line_limit` counts a line with its newline. What the file has behind
  // `size` bytes is as if it were not there.
  LineReader(int fd, std::size_t line_limit, std::uint64_t size = kAll);

  // The next line without its newline, valid until the next call; nothing at the end, where the
  // bytes behind the last whole line are counted by rest(). verification_failed: a line over the
  // limit; audit_unavailable: the file cannot be read.
  Result<std::optional<std::string_view>> next();

  // After next() gave nothing: reads what is behind the last newline again, for a write that was
  // cut back may have been followed by another.
  void forget_rest() {
    end_ = begin_;
    zeroed_ = 0;
  }

  std::uint64_t line() const { return line_; }      // Of the last one given out, from 1.
  std::uint64_t offset() const { return offset_; }  // Behind the last one given out.
  std::uint64_t rest() const { return zeroed_ != 0 ? zeroed_ : end_ - begin_; }

 private:
  Result<bool> fill();
  bool has_zero(std::size_t size) const;
  Result<std::optional<std::string_view>> end_at_zero();

  int fd_;
  std::uint64_t size_;
  std::size_t line_limit_;
  std::size_t block_size_;
  std::unique_ptr<char[]> block_;
  std::size_t begin_ = 0;  // Of what is not given out yet, in block_.
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t line_ = 0;
  std::uint64_t zeroed_ = 0;  // Bytes from the line with a zero byte on.
};

// A note and the empty line after it: everything up to the second empty line.
class NoteReader {
 public:
  explicit NoteReader(int fd, std::uint64_t size = LineReader::kAll);

  // The next whole note, without the empty line after it; nothing at the end.
  Result<std::optional<std::string_view>> next();

  std::uint64_t line() const { return line_; }      // Where the last one given out begins.
  std::uint64_t offset() const { return offset_; }  // Behind the last one and its empty line.
  // What follows is no whole note. After next() gave nothing.
  bool torn() const { return lines_.offset() != offset_ || lines_.rest() != 0; }

 private:
  LineReader lines_;
  std::string note_;
  std::uint64_t line_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace hsm::audit
