#include "tests/fault_module/struck.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace hsm::test::fault {
namespace {

bool is_before(const timespec& a, const timespec& b) {
  return std::pair{a.tv_sec, a.tv_nsec} < std::pair{b.tv_sec, b.tv_nsec};
}

}  // namespace

void Struck::begin(const timespec& when) {
  counts_.clear();
  since_ = when;
  append("");
}

void Struck::count(const std::string& text) {
  const std::uint64_t count = ++counts_[text];
  if (std::has_single_bit(count)) append(text + ' ' + std::to_string(count) + '\n');
}

// Opened each time, for a test may remove it. Under a lock, so that nobody empties what another
// process has just written of the same plan.
void Struck::append(const std::string& line) const {
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat now {};
  const bool done = fd >= 0 && ::flock(fd, LOCK_EX) == 0 && ::fstat(fd, &now) == 0 &&
                    (!is_before(now.st_mtim, since_) || ::ftruncate(fd, 0) == 0) &&
                    ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (!done) {  // A test that waits for it would wait for nothing.
    std::fprintf(stderr, "fault_module: cannot write %s\n", path_.c_str());
    std::_Exit(99);
  }
  ::close(fd);
}

}  // namespace hsm::test::fault
