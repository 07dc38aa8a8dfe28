#include "hsm_signer/service/log_keeper.h"

#include <cerrno>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/full_disk.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMib = 1 << 20;

class LogKeeperTest : public ::testing::Test {
 protected:
  LogKeeper keeper(std::uint64_t low_water) { return {io_, ledger_, *log_, low_water}; }
  // The keeper's warning after a round with so much free.
  std::string with_free(LogKeeper& keeper, std::int64_t bytes) {
    disk_.free = bytes;
    keeper.look();
    return keeper.warning();
  }

  TempDir dir_;
  test::FullDisk disk_;
  FakeClock clock_;
  boost::asio::io_context io_;
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(dir_ / "audit", {}, disk_, {.reserve = 4096});
  Ledger ledger_{io_, clock_, *log_};
};

TEST_F(LogKeeperTest, WarnsBelowTheMarkUntilABitMoreThanTheMarkIsFree) {
  LogKeeper keeper = this->keeper(64 * kMib);
  EXPECT_EQ(with_free(keeper, 64 * kMib), "");
  EXPECT_THAT(with_free(keeper, 64 * kMib - 1), HasSubstr("has 63 MiB left, less than the 64 MiB"));
  EXPECT_THAT(with_free(keeper, 10 * kMib), HasSubstr("has 10 MiB left"));
  EXPECT_NE(with_free(keeper, 65 * kMib), "") << "at the mark it would come and go";
  EXPECT_EQ(with_free(keeper, 72 * kMib), "");
  EXPECT_EQ(with_free(keeper, 65 * kMib), "");
}

TEST_F(LogKeeperTest, SaysItOnceInTheLogOfTheDaemon) {
  LogKeeper keeper = this->keeper(64 * kMib);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) with_free(keeper, kMib);
  for (int i = 0; i < 5; ++i) with_free(keeper, 100 * kMib);
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto times = [&said](std::string_view what) {
    std::size_t count = 0;
    for (std::size_t at = said.find(what); at != std::string::npos; at = said.find(what, at + 1))
      ++count;
    return count;
  };
  EXPECT_EQ(times("audit_disk_filling"), 1U) << said;
  EXPECT_EQ(times("audit_disk_fine"), 1U) << said;
  EXPECT_THAT(said, HasSubstr("has 1 MiB left"));
}

TEST_F(LogKeeperTest, SaysNothingWhereItIsNotAskedToOrCannotTell) {
  LogKeeper silent = keeper(0);
  EXPECT_EQ(with_free(silent, 0), "");
  LogKeeper blind = keeper(64 * kMib);
  EXPECT_EQ(with_free(blind, -1), "");
}

TEST_F(LogKeeperTest, LooksAtTheRealDisk) {
  LogKeeper keeper = this->keeper(std::uint64_t{1} << 50);
  keeper.look();
  EXPECT_THAT(keeper.warning(), HasSubstr("less than the 1073741824 MiB"));
}

TEST_F(LogKeeperTest, PutsALogThatOnlyCancelsFirstAndLooksForSpaceForIt) {
  LogKeeper keeper = this->keeper(64 * kMib);
  disk_.low = true;
  for (int i = 0; i < 100 && !log_->low(); ++i) {
    ledger_.event(audit::Record::stop("i", "fills the log"));
    ledger_.flush();
  }
  EXPECT_THAT(with_free(keeper, 0), HasSubstr("kept for cancels"));
  disk_.low = false;
  clock_.advance(std::chrono::seconds{10});
  EXPECT_EQ(with_free(keeper, 100 * kMib), "");
  EXPECT_FALSE(log_->low());
}

}  // namespace
}  // namespace hsm::service
