#include "hsm_signer/service/ledger.h"

#include <cerrno>
#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

using ::testing::ElementsAre;

// Fails when told to, in the way the kernel does.
class FailingDisk final : public audit::Disk {
 public:
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    ++writes_tried;
    if (full) {
      errno = ENOSPC;
      return -1;
    }
    ++writes;
    return audit::Disk::write(fd, bytes, size);
  }
  int fdatasync(int fd) override {
    if (broken) {
      errno = EIO;
      return -1;
    }
    return audit::Disk::fdatasync(fd);
  }
  int fallocate(int fd, off_t offset, off_t size) override {
    ++allocations;
    if (!low) return audit::Disk::fallocate(fd, offset, size);
    errno = ENOSPC;
    return -1;
  }
  bool full = false;
  bool low = false;
  int allocations = 0;
  std::atomic<bool> broken = false;
  int writes = 0;
  int writes_tried = 0;
};

audit::Record a_record(std::uint64_t count, Durability durability) {
  audit::Record record = audit::Record::sign(1000, 1000, 42);
  record.verdict = audit::Verdict::allow;
  record.key = "k";
  record.version = 1;
  record.api_key_id = "account-k";
  record.op = "sign_request";
  record.client = "bot";
  record.endpoint = "/v1/balances";
  record.endpoint_class = "read";
  record.payload_sha256 = std::string(64, 'a');
  record.rule = "all";
  record.nonce = std::to_string(1'000 + count);
  record.worker = 9;
  record.worker_counter = count;
  record.signature_sha256 = std::string(64, 'b');
  record.durability = durability;
  return record;
}

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest()
      : log_{*audit::Log::open(dir_ / "audit", {}, disk_, {.reserve = 4096})},
        ledger_{io_, clock_, *log_} {}

  // Remembers in which order answers were let go, and how.
  Ledger::Release release(int name) {
    return [this, name](const Result<std::uint64_t>& sequence) {
      order_.push_back(name);
      last_ = sequence;
    };
  }
  void allow(int name, Durability durability, std::uint32_t lane = 1) {
    ledger_.allow(a_record(++count_, durability), lane, release(name));
  }
  void refuse(uid_t uid) {
    audit::Record refusal = audit::Record::sign(uid, uid, 42);
    refusal.code = "denied";
    refusal.sentence = "no rule";
    ledger_.refuse(std::move(refusal));
  }
  // As verifying counts them.
  std::uint64_t refused_in_log() {
    std::uint64_t refused = 0;
    log_.reset();
    EXPECT_THAT(audit::Log::open(dir_ / "audit",
                                 [&](const audit::Record& record) {
                                   if (record.kind == audit::Kind::refusals)
                                     refused += record.count;
                                   else if (!record.code.empty())
                                     ++refused;
                                 }),
                Succeeds());
    return refused;
  }
  // Orders that are under way when it gets low: each is written.
  void lower_disk() {
    disk_.low = true;
    for (int i = 0; i < 100 && !log_->low(); ++i) {
      allow(0, Durability::os);
      ledger_.flush();
      EXPECT_THAT(last_, Succeeds());
    }
    ASSERT_TRUE(log_->low().has_value());
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }

  TempDir dir_;
  FailingDisk disk_;
  FakeClock clock_;
  boost::asio::io_context io_;
  // Without it the loop ends while an answer is still on another thread.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::unique_ptr<audit::Log> log_;
  Ledger ledger_;
  std::vector<int> order_;
  Result<std::uint64_t> last_ = fail(Code::internal, "nothing yet");
  std::uint64_t count_ = 0;
};

TEST_F(LedgerTest, LetsAnOsAnswerGoAfterTheWriteAndNotBefore) {
  allow(1, Durability::os);
  EXPECT_THAT(order_, ElementsAre());
  ledger_.flush();
  EXPECT_THAT(order_, ElementsAre(1));
  EXPECT_EQ(last_.value(), 1U);
}

TEST_F(LedgerTest, WritesOnceForAllOfATurn) {
  for (int i = 0; i < 50; ++i) allow(i, Durability::os);
  ledger_.flush();
  EXPECT_EQ(disk_.writes, 1);
  EXPECT_EQ(order_.size(), 50U);
}

TEST_F(LedgerTest, LetsAnFsyncAnswerGoOnlyWhenItIsOnDisk) {
  allow(1, Durability::fsync);
  ledger_.flush();
  EXPECT_THAT(order_, ElementsAre());
  run_until([this] { return !order_.empty(); });
  EXPECT_EQ(log_->durable_size(), 1U);
}

