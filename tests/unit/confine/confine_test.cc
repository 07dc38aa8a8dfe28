// What cannot be taken back is tried in a child.
#include "hsm_signer/confine/confine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "tests/support/child.h"

namespace hsm::confine {
namespace {

Confinement small(Violation violation) {
  Confinement confinement;
  confinement.calls = {Calls::core, Calls::files, Calls::further, Calls::new_code};
  confinement.violation = violation;
  return confinement;
}

class Confine : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_built_to_confine()) GTEST_SKIP() << "a build with a sanitizer confines nothing";
  }
};

TEST_F(Confine, RefusesAProcessThatHasThreadsAlready) {
  const Ended ended = in_child([] {
    std::thread other{[] { ::pause(); }};
    const auto confined = confine(small(Violation::fatal));
    const bool refused = !confined && confined.error().what == "confined too late";
    ::_exit(refused ? 0 : 1);  // The other thread is still there.
    return 2;
  });
  EXPECT_EQ(ended.status, 0) << ended.said;
}

TEST_F(Confine, HoldsForThreadsThatStartLater) {
  const Ended ended = in_child([] {
    if (!confine(small(Violation::fatal))) return 1;
    std::thread later{[] { ::socket(AF_UNIX, SOCK_STREAM, 0); }};
    later.join();
    return 2;
  });
  EXPECT_EQ(ended.status, 128 + SIGSYS) << ended.said;
}

TEST_F(Confine, SaysEachCallOnceHoweverOftenItIsTried) {
  const Ended ended = in_child([] {
    if (!confine(small(Violation::loud))) return 1;
    for (int i = 0; i < 1'000; ++i) {
      if (::socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM) return 2;
      if (::syscall(SYS_getpriority, 0, 0) != -1 || errno != EPERM) return 3;
    }
    return 0;
  });
  EXPECT_EQ(ended.status, 0) << ended.said;
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = ended.said.find("confinement_violation", at)) != ended.said.npos;
       ++at)
    ++lines;
  EXPECT_EQ(lines, 2U) << ended.said;
}

TEST_F(Confine, LetsCodeBeLoadedUntilItIsForbidden) {
  const auto map_code = [] {
    return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
  };
  const Ended ended = in_child([&] {
    if (!confine(small(Violation::fatal)) || !map_code()) return 1;
    if (!forbid_new_code(Violation::fatal)) return 2;
    map_code();
    return 3;
  });
  EXPECT_EQ(ended.status, 128 + SIGSYS) << ended.said;
}

TEST_F(Confine, LetsAProcessAbortItself) {
  const Ended ended = in_child([] {
    if (!confine(small(Violation::fatal))) return 1;
    std::abort();
  });
  EXPECT_EQ(ended.status, 128 + SIGABRT) << ended.said;
}

// Numbers of another architecture: int 0x80 would open whatever the i386 table has there.
#if defined(__x86_64__)
TEST_F(Confine, TakesNoCallsOfAnotherArchitecture) {
  const Ended ended = in_child([] {
    if (!confine(small(Violation::loud))) return 1;
    long answer = 20;  // getpid of i386.
    asm volatile("int $0x80" : "+a"(answer) : : "memory");
    return 2;
  });
  // A kernel without CONFIG_IA32_EMULATION raises SIGSEGV instead.
  EXPECT_TRUE(ended.status == 128 + SIGSYS || ended.status == 128 + SIGSEGV) << ended.status;
}

TEST_F(Confine, TakesNoX32Calls) {
  const Ended ended = in_child([] {
    if (!confine(small(Violation::loud))) return 1;
    ::syscall(0x40000000 | SYS_getpid);
    return 2;
  });
  EXPECT_EQ(ended.status, 128 + SIGSYS) << ended.said;
}
#endif

}  // namespace
}  // namespace hsm::confine
