#include "hsm_signer/audit/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace hsm::audit {
namespace {

constexpr std::uint64_t kStep = 1 << 20;

}  // namespace

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
  allocated_ = 0;  // What lay behind the cut went with it (truncate(2)).
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

int AppendFile::keep_ahead(std::uint64_t next, std::uint64_t ahead) {
  if (allocated_ >= size_ + next + ahead) return 0;
  // From the end on, though much of it may be allocated: that costs nothing, and who copied the
  // file or cut it did not ask us.
  const std::uint64_t size = next + ahead + std::min(ahead, kStep);
  int failed = 0;
  do {
    failed = disk_->fallocate(fd(), static_cast<off_t>(size_), static_cast<off_t>(size));
  } while (failed != 0 && errno == EINTR);
  if (failed != 0) return errno;
  allocated_ = size_ + size;
  return 0;
}

void AppendFile::give_back() {
  if (allocated_ > size_ && disk_->ftruncate(fd(), static_cast<off_t>(size_)) == 0) allocated_ = 0;
}

}  // namespace hsm::audit
