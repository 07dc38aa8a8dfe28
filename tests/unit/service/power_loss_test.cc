// Power loss: a real log and ledger sign over many segments, with failures in between, and what
// they asked of the disk is written down. Then the power is cut after each operation, the directory
// is made as a disk may have it, and the log is opened on that.
#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <filesystem>
#include <set>

#include "hsm_signer/audit/verify.h"
#include "hsm_signer/service/ledger.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/power_cut.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using audit::Kept;
using audit::PowerCut;

// Some six records a segment.
constexpr audit::Rotation kSmall{.bytes = 4096, .reserve = 16384};

class Signing {
 public:
  // Signs up to so many requests, in turns of one to four; seals now and then. Stretches with
  // durability os, which nothing makes durable but a new segment, lie between those with fsync.
  void sign(std::uint64_t requests) {
    while (made_ < requests) {
      const std::uint64_t turn = made_ % 4 + 1;
      for (std::uint64_t i = 0; i < turn; ++i) allow();
      if (made_ % 11 == 0) ledger_.refuse(audit::refuse_record());
      ledger_.flush();
      if (made_ % 5 == 0) settle();
      if (made_ % 13 == 0) seal();
    }
    settle();
    seal();
  }
  // Waits for each answer that waits for the disk.
  void settle() {
    for (int i = 0; i < 5000 && waiting_ > 0; ++i) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds{1});
    }
    ASSERT_EQ(waiting_, 0);
  }
  audit::RecordingDisk& disk() { return disk_; }
  const std::vector<audit::DiskOp>& ops() const { return disk_.ops(); }
  const audit::TestKey& key() const { return key_; }
  std::uint64_t segments() const { return log_->segment(); }

 private:
  void allow() {
    ++made_;
    audit::Record record = audit::allow_record(1000 + made_, made_);
    record.durability = made_ / 10 % 2 == 0 ? Durability::os : Durability::fsync;
    ++waiting_;
    ledger_.allow(record, 1,
                  [this, nonce = record.nonce, durable = record.durability == Durability::fsync](
                      const Result<std::uint64_t>& sequence) {
                    --waiting_;
                    if (sequence && durable) disk_.answered(*sequence, nonce);
                  });
  }
  void seal() {
    bool sealed = false;
    ledger_.when_durable([&](const Result<void>& durable) {
      sealed = true;
      if (!durable) return;
      const audit::Head head = ledger_.head();
      (void)ledger_.add_checkpoint(key_.note(head.size, head.root));
    });
    for (int i = 0; i < 5000 && !sealed; ++i) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds{1});
    }
  }

  TempDir dir_;
  audit::RecordingDisk disk_;
  audit::TestKey key_;
  FakeClock clock_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {}, disk_, kSmall);
  Ledger ledger_{io_, clock_, *log_};
  std::uint64_t made_ = 0;
  int waiting_ = 0;
};

// The directory as a power cut left it, with a start on it.
class Afterwards {
 public:
  explicit Afterwards(const audit::TestKey& key) : key_{key} {
    std::filesystem::create_directory(at_);
    std::filesystem::permissions(at_, std::filesystem::perms{0700});
  }

  // Why this start is not as it should be; empty: it is.
  std::string start_on(const PowerCut::Files& files,
                       const std::map<std::uint64_t, std::string>& answers) {
    put(files);
    std::map<std::uint64_t, std::string> nonces;
    auto log = audit::Log::open(
        at_, [&](const audit::Record& record) { nonces[record.seq] = record.nonce; }, disk_,
        {.reserve = 0});
    if (!log) return "does not start: " + log.error().sentence();
    for (const auto& [sequence, nonce] : answers) {
      if (nonces[sequence] != nonce)
        return "record " + std::to_string(sequence) + " of an answer that left is gone";
    }
    audit::Record start = audit::start_record();
    start.cut_bytes = (*log)->recovered().cut_bytes;
    audit::write_records(**log, {start});
    audit::seal_head(**log, key_);
    log->reset();
    const auto verified = audit::verify_directory(at_, key_.public_pem());
    if (!verified) return verified.error().sentence();
    const Result<void> verdict = audit::verdict(*verified);
    return verdict ? std::string{} : verdict.error().sentence();
  }

