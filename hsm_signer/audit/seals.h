// A file of signed notes (the log's checkpoints, or an anchor) as a stream of those that verify.
// Inside the room.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/lines.h"
#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// As it was before anything that it covers was read: a log that is written meanwhile gets its lines
// first, then its checkpoints, then its anchor, so it is looked at the other way round.
struct NotesFile {
  std::string path;
  OwnedFd fd;
  std::uint64_t size;
};
// A note that is just being written is waited for.
Result<NotesFile> notes_of(std::string path, Result<OwnedFd> fd);

class Seals {
 public:
  // What is wrong with the file, and where: the line at which a note begins.
  using Say = std::function<void(std::uint64_t line, std::string sentence)>;

  // `file` and `key` outlive the stream.
  Seals(const NotesFile& file, const AuditKey& key, Say say)
      : notes_{file.fd.get(), file.size}, key_{key}, say_{std::move(say)} {}

  // To the next note that verifies and does not go behind the one before; the others are said.
  // Errors: the file cannot be read.
  Result<void> advance();
  // Nothing before the first advance() and at the end.
  const std::optional<CheckpointText>& current() const { return current_; }
  bool is_over(std::uint64_t size) const { return current_ && current_->size == size; }

  std::uint64_t line() const { return notes_.line(); }  // Where the current one begins.
  std::uint64_t count() const { return count_; }        // That verified, so far.

 private:
  NoteReader notes_;
  const AuditKey& key_;
  const Say say_;
  std::optional<CheckpointText> current_;
  std::uint64_t last_size_ = 0;
  std::uint64_t count_ = 0;
  bool ended_ = false;
};

}  // namespace hsm::audit
