#include "hsm_signer/token/rates.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;

constexpr off_t kTableSize = 8 + 4'096 * 16;

void make_sparse(const std::string& path) {
  const OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  ASSERT_EQ(::ftruncate(fd.get(), kTableSize), 0);
}

class RateTable : public ::testing::Test {
 protected:
  Rates open() { return *Rates::open(path_); }
  // How many are let through at one instant.
  int burst(Rates& rates, std::string_view label, std::uint32_t per_second) {
    int taken = 0;
    while (taken < 1'000 && rates.take(label, per_second, clock_.steady())) ++taken;
    return taken;
  }
  TempDir dir_;
  std::string path_ = dir_ / "rates";
  FakeClock clock_;
};

TEST_F(RateTable, AllowsASecondsWorthAtOnceAndThenTheRate) {
  Rates rates = open();
  EXPECT_EQ(burst(rates, "a.v1", 50), 50);
  clock_.advance(100ms);
  EXPECT_EQ(burst(rates, "a.v1", 50), 5);
  clock_.advance(10s);
  EXPECT_EQ(burst(rates, "a.v1", 50), 50);
}

TEST_F(RateTable, SaysWhenToComeBack) {
  Rates rates = open();
  ASSERT_EQ(burst(rates, "a.v1", 4), 4);
  const auto refused = rates.take("a.v1", 4, clock_.steady());
  ASSERT_THAT(refused, ErrorIs(Code::rate_limited));
  EXPECT_EQ(refused.error().retry_after_ms, 250U);
  clock_.advance(249ms);
  EXPECT_THAT(rates.take("a.v1", 4, clock_.steady()), ErrorIs(Code::rate_limited));
  clock_.advance(1ms);
  EXPECT_THAT(rates.take("a.v1", 4, clock_.steady()), Succeeds());
}

TEST_F(RateTable, CountsEachLabelForItself) {
  Rates rates = open();
  EXPECT_EQ(burst(rates, "a.v1", 10), 10);
  EXPECT_EQ(burst(rates, "b.v1", 10), 10);
}

TEST_F(RateTable, IsSharedByEveryProcessThatOpensIt) {
  Rates rates = open();
  const Ended ended = in_child([this] {
    Rates own = open();
    return burst(own, "a.v1", 10);
  });
  EXPECT_EQ(ended.status, 10) << ended.said;
  EXPECT_EQ(burst(rates, "a.v1", 10), 0);
}

TEST_F(RateTable, GivesNoFreshAllowanceToARestartedProcess) {
  {
    Rates rates = open();
    ASSERT_EQ(burst(rates, "a.v1", 10), 10);
  }
  Rates rates = open();
  EXPECT_EQ(burst(rates, "a.v1", 10), 0);
}

TEST_F(RateTable, RecoversWhenTheMachinesClockStartedAnew) {
  Rates rates = open();
  ASSERT_EQ(burst(rates, "a.v1", 10), 10);
  FakeClock fresh_boot;
  fresh_boot.advance(-30min);
  EXPECT_THAT(rates.take("a.v1", 10, fresh_boot.steady()), ErrorIs(Code::rate_limited))
      << "a reboot gives no allowance";
  fresh_boot.advance(100ms);
  EXPECT_THAT(rates.take("a.v1", 10, fresh_boot.steady()), Succeeds())
      << "the key waits for the old clock";
}

TEST_F(RateTable, RefusesADamagedFile) {
  std::ofstream{path_} << "not a table";
  EXPECT_THAT(Rates::open(path_), ErrorIs(Code::internal));
  std::ofstream{path_} << std::string(8 + 4'096 * 16, 'x');
  EXPECT_THAT(Rates::open(path_), ErrorIs(Code::internal));
}

TEST_F(RateTable, HasItsWholeFileOnTheDiskBeforeItIsMapped) {
  for (const bool sparse : {false, true}) {
    if (sparse) {
      ASSERT_EQ(::unlink(path_.c_str()), 0);
      make_sparse(path_);
    }
    const Rates rates = open();
    struct stat status {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_size, kTableSize);
    EXPECT_GE(status.st_blocks * 512, status.st_size) << "the first touch of a hole may be SIGBUS";
  }
}

TEST_F(RateTable, SaysThatTheDiskIsFull) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small disk";
  const std::string disk = dir_ / "disk";
  ASSERT_EQ(::mkdir(disk.c_str(), 0700), 0);
  constexpr int kCannotMount = 77;
  for (const bool sparse : {false, true}) {
    // In a mount namespace of its own: the disk goes with the child.
    const Ended ended = in_child([&] {
      if (::unshare(CLONE_NEWNS) != 0 ||
          ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("none", disk.c_str(), "tmpfs", 0, "size=16k") != 0)
        return kCannotMount;
      if (sparse) make_sparse(disk + "/rates");
      auto rates = Rates::open(disk + "/rates");
      if (rates) {
        for (int i = 0; i < 4'096; ++i)
          static_cast<void>(rates->take("k" + std::to_string(i), 10, clock_.steady()));
        return 1;
      }
      const std::string sentence = rates.error().sentence();
      return sentence.find("No space left on device") != std::string::npos ? 0 : 2;
    });
    if (ended.status == kCannotMount) GTEST_SKIP() << "cannot mount a tmpfs";
    EXPECT_EQ(ended.status, 0) << ended.said;
  }
}

TEST_F(RateTable, RefusesMoreLabelsThanItHolds) {
  Rates rates = open();
  for (int i = 0; i < 4'096; ++i)
    ASSERT_THAT(rates.take("k" + std::to_string(i), 10, clock_.steady()), Succeeds());
  EXPECT_THAT(rates.take("one-more", 10, clock_.steady()), ErrorIs(Code::overloaded));
  EXPECT_THAT(rates.take("k17", 10, clock_.steady()), Succeeds());
}

}  // namespace
}  // namespace hsm::token
