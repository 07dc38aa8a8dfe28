// What lock_down() leaves a process with. It cannot be taken back, so each case runs in a child.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "hsm_signer/base/os.h"
#include "tests/support/child.h"

namespace hsm {
namespace {

constexpr std::size_t kMegabyte = 1 << 20;
constexpr std::size_t kMuch = 64 * kMegabyte;

// "VmSize" or "VmLck", in bytes.
std::size_t memory_of_this_process(const std::string& name) {
  std::ifstream file{"/proc/self/status"};
  for (std::string word; file >> word;) {
    std::size_t kilobytes = 0;
    if (word == name + ":" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

void limit_locked_memory(rlim_t most) {
  const rlimit limit{most, most};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) ::_exit(77);
}

bool can_allocate() {
  auto* const memory = static_cast<char*>(std::malloc(kMuch));
  if (memory == nullptr) return false;
  for (std::size_t at = 0; at < kMuch; at += 4'096) *const_cast<volatile char*>(memory + at) = 1;
  std::free(memory);
  return true;
}

// Locks, and can allocate later; says nothing in the log.
int lock_and_allocate() {
  if (!lock_down(LockMemory::yes)) return 1;
  if (memory_of_this_process("VmLck") < kMegabyte) return 2;
  return can_allocate() ? 0 : 3;
}

// Sanitizers make mlockall() do nothing. g++ tells of them by macros, clang by features.
#if !defined(__has_feature)
#define __has_feature(name) 0
#endif
constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    true;
#else
    false;
#endif

TEST(LockDown, LocksMemoryOfWhoHasTheCapabilityWhateverTheLimit) {
  if (kSanitized || ::geteuid() != 0) GTEST_SKIP() << "needs root, and no sanitizer";
  const Ended ended = in_child([] {
    limit_locked_memory(kMegabyte);
    return lock_and_allocate();
  });
  EXPECT_EQ(ended.status, 0) << ended.said;
  EXPECT_EQ(ended.said, "");
}

}  // namespace
}  // namespace hsm
