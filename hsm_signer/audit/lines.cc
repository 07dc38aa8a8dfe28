#include "hsm_signer/audit/lines.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/base/os.h"

namespace hsm::audit {

LineReader::LineReader(int fd, std::size_t line_limit, std::uint64_t size)
    : fd_{fd},
      size_{size},
      line_limit_{line_limit},
      block_size_{2 * line_limit},  // Room for a whole line however it lies in the block.
      block_{std::make_unique_for_overwrite<char[]>(block_size_)} {}

// Moves what is left to the front and reads behind it; false at the end of the file.
Result<bool> LineReader::fill() {
  std::memmove(block_.get(), block_.get() + begin_, end_ - begin_);
  end_ -= std::exchange(begin_, 0);
  const std::uint64_t behind = offset_ + end_;
  const std::size_t room =
      std::min<std::uint64_t>(block_size_ - end_, size_ - std::min(size_, behind));
  const off_t at = static_cast<off_t>(behind);
  ssize_t got = 0;
  do {
    got = ::pread(fd_, block_.get() + end_, room, at);
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    return fail(os_error(Code::audit_unavailable, "cannot read the audit log",
                         "at byte " + std::to_string(at)));
  end_ += static_cast<std::size_t>(got);
  return got > 0;
}

bool LineReader::has_zero(std::size_t size) const {
  return std::memchr(block_.get() + begin_, '\0', size) != nullptr;
}

Result<std::optional<std::string_view>> LineReader::end_at_zero() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0)
    return fail(os_error(Code::audit_unavailable, "cannot read the audit log",
                         "at byte " + std::to_string(offset_)));
  forget_rest();
  zeroed_ = static_cast<std::uint64_t>(status.st_size) - offset_;
  return std::optional<std::string_view>{};
}

Result<std::optional<std::string_view>> LineReader::next() {
  zeroed_ = 0;
  for (std::size_t searched = begin_;;) {
    const void* found = std::memchr(block_.get() + searched, '\n', end_ - searched);
    const std::size_t size =
        found != nullptr
            ? static_cast<std::size_t>(static_cast<const char*>(found) - block_.get()) - begin_
            : end_ - begin_;
    if ((found != nullptr || size >= line_limit_) && has_zero(std::min(size, line_limit_)))
      return end_at_zero();
    if (size >= line_limit_)
      return fail(Code::verification_failed, "a line longer than any record",
                  "line " + std::to_string(line_ + 1));
    if (found != nullptr) {
      const std::string_view line{block_.get() + begin_, size};
      begin_ += size + 1;
      offset_ += size + 1;
      ++line_;
      return std::optional{line};
    }
    TRY(const bool more, fill());
    if (!more) return std::optional<std::string_view>{};
    searched = size;  // fill() moved the line to the front.
  }
}

NoteReader::NoteReader(int fd, std::uint64_t size) : lines_{fd, kNoteLimit, size} {}

Result<std::optional<std::string_view>> NoteReader::next() {
  note_.clear();
  line_ = lines_.line() + 1;
  for (int empty_lines = 0;;) {
    TRY(const auto line, lines_.next());
    if (!line) return std::optional<std::string_view>{};
    if (line->empty() && ++empty_lines == 2) break;
    note_.append(*line).push_back('\n');
    if (note_.size() > kNoteLimit)
      return fail(Code::verification_failed, "a checkpoint note longer than any",
                  "line " + std::to_string(line_));
  }
  offset_ = lines_.offset();
  return std::optional<std::string_view>{note_};
}

}  // namespace hsm::audit
