// A disk that writes down what a log asked of it, in order, so that a test can tell what a power
// cut at any moment might have left. Its own syncs are only written down.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/audit/disk.h"

namespace hsm::audit {

// `file` is an inode's, whatever its name. A sync covers what came before its `begun`: another
// thread may have written while it ran.
struct DiskOp {
  enum class What { create, unlink, write, truncate, sync, sync_names, answer };
  What what{};
  int file = -1;
  std::string text{};     // create, unlink: name in the directory; write: the bytes.
  std::uint64_t at = 0;   // write: offset; truncate: size; answer: sequence.
  std::size_t begun = 0;  // sync, sync_names: how many operations there were when it began.
};

class RecordingDisk final : public Disk {
 public:
  using What = DiskOp::What;

  int open(const char* path, int flags, mode_t mode) override {
    const bool existed = ::access(path, F_OK) == 0;
    if (refuse_new_files && !existed) return refuse();
    const int fd = Disk::open(path, flags, mode);
    const std::lock_guard lock{mutex_};
    if (fd < 0) return fd;
    const std::string name = base_name(path);
    if (!existed) {
      names_[name] = static_cast<int>(sizes_.size());
      sizes_.push_back(0);
      add({.what = What::create, .file = names_[name], .text = name});
    }
    files_[fd] = names_.at(name);
    return fd;
  }
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    if (full && !short_write) return refuse();
    const ssize_t written =
        Disk::write(fd, bytes, short_write ? std::min(*short_write, size) : size);
    const std::lock_guard lock{mutex_};
    if (written <= 0) return written;
    const int file = files_.at(fd);
    const auto count = static_cast<std::size_t>(written);
    add({.what = What::write,
         .file = file,
         .text = {static_cast<const char*>(bytes), count},
         .at = sizes_[static_cast<std::size_t>(file)]});
    sizes_[static_cast<std::size_t>(file)] += count;
    return written;
  }
  int ftruncate(int fd, off_t size) override {
    const int done = Disk::ftruncate(fd, size);
    const std::lock_guard lock{mutex_};
    const int file = files_.at(fd);
    add({.what = What::truncate, .file = file, .at = static_cast<std::uint64_t>(size)});
    sizes_[static_cast<std::size_t>(file)] = static_cast<std::uint64_t>(size);
    return done;
  }
  int fdatasync(int fd) override {
    std::size_t begun = 0;
    int file = -1;
    {
      const std::lock_guard lock{mutex_};
      begun = ops_.size();
      file = files_.at(fd);
    }
    const std::lock_guard lock{mutex_};
    add({.what = What::sync, .file = file, .begun = begun});
    return 0;
  }
  // Of the directory.
  int fsync(int) override {
    const std::lock_guard lock{mutex_};
    add({.what = What::sync_names, .begun = ops_.size()});
    return 0;
  }
  int unlink(const char* path) override {
    const int done = Disk::unlink(path);
    const std::lock_guard lock{mutex_};
    const std::string name = base_name(path);
    add({.what = What::unlink, .file = names_.at(name), .text = name});
    names_.erase(name);
    return done;
  }
  int fallocate(int fd, off_t offset, off_t size) override {
    return no_reserve ? refuse() : Disk::fallocate(fd, offset, size);
  }
  // An answer left, durably recorded as it says.
  void answered(std::uint64_t sequence, std::string nonce) {
    const std::lock_guard lock{mutex_};
    add({.what = What::answer, .text = std::move(nonce), .at = sequence});
  }
  // Once nothing runs any more.
  const std::vector<DiskOp>& ops() const { return ops_; }

  bool full = false;
  std::optional<std::size_t> short_write;
  bool refuse_new_files = false;
  bool no_reserve = false;

 private:
  static int refuse() {
    errno = ENOSPC;
    return -1;
  }
  static std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }
  void add(DiskOp op) { ops_.push_back(std::move(op)); }

  std::mutex mutex_;
  std::vector<DiskOp> ops_;
  std::map<std::string, int> names_;
  std::map<int, int> files_;  // By descriptor.
  std::vector<std::uint64_t> sizes_;
};

}  // namespace hsm::audit
