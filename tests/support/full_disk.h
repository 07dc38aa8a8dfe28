// A disk on which nothing can be written while it is full.
#pragma once

#include <cerrno>

#include "hsm_signer/audit/log.h"

namespace hsm::test {

class FullDisk final : public audit::Disk {
 public:
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    if (!full) return audit::Disk::write(fd, bytes, size);
    errno = ENOSPC;
    return -1;
  }
  bool full = false;
};

}  // namespace hsm::test
