// A disk on which nothing can be written while it is full, and of which nothing more can be had
// while it is low.
#pragma once

#include <cerrno>
#include <optional>

#include "hsm_signer/audit/log.h"

namespace hsm::test {

class FullDisk final : public audit::Disk {
 public:
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    if (!full) return audit::Disk::write(fd, bytes, size);
    errno = ENOSPC;
    return -1;
  }
  int fallocate(int fd, off_t offset, off_t size) override {
    ++allocations;
    if (!low && !full) return audit::Disk::fallocate(fd, offset, size);
    errno = ENOSPC;
    return -1;
  }
  std::int64_t free_bytes(int fd) override { return free ? *free : Disk::free_bytes(fd); }
  bool full = false;
  bool low = false;
  int allocations = 0;
  std::optional<std::int64_t> free;  // -1: nobody can tell.
};

}  // namespace hsm::test
