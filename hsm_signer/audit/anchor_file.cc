#include "hsm_signer/audit/anchor_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/lines.h"

namespace hsm::audit {
namespace {

// O_APPEND: who may only append there (chattr +a) is let in. O_NONBLOCK: a FIFO does not hold us
// up.
constexpr int kOpen = O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

auto not_an_anchor(const std::string& path, std::string detail) {
  return fail(Code::verification_failed, "the anchor of the audit log is damaged",
              path + std::move(detail) +
                  "; move it away as evidence, bring it back from a copy, or put an empty file in "
                  "its place");
}

auto anchor_unavailable(std::string_view what, const std::string& path) {
  return fail(os_error(Code::audit_unavailable, what, path));
}

}  // namespace

Result<AnchorFile> AnchorFile::open(std::string path, Absent absent, Disk& disk) {
  AnchorFile file{std::move(path), disk};
  file.fd_ = OwnedFd{disk.open(file.path_.c_str(), O_RDWR | kOpen, 0)};
  file.writable_ = file.fd_.valid();
  if (!file.writable_ && (errno == EACCES || errno == EROFS || errno == EPERM))
    file.fd_ = OwnedFd{disk.open(file.path_.c_str(), O_RDONLY | kOpen, 0)};
  if (!file.fd_.valid() && errno == ENOENT) {
    if (absent == Absent::is_gone)
      return fail(Code::audit_unavailable, "the anchor of the audit log is gone",
                  file.path_ + " was written by earlier runs");
    file.may_be_made_ = true;
    return file;
  }
  TRY_VOID(file.take());
  TRY(file.last_, file.read_back());
  return file;
}

// An open file that is ours alone.
Result<void> AnchorFile::take() {
  if (!fd_.valid() && errno == ELOOP) return not_an_anchor(path_, " is a link");
  if (!fd_.valid() && errno == EISDIR) return not_an_anchor(path_, " is a directory");
  if (!fd_.valid()) return anchor_unavailable("cannot open the anchor of the audit log", path_);
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return anchor_unavailable("cannot look at", path_);
  if (!S_ISREG(status.st_mode)) return not_an_anchor(path_, " is not a regular file");
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return anchor_unavailable("cannot lock", path_);
  return fail(Code::verification_failed, "another process has the anchor of the audit log",
              path_ + "; each signer needs its own");
}

Result<AnchorFile::Last> AnchorFile::read_back() const {
  Last last;
  NoteReader notes{fd_.get()};
  for (;;) {
    const auto note = notes.next();
    if (!note && note.error().code == Code::audit_unavailable) return fail(note.error());
    if (!note) return not_an_anchor(path_, ": " + note.error().sentence());
    if (!*note) break;
    const Result<CheckpointText> text = read_note_unverified(**note);
    const std::string line = ":" + std::to_string(notes.line()) + ": ";
    if (!text) return not_an_anchor(path_, line + text.error().sentence());
    if (text->size < last.size)
      return not_an_anchor(
          path_, line + std::to_string(text->size) + " records after " + std::to_string(last.size));
    last = {.note = std::string{**note}, .size = text->size, .bytes = notes.offset()};
  }
  return last;
}

// Nobody else has written to the file at this path, and no other file has come there.
bool AnchorFile::is_as_left() const {
  struct stat here {
  }, named{};
  return ::fstat(fd_.get(), &here) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
         here.st_dev == named.st_dev && here.st_ino == named.st_ino &&
         std::cmp_equal(here.st_size, last_.bytes);
}

Result<void> AnchorFile::open_for_writing() {
  if (writable_ && is_as_left()) return {};
  fd_.reset();  // With its lock.
  writable_ = false;
  fd_ = OwnedFd{disk_->open(path_.c_str(), O_RDWR | kOpen | (may_be_made_ ? O_CREAT : 0), 0600)};
  TRY_VOID(take());
  TRY(Last found, read_back());
  if (found.note != last_.note && (tried_.empty() || found.note != tried_))
    return fail(Code::audit_unavailable, "the anchor of the audit log was changed by somebody else",
                path_ + "; the next start compares it with the log");
  last_ = std::move(found);
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return anchor_unavailable("cannot look at", path_);
  if (!std::cmp_equal(status.st_size, last_.bytes) &&
      disk_->ftruncate(fd_.get(), static_cast<off_t>(last_.bytes)) != 0)
    return anchor_unavailable("cannot cut a torn note off the anchor of the audit log", path_);
  writable_ = true;
  return {};
}

Result<void> AnchorFile::append(std::string_view note) {
  const Result<CheckpointText> text = read_note_unverified(note);
  if (!text) return fail(Code::internal, "not a checkpoint", text.error().sentence());
  TRY_VOID(open_for_writing());
  if (text->size < last_.size)
    return fail(
        Code::audit_unavailable, "the anchor of the audit log is ahead of the log",
        path_ + ": " + std::to_string(text->size) + " records after " + std::to_string(last_.size));
  TRY_VOID(write(std::string{note} + "\n", note));
  last_ = {.note = std::string{note}, .size = text->size, .bytes = last_.bytes + note.size() + 1};
  tried_.clear();
  return {};
}

Result<void> AnchorFile::write(std::string_view text, std::string_view note) {
  tried_ = note;
  ssize_t written = 0;
  do {
    written = disk_->write(fd_.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  // A short write says nothing in errno.
  if (written >= 0 && !std::cmp_equal(written, text.size())) errno = ENOSPC;
  if (std::cmp_equal(written, text.size()) && disk_->fdatasync(fd_.get()) == 0 &&
      (!may_be_made_ || sync_name())) {
    may_be_made_ = false;  // From now on a file that is not there is missed.
    return {};
  }
  const int why = errno;
  // Where this fails is_as_left() says so next time.
  (void)disk_->ftruncate(fd_.get(), static_cast<off_t>(last_.bytes));
  return fail(
      os_error(Code::audit_unavailable, "cannot write the anchor of the audit log", path_, why));
}

bool AnchorFile::sync_name() const {
  const OwnedFd directory{
      disk_->open(directory_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)};
  // EINVAL: a file system that knows no such thing (fsync(2)).
  return directory.valid() && (disk_->fsync(directory.get()) == 0 || errno == EINVAL);
}

}  // namespace hsm::audit
