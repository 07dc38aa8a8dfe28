// The anchor: a file of signed notes, as `checkpoints` is one, that is kept where who can rewrite
// the audit directory cannot. Blocking calls, for a thread of their own: the file is meant for
// another mount, which may hang.
//
// The start of hsm-signerd holds the log against the last note that is found here. So only to a
// file that says what it said then, or what this object wrote since, anything is appended: a file
// that was put in its place meanwhile has been compared with nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/audit/disk.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

class AnchorFile {
 public:
  // Of a file that is not there: the first append() makes it, or it was there before and is missed.
  enum class Absent : bool { will_be_made, is_gone };

  // Takes the file and reads it back; changes nothing. A file that may only be read will do.
  // verification_failed: it says something that no anchor of ours says (a damaged note inside, one
  // over less than the one before), or is none of ours (no regular file, another process has it).
  // audit_unavailable: it says nothing (it is gone, or cannot be read). `disk` outlives the object.
  static Result<AnchorFile> open(std::string path, Absent absent, Disk& disk = Disk::system());

  const std::string& path() const { return path_; }
  // Of the last whole note; "" and 0 without one.
  const std::string& last_note() const { return last_.note; }
  std::uint64_t size() const { return last_.size; }

  // Durably, with an empty line after it. audit_unavailable: it was not; what was written of it is
  // cut off again, at the latest by the next call. Refused (audit_unavailable): a file that is not
  // the one that was opened or does not end as it did, one that another process has, a note over
  // less than the last.
  Result<void> append(std::string_view note);

 private:
  struct Last {
    std::string note;
    std::uint64_t size = 0;
    std::uint64_t bytes = 0;  // Of the file, up to the end of this note.
  };

  AnchorFile(std::string path, Disk& disk) : path_{std::move(path)}, disk_{&disk} {}
  Result<void> take();
  Result<Last> read_back() const;
  Result<void> open_for_writing();
  bool is_as_left() const;
  Result<void> write(std::string_view text, std::string_view note);
  bool sync_name() const;

  std::string path_;
  Disk* disk_;
  OwnedFd fd_;
  bool writable_ = false;
  bool may_be_made_ = false;
  Last last_;
  std::string tried_;  // A note whose writing failed; it may be there in spite of that.
};

}  // namespace hsm::audit
