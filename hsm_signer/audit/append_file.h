// One file of the log: appended to, cut back to its last whole line where a write fails, with a
// stretch of disk behind its end that nobody else can take. Inside the room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hsm_signer/audit/disk.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

// Copies and moves share the descriptor: a sync on another thread may still use it when the log
// goes on in the next file.
class AppendFile {
 public:
  AppendFile() = default;
  // Makes it (0600) where it is not there. `more`: flags beside these. audit_unavailable: it cannot
  // be opened, or is no regular file. `disk` outlives it.
  static Result<AppendFile> open(Disk& disk, std::string path, int more = 0);

  // What reading it back found: whole lines up to `size` bytes, and whether more is behind them.
  void found(std::uint64_t size, bool torn) {
    size_ = size;
    torn_ = torn;
  }
  std::uint64_t size() const { return size_; }  // Up to the last whole line.
  bool torn() const { return torn_; }           // A cut is due, and comes before the next write.
  const std::shared_ptr<const OwnedFd>& descriptor() const { return fd_; }
  int fd() const { return fd_->get(); }

  // Cuts off what is behind the last whole line, where there is something.
  Result<void> cut();
  // In one write. Where it fails or is short, none of it is there.
  Result<void> append(std::string_view text);
  // Sees to it that `ahead` bytes are still allocated when the next `next` are written; allocates
  // some more where they are not, so that this is seldom. 0, or the errno: then what was allocated
  // still is.
  int keep_ahead(std::uint64_t next, std::uint64_t ahead);
  // What is allocated behind the end is free for others. Nothing more will be written.
  void give_back();

 private:
  AppendFile(Disk& disk, std::string path, OwnedFd fd)
      : disk_{&disk}, path_{std::move(path)}, fd_{std::make_shared<const OwnedFd>(std::move(fd))} {}

  Disk* disk_ = nullptr;
  std::string path_;
  std::shared_ptr<const OwnedFd> fd_;
  std::uint64_t size_ = 0;
  bool torn_ = false;
  std::uint64_t allocated_ = 0;  // Up to this byte, for certain.
};

}  // namespace hsm::audit
