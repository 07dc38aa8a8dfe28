#include "hsm_signer/audit/notes.h"

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/lines.h"
#include "hsm_signer/audit/log.h"

namespace hsm::audit {
namespace {

// The last whole note that `wanted` takes; empty where it takes none.
template <class Wanted>
Result<std::string> find_last(const std::string& directory, const Wanted& wanted) {
  TRY(const OwnedFd fd, open_regular_file(directory + "/" + std::string{kCheckpointsName}));
  NoteReader notes{fd.get()};
  std::string found;
  for (;;) {
    TRY(const auto note, notes.next());
    if (!note) return found;
    Result<CheckpointText> text = read_note_unverified(*note);
    if (!text) {
      text.error().detail += ", at line " + std::to_string(notes.line()) + " of " +
                             std::string{kCheckpointsName} + "; see audit verify";
      return fail(std::move(text).error());
    }
    if (wanted(*text)) found = *note;
  }
}

}  // namespace

Result<std::string> last_note(const std::string& directory) {
  TRY(std::string note, find_last(directory, [](const CheckpointText&) { return true; }));
  if (note.empty()) return fail(Code::usage, "the log has no checkpoint", directory);
  return note;
}

Result<std::string> note_of_size(const std::string& directory, std::uint64_t size) {
  return find_last(directory, [size](const CheckpointText& text) { return text.size == size; });
}

}  // namespace hsm::audit
