// The calls on which the promises of the log rest, as the kernel answers them (errno), so that
// tests can let each of them fail and write down in which order they came.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace hsm::audit {

class Disk {
 public:
  virtual ~Disk() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t write(int fd, const void* bytes, std::size_t size);
  virtual int fdatasync(int fd);
  // Of a directory: its names.
  virtual int fsync(int fd);
  virtual int ftruncate(int fd, off_t size);
  // Allocates blocks for these bytes; the file's size stays (FALLOC_FL_KEEP_SIZE).
  virtual int fallocate(int fd, off_t offset, off_t size);
  // Bytes that this process may still take on the file system of that file; -1 with errno.
  virtual std::int64_t free_bytes(int fd);
  virtual int fchmod(int fd, mode_t mode);
  virtual int unlink(const char* path);
  virtual int rename(const char* from, const char* to);
  static Disk& system();
};

}  // namespace hsm::audit
