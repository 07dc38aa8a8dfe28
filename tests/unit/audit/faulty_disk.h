// A disk that fails as told, once or until told otherwise.
#pragma once

#include <cerrno>
#include <functional>
#include <optional>

#include "hsm_signer/audit/log.h"

namespace hsm::audit {

class FaultyDisk final : public Disk {
 public:
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

  int write_errno = 0;
  std::optional<std::size_t> short_write;
  int sync_errno = 0;
  std::function<void()> on_sync;
  int truncate_errno = 0;
  int writes = 0;
  int syncs = 0;
};

}  // namespace hsm::audit