 private:
  struct Unsynced final : audit::Disk {
    int fdatasync(int) override { return 0; }
    int fsync(int) override { return 0; }
  };
  void put(const PowerCut::Files& files) {
    for (const auto& entry : std::filesystem::directory_iterator(at_))
      if (!files.contains(entry.path().filename().string())) std::filesystem::remove(entry.path());
    for (const auto& [name, content] : files) {
      const std::string path = at_ + "/" + name;
      // Sealed segments are alike from one cut to the next.
      if (std::filesystem::exists(path) && audit::slurp(path) == content) continue;
      audit::spit(path, content);
    }
  }

  TempDir dir_;
  const std::string at_ = dir_ / "audit";
  const audit::TestKey& key_;
  Unsynced disk_;
};

// Cuts the power after each operation, in every way.
void expect_every_start_to_be_well(const Signing& signing) {
  Afterwards afterwards{signing.key()};
  std::set<std::pair<PowerCut::Files, std::size_t>> seen;
  int wrong = 0;
  for (std::size_t count = 0; count <= signing.ops().size(); ++count) {
    const PowerCut cut{signing.ops(), count};
    for (const Kept names : {Kept::nothing, Kept::everything, Kept::half_the_operations}) {
      for (const Kept segments : audit::kEveryKept) {
        for (const Kept checkpoints : audit::kEveryKept) {
          auto files = cut.left(names, segments, checkpoints);
          if (!seen.emplace(files, cut.answers().size()).second) continue;
          const std::string why = afterwards.start_on(files, cut.answers());
          if (why.empty()) continue;
          ADD_FAILURE() << "after operation " << count << " of " << signing.ops().size()
                        << ", of names " << static_cast<int>(names) << ", segments "
                        << static_cast<int>(segments) << ", checkpoints "
                        << static_cast<int>(checkpoints) << ": " << why;
          if (++wrong == 10) return;
        }
      }
    }
  }
  std::printf("%zu operations, %zu unlike directories\n", signing.ops().size(), seen.size());
}

TEST(PowerLoss, LosesNoAnswerThatLeftWithFsync) {
  Signing signing;
  signing.sign(200);
  EXPECT_GT(signing.segments(), 20U);
  expect_every_start_to_be_well(signing);
}

TEST(PowerLoss, LosesNoneWhereWritesFailedMeanwhile) {
  Signing signing;
  signing.sign(10);
  signing.disk().full = true;
  signing.sign(13);
  signing.disk().short_write = 900;
  signing.sign(20);
  signing.disk().short_write = 1;
  signing.sign(23);
  signing.disk().full = false;
  signing.disk().short_write.reset();
  signing.sign(60);
  expect_every_start_to_be_well(signing);
}

TEST(PowerLoss, LosesNoneWhereNoSegmentCouldBeBegun) {
  Signing signing;
  signing.sign(4);
  signing.disk().refuse_new_files = true;
  signing.sign(40);
  EXPECT_EQ(signing.segments(), 1U);
  expect_every_start_to_be_well(signing);
}

// The segment that has to be taken back must not come back.
TEST(PowerLoss, LosesNoneWhereASegmentCouldNotHaveItsReserve) {
  Signing signing;
  signing.sign(4);
  signing.disk().no_reserve = true;
  signing.sign(40);
  EXPECT_EQ(signing.segments(), 1U);
  EXPECT_TRUE(std::ranges::any_of(signing.ops(), [](const audit::DiskOp& op) {
    return op.what == audit::DiskOp::What::unlink;
  }));
  expect_every_start_to_be_well(signing);
}

}  // namespace
}  // namespace hsm::service