TEST_F(LedgerTest, HoldsAnOsAnswerBehindAnFsyncOneOfTheSameKey) {
  allow(1, Durability::fsync, 5);
  allow(2, Durability::os, 5);
  allow(3, Durability::os, 6);
  ledger_.flush();
  EXPECT_THAT(order_, ElementsAre(3)) << "another key need not wait";
  run_until([this] { return order_.size() == 3; });
  EXPECT_THAT(order_, ElementsAre(3, 1, 2));
}

TEST_F(LedgerTest, RefusesWhatCouldNotBeWrittenAndSaysSoUntilAWriteWorks) {
  disk_.full = true;
  allow(1, Durability::os);
  ledger_.flush();
  EXPECT_THAT(last_, ErrorIs(Code::audit_unavailable));
  ASSERT_TRUE(ledger_.blocked().has_value());
  disk_.full = false;
  ledger_.refuse(audit::Record::sign(1000, 1000, 42));
  ledger_.flush();
  // A refusal without code or sentence is malformed; a whole one is the probe.
  audit::Record refusal = audit::Record::sign(1000, 1000, 42);
  refusal.code = "audit_unavailable";
  refusal.sentence = "the disk is full";
  ledger_.refuse(std::move(refusal));
  ledger_.flush();
  EXPECT_FALSE(ledger_.blocked().has_value());
  allow(2, Durability::os);
  ledger_.flush();
  EXPECT_THAT(last_, Succeeds());
}

TEST_F(LedgerTest, SignsNothingMoreAfterAFailedSync) {
  disk_.broken = true;
  allow(1, Durability::fsync);
  ledger_.flush();
  run_until([this] { return !order_.empty(); });
  EXPECT_THAT(last_, ErrorIs(Code::audit_unavailable));
  disk_.broken = false;
  EXPECT_TRUE(ledger_.blocked().has_value()) << "no later success tells what is on disk";
  allow(2, Durability::os);
  ledger_.flush();
  EXPECT_THAT(last_, ErrorIs(Code::audit_unavailable));
}

TEST_F(LedgerTest, WritesRefusalsOfOneUidUpToARateAndCountsTheRest) {
  for (int i = 0; i < 1000; ++i) refuse(1000);
  ledger_.flush();
  EXPECT_EQ(log_->size(), 200U);
  refuse(1001);
  ledger_.flush();
  EXPECT_EQ(log_->size(), 201U) << "another uid has its own share";
  ledger_.tell_refusals();
  EXPECT_EQ(log_->size(), 202U);
  ledger_.tell_refusals();
  EXPECT_EQ(log_->size(), 202U) << "nothing is told twice";
  EXPECT_EQ(refused_in_log(), 1001U);
}

// A minute of a flood: what it adds to the log, and that none of it is lost.
TEST_F(LedgerTest, LetsAFloodGrowTheLogByItsRateAndARecordEachTenSeconds) {
  constexpr int kSeconds = 60;
  constexpr int kAsked = 2000;
  for (int second = 1; second <= kSeconds; ++second) {
    for (int i = 0; i < kAsked; ++i) refuse(1000);
    ledger_.flush();
    clock_.advance(std::chrono::seconds{1});
    if (second % 10 == 0) ledger_.tell_refusals();
  }
  EXPECT_LE(log_->size(), 200U + 50U * kSeconds + kSeconds / 10);
  EXPECT_EQ(refused_in_log(), std::uint64_t{kSeconds} * kAsked);
}

TEST_F(LedgerTest, CountsTheRefusalsThatCouldNotBeWrittenAndTellsThemAfterwards) {
  disk_.full = true;
  for (int i = 0; i < 30; ++i) {
    refuse(1000);
    ledger_.flush();
  }
  ledger_.tell_refusals();
  EXPECT_EQ(log_->size(), 0U);
  disk_.full = false;
  refuse(1000);
  ledger_.flush();
  ledger_.tell_refusals();
  EXPECT_EQ(log_->size(), 2U);
  EXPECT_EQ(refused_in_log(), 31U);
}

TEST_F(LedgerTest, CountsARefusalWhoseRecordCannotBeMade) {
  audit::Record without_sentence = audit::Record::sign(1000, 1000, 42);
  without_sentence.code = "denied";
  ledger_.refuse(std::move(without_sentence));
  ledger_.tell_refusals();
  EXPECT_EQ(refused_in_log(), 1U);
}

