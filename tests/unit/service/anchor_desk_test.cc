#include "hsm_signer/service/anchor_desk.h"

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "hsm_signer/audit/merkle.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/faulty_disk.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AnchorDeskTest : public ::testing::Test {
 protected:
  ~AnchorDeskTest() override { let_go(); }

  void open(AnchorAtStart start) {
    desk_.emplace(
        AnchorDesk::Parts{.io = io_,
                          .clock = clock_,
                          .every = std::chrono::minutes{1},
                          .remember = [this](std::uint64_t size) { remembered_.push_back(size); }},
        std::move(start));
  }
  void open() {
    auto file = audit::Anchor::open(path_, audit::AnchorFile::Absent::will_be_made,
                                    std::chrono::seconds{20}, disk_);
    ASSERT_THAT(file, Succeeds());
    open({.file = *std::move(file), .problem = {}, .heads = {}});
  }
  std::string seal(std::uint64_t size) {
    std::string note = key_.note(size, audit::leaf_hash(std::to_string(size)));
    desk_->sealed(note, size);
    return note;
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void run_until_remembered(std::size_t count) {
    run_until([&] { return remembered_.size() == count; });
  }
  void finish() {
    bool ended = false;
    desk_->finish([&] { ended = true; });
    run_until([&] { return ended; });
  }
  // fdatasync waits until let_go().
  void hang() {
    hangs_ = true;
    disk_.on_sync = [this] {
      std::unique_lock lock{mutex_};
      in_sync_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !hangs_; });
    };
  }
  void wait_until_it_hangs() {
    std::unique_lock lock{mutex_};
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds{20}, [this] { return in_sync_; }));
  }
  void let_go() {
    const std::lock_guard lock{mutex_};
    hangs_ = false;
    changed_.notify_all();
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "anchor";
  const audit::TestKey key_;
  FakeClock clock_;
  boost::asio::io_context io_;
  audit::FaultyDisk disk_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
  bool in_sync_ = false;
  std::vector<std::uint64_t> remembered_;
  std::optional<AnchorDesk> desk_;
};

TEST_F(AnchorDeskTest, AnchorsTheFirstThenOneInAWhileThenTheLast) {
  open();
  EXPECT_EQ(desk_->status(), "covers 0 records");
  seal(1);
  run_until_remembered(1);
  for (std::uint64_t size = 2; size <= 60; ++size) {
    clock_.advance(std::chrono::seconds{1});
    seal(size);
  }
  EXPECT_THAT(remembered_, ElementsAre(1U));
  // The log has come to rest: its newest checkpoint becomes due all the same.
  clock_.advance(std::chrono::seconds{1});
  desk_->tick();
  run_until_remembered(2);
  seal(61);
  finish();
  EXPECT_THAT(remembered_, ElementsAre(1U, 60U, 61U));
  EXPECT_EQ(desk_->status(), "covers 61 records");
}

TEST_F(AnchorDeskTest, SaysTheWholeNoteWhereThereIsNoFile) {
  open(AnchorAtStart{});
  ::testing::internal::CaptureStderr();
  const std::string note = seal(7);
  seal(8);
  const std::string said = ::testing::internal::GetCapturedStderr();
  // The line by which docs/audit.md makes the note again.
  const std::size_t at = said.find("anchored: ") + 10;
  std::string line = said.substr(at, said.find('\n') - at);
  for (std::size_t i = 0, from = 0; i < 3; ++i) {
    from = line.find(' ', from);
    line.replace(from, 1, i == 2 ? "\n\n" : "\n");
  }
  EXPECT_EQ(line + "\n", note);
  EXPECT_EQ(said.find("anchored: ", at), std::string::npos);
  bool ended = false;
  desk_->finish([&] { ended = true; });
  EXPECT_TRUE(ended);
  EXPECT_EQ(desk_->status(), "none");
}

TEST_F(AnchorDeskTest, ComplainsOnceAndGoesOnWhenItWorksAgain) {
  open();
  disk_.write_errno = ENOSPC;
  ::testing::internal::CaptureStderr();
  seal(1);
  run_until([&] { return desk_->status() != "covers 0 records"; });
  EXPECT_THAT(desk_->status(), HasSubstr("fails: cannot write the anchor"));
  for (std::uint64_t size = 2; size <= 4; ++size) {
    clock_.advance(std::chrono::minutes{1});
    const int before = disk_.writes;
    seal(size);
    run_until([&] { return disk_.writes > before; });
  }
  disk_.write_errno = 0;
  // Nothing new: the one that failed is tried again.
  clock_.advance(std::chrono::minutes{1});
  run_until([&] {
    desk_->tick();
    return !remembered_.empty();
  });
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(remembered_, ElementsAre(4U));
  EXPECT_EQ(desk_->status(), "covers 4 records");
  const std::size_t first = said.find("anchor_failed: ");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(said.find("anchor_failed: ", first + 1), std::string::npos);
  EXPECT_THAT(said, HasSubstr("anchor_works_again"));
}

TEST_F(AnchorDeskTest, SaysThatAMountHangsAndStopsInSpiteOfIt) {
  open();
  hang();
  ::testing::internal::CaptureStderr();
  seal(1);
  wait_until_it_hangs();
  clock_.advance(std::chrono::seconds{9});
  desk_->tick();
  EXPECT_EQ(desk_->status(), "covers 0 records");
  clock_.advance(std::chrono::seconds{1});
  desk_->tick();
  EXPECT_THAT(desk_->status(), HasSubstr("does not answer"));
  seal(2);
  finish();
  EXPECT_THAT(remembered_, ElementsAre());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("anchor_failed: it does not"));
  let_go();
  run_until_remembered(2);
}

TEST_F(AnchorDeskTest, WaitsAtTheStopForWhatIsBeingWritten) {
  open();
  hang();
  seal(1);
  bool ended = false;
  desk_->finish([&] { ended = true; });
  io_.restart();
  io_.poll();
  EXPECT_FALSE(ended);
  let_go();
  run_until([&] { return ended; });
  EXPECT_THAT(remembered_, ElementsAre(1U));
}

TEST_F(AnchorDeskTest, EndsAStopWhereTheLastOneFails) {
  open();
  disk_.write_errno = EIO;
  seal(1);
  finish();
  EXPECT_THAT(desk_->status(), HasSubstr("fails: "));
}

TEST_F(AnchorDeskTest, TouchesNoFileThatSaidNothingAtTheStart) {
  open({.file = nullptr, .problem = "the anchor is gone", .heads = {}});
  ::testing::internal::CaptureStderr();
  seal(1);
  finish();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("anchored: "));
  EXPECT_EQ(desk_->status(), "lost: the anchor is gone");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace hsm::service
