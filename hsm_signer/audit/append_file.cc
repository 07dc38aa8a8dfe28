#include "hsm_signer/audit/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

namespace hsm::audit {

Result<AppendFile> AppendFile::open(Disk& disk, std::string path, int more) {
  // O_APPEND: whatever else goes wrong, a line once written is not written over.
  OwnedFd fd{
      disk.open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | more, 0600)};
  if (!fd.valid())
    return fail(os_error(Code::audit_unavailable, "cannot open the audit log for writing", path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(Code::audit_unavailable, "not a regular file", std::move(path));
  return AppendFile{disk, std::move(path), std::move(fd)};
}

Result<void> AppendFile::cut() {
  if (!torn_) return {};
  if (disk_->ftruncate(fd(), static_cast<off_t>(size_)) != 0)
    return fail(os_error(Code::audit_unavailable, "cannot cut off a torn line", path_));
  torn_ = false;
  return {};
}

Result<void> AppendFile::append(std::string_view text) {
  TRY_VOID(cut());
  ssize_t written = 0;
  do {
    written = disk_->write(fd(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (std::cmp_equal(written, text.size())) {
    size_ += text.size();
    return {};
  }
  // A short write says nothing in errno; the kernel gives one where space ended in its midst.
  const int why = written < 0 ? errno : ENOSPC;
  torn_ = true;
  (void)cut();  // Tried again before the next write.
  return fail(os_error(Code::audit_unavailable,
                       "cannot write the audit log, so nothing is signed until that works again",
                       path_, why));
}

}  // namespace hsm::audit