TEST_F(LedgerTest, KeepsCountsThatCouldNotBeTold) {
  for (int i = 0; i < 300; ++i) refuse(1000);
  ledger_.flush();
  disk_.full = true;
  ledger_.tell_refusals();
  disk_.full = false;
  ledger_.event(audit::Record::start("0011223344556677"));
  ledger_.tell_refusals();
  EXPECT_EQ(refused_in_log(), 300U);
}

TEST_F(LedgerTest, TellsCountsOfALowLogWhenItIsNotOrAtTheStop) {
  lower_disk();
  const std::uint64_t before = log_->size();
  for (int i = 0; i < 50; ++i) refuse(1000);
  ledger_.tell_refusals();
  EXPECT_EQ(log_->size(), before);
  ledger_.tell_refusals(Ledger::EvenLow::yes);
  EXPECT_EQ(log_->size(), before + 1);
  for (int i = 0; i < 50; ++i) refuse(1000);
  disk_.low = false;
  clock_.advance(std::chrono::seconds{10});
  ledger_.look_for_space();
  ledger_.tell_refusals();
  EXPECT_EQ(refused_in_log(), 100U);
}

TEST_F(LedgerTest, IsOpenToCancelsAndHeartbeatsAloneWhileTheDiskIsLow) {
  using venue::Class;
  constexpr std::array kEvery{Class::read,  Class::cancel, Class::trade,  Class::move,
                              Class::widen, Class::admin,  Class::session};
  for (const Class cls : kEvery) EXPECT_FALSE(ledger_.closed_to(cls)) << name(cls);
  lower_disk();
  for (const Class cls : kEvery) {
    const auto closed = ledger_.closed_to(cls);
    const bool open = cls == Class::cancel || cls == Class::session;
    ASSERT_EQ(closed.has_value(), !open) << name(cls);
    if (open) continue;
    EXPECT_THAT(Result<void>{fail(*closed)},
                ErrorIs(Code::audit_unavailable, ::testing::HasSubstr("kept for cancels")));
  }
  EXPECT_FALSE(ledger_.blocked()) << "a panic signs";
}

TEST_F(LedgerTest, WritesNoRefusalIntoTheReserve) {
  lower_disk();
  const std::uint64_t before = log_->size();
  for (int i = 0; i < 50; ++i) refuse(1000);
  ledger_.flush();
  EXPECT_EQ(log_->size(), before);
  allow(1, Durability::os);
  ledger_.flush();
  EXPECT_EQ(log_->size(), before + 1);
}

TEST_F(LedgerTest, LooksForSpaceOnceASecondAndGoesOnWithoutARestart) {
  lower_disk();
  clock_.advance(std::chrono::seconds{1});
  const int before = disk_.allocations;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(ledger_.closed_to(venue::Class::trade));
  EXPECT_EQ(disk_.allocations, before + 1);
  disk_.low = false;
  EXPECT_TRUE(ledger_.closed_to(venue::Class::trade)) << "the second is not over";
  clock_.advance(std::chrono::seconds{1});
  EXPECT_FALSE(ledger_.closed_to(venue::Class::trade));
  refuse(1000);
  const std::uint64_t size = log_->size();
  ledger_.flush();
  EXPECT_EQ(log_->size(), size + 1);
}

// The reserve is used up, and a little space comes back: too little for a new reserve, enough for
// cancels.
TEST_F(LedgerTest, FindsOutOnceASecondThatCancelsCanBeWrittenAgain) {
  lower_disk();
  disk_.full = true;
  allow(1, Durability::os);
  ledger_.flush();
  EXPECT_TRUE(ledger_.closed_to(venue::Class::cancel));
  clock_.advance(std::chrono::seconds{1});
  const int tries = disk_.writes_tried;
  for (int i = 0; i < 100; ++i) {
    refuse(1000);
    ledger_.flush();
  }
  EXPECT_EQ(disk_.writes_tried, tries + 1);
  EXPECT_TRUE(ledger_.closed_to(venue::Class::cancel));
  disk_.full = false;
  clock_.advance(std::chrono::seconds{1});
  refuse(1000);
  ledger_.flush();
  EXPECT_FALSE(ledger_.closed_to(venue::Class::cancel));
  EXPECT_TRUE(ledger_.closed_to(venue::Class::trade));
}

TEST_F(LedgerTest, TellsWhenEverythingSoFarIsOnDisk) {
  ledger_.event(audit::Record::start("0011223344556677"));
  bool done = false;
  ledger_.when_durable([&](const Result<void>& durable) { done = durable.has_value(); });
  run_until([&] { return done; });
  EXPECT_EQ(log_->durable_size(), 1U);
}

}  // namespace
}  // namespace hsm::service
