// A disk that fails as told, once or until told otherwise.
#pragma once

#include <atomic>
#include <cerrno>
#include <functional>
#include <optional>

#include "hsm_signer/audit/log.h"

namespace hsm::audit {

class FaultyDisk final : public Disk {
 public:
  int open(const char* path, int flags, mode_t mode) override {
    if (on_open) on_open();
    const int fd = Disk::open(path, flags, mode);
    ++opens;
    return fd;
  }
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    ++writes;
    if (write_errno != 0) {
      errno = write_errno;
      return -1;
    }
    return Disk::write(fd, bytes, short_write ? *short_write : size);
  }
  int fdatasync(int fd) override {
    ++syncs;
    if (on_sync) on_sync();
    if (sync_errno == 0) return Disk::fdatasync(fd);
    errno = sync_errno;
    return -1;
  }
  int ftruncate(int fd, off_t size) override {
    if (truncate_errno == 0) return Disk::ftruncate(fd, size);
    errno = truncate_errno;
    return -1;
  }

  int fsync(int fd) override {
    if (fsync_errno == 0) return Disk::fsync(fd);
    errno = fsync_errno;
    return -1;
  }
  int fallocate(int fd, off_t offset, off_t size) override {
    ++allocations;
    if (allocate_errno == 0) return Disk::fallocate(fd, offset, size);
    errno = allocate_errno;
    return -1;
  }
  int unlink(const char* path) override {
    if (unlink_errno == 0) return Disk::unlink(path);
    errno = unlink_errno;
    return -1;
  }

  std::function<void()> on_open;
  std::atomic<int> opens = 0;
  std::atomic<int> write_errno = 0;
  std::optional<std::size_t> short_write;
  int sync_errno = 0;
  std::function<void()> on_sync;
  int truncate_errno = 0;
  int fsync_errno = 0;
  int allocate_errno = 0;
  int unlink_errno = 0;
  int allocations = 0;
  std::atomic<int> writes = 0;
  int syncs = 0;
};

}  // namespace hsm::audit
