#include "hsm_signer/audit/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>

namespace hsm::audit {

int Disk::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
ssize_t Disk::write(int fd, const void* bytes, std::size_t size) {
  return ::write(fd, bytes, size);
}
int Disk::fdatasync(int fd) { return ::fdatasync(fd); }
int Disk::fsync(int fd) { return ::fsync(fd); }
int Disk::ftruncate(int fd, off_t size) { return ::ftruncate(fd, size); }
int Disk::fallocate(int fd, off_t offset, off_t size) {
  return ::fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, size);
}
std::int64_t Disk::free_bytes(int fd) {
  struct statvfs status {};
  if (::fstatvfs(fd, &status) != 0) return -1;
  return static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
}
int Disk::fchmod(int fd, mode_t mode) { return ::fchmod(fd, mode); }
int Disk::unlink(const char* path) { return ::unlink(path); }
int Disk::rename(const char* from, const char* to) { return ::rename(from, to); }

Disk& Disk::system() {
  static Disk disk;
  return disk;
}

}  // namespace hsm::audit
