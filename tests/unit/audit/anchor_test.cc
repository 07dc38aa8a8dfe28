#include "hsm_signer/audit/anchor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

#include "hsm_signer/audit/merkle.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/faulty_disk.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Absent = AnchorFile::Absent;

// Of a log with as many records; what they are does not matter here.
std::string note_over(const TestKey& key, std::uint64_t size) {
  return key.note(size, leaf_hash(std::to_string(size)));
}

class AnchorFileTest : public ::testing::Test {
 protected:
  Result<AnchorFile> open(Absent absent = Absent::will_be_made) {
    return AnchorFile::open(path_, absent, disk_);
  }
  std::string note(std::uint64_t size) const { return note_over(key_, size); }
  void write(const std::string& text) const { spit(path_, text); }

  const TempDir dir_;
  const std::string path_ = dir_ / "anchor";
  const TestKey key_;
  // A thread that was left behind has done with it before the test ends, by a lock of the kernel's,
  // which ThreadSanitizer does not see.
  static std::vector<std::unique_ptr<FaultyDisk>>& every_disk() {
    static auto& disks = *new std::vector<std::unique_ptr<FaultyDisk>>;
    return disks;
  }
  FaultyDisk& disk_ = *every_disk().emplace_back(std::make_unique<FaultyDisk>());
};

TEST_F(AnchorFileTest, IsMadeByTheFirstNoteForItsOwnerAlone) {
  auto file = open();
  ASSERT_THAT(file, Succeeds());
  EXPECT_EQ(file->last_note(), "");
  EXPECT_FALSE(std::filesystem::exists(path_));
  const std::string first = note(3);
  const std::string second = note(5);
  EXPECT_THAT(file->append(first), Succeeds());
  EXPECT_THAT(file->append(second), Succeeds());
  EXPECT_EQ(slurp(path_), first + "\n" + second + "\n");
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_EQ(disk_.syncs, 2);
}

TEST_F(AnchorFileTest, ReadsBackItsLastNoteAndGoesOnBehindIt) {
  const std::string first = note(3);
  const std::string second = note(5);
  write(first + "\n" + second + "\n");
  auto file = open(Absent::is_gone);
  ASSERT_THAT(file, Succeeds());
  EXPECT_EQ(file->last_note(), second);
  EXPECT_EQ(file->size(), 5U);
  EXPECT_THAT(file->append(second), Succeeds());
  EXPECT_EQ(slurp(path_), first + "\n" + second + "\n" + second + "\n");
}

TEST_F(AnchorFileTest, CutsATornLastNoteWhenItWritesAndNotBefore) {
  const std::string first = note(3);
  const std::string second = note(5);
  for (std::size_t torn = 1; torn <= second.size(); ++torn) {
    const std::string text = first + "\n" + second.substr(0, torn);
    write(text);
    auto file = open();
    ASSERT_THAT(file, Succeeds()) << torn;
    EXPECT_EQ(file->last_note(), first);
    EXPECT_EQ(slurp(path_), text);
    EXPECT_THAT(file->append(second), Succeeds());
    EXPECT_EQ(slurp(path_), first + "\n" + second + "\n");
  }
}

TEST_F(AnchorFileTest, RefusesWhatNoAnchorOfOursSays) {
  const std::string good = note(3) + "\n";
  std::string damaged = good;
  damaged[1] = ' ';
  const std::pair<std::string, const char*> rows[] = {
      {damaged + good, "anchor:1: "},
      {good + damaged + good, "anchor:7: "},
      {note(5) + "\n" + good, "anchor:7: 3 records after 5"},
      {"\n\n" + good, "anchor:1: "},
      {good + "{\"v\":1}\n\n\n", "anchor:7: "},
      {std::string(kNoteLimit + 1, 'x') + "\n\n\n", "longer than any"},
  };
  for (const auto& [text, says] : rows) {
    write(text);
    EXPECT_THAT(open(), ErrorIs(Code::verification_failed,
                                AllOf(HasSubstr(says), HasSubstr("move it away as evidence"))));
    EXPECT_EQ(slurp(path_), text);
  }
}

TEST_F(AnchorFileTest, RefusesWhatIsNoFileOfItsOwn) {
  std::filesystem::create_directory(path_);
  EXPECT_THAT(open(), ErrorIs(Code::verification_failed, HasSubstr("is a directory")));
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(open(), ErrorIs(Code::verification_failed, HasSubstr("not a regular file")));
  std::filesystem::remove(path_);
  spit(dir_ / "elsewhere", "");
  std::filesystem::create_symlink(dir_ / "elsewhere", path_);
  EXPECT_THAT(open(), ErrorIs(Code::verification_failed, HasSubstr("is a link")));
}

TEST_F(AnchorFileTest, IsOneSignersAlone) {
  write("");
  const auto first = open();
  ASSERT_THAT(first, Succeeds());
  EXPECT_THAT(open(), ErrorIs(Code::verification_failed, HasSubstr("another process has")));
}

TEST_F(AnchorFileTest, IsMissedWhereItWasThereBefore) {
  EXPECT_THAT(open(Absent::is_gone),
              ErrorIs(Code::audit_unavailable, AllOf(HasSubstr("is gone"), HasSubstr(path_))));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(AnchorFileTest, IsNotMadeAgainAfterItVanished) {
  auto file = open();
  ASSERT_THAT(file->append(note(3)), Succeeds());
  std::filesystem::remove(path_);
  EXPECT_THAT(file->append(note(4)), ErrorIs(Code::audit_unavailable, HasSubstr(path_)));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// A mount that was late, or somebody: what is there now has been compared with nothing.
TEST_F(AnchorFileTest, AppendsToNoFileThatCameInItsPlace) {
  const std::string first = note(3) + "\n";
  write(first);
  auto file = open();
  for (const std::string& other : {note(2) + "\n", first + note(4) + "\n", std::string{}}) {
    write(other);
    EXPECT_THAT(file->append(note(5)),
                ErrorIs(Code::audit_unavailable, HasSubstr("changed by somebody else")));
    EXPECT_EQ(slurp(path_), other);
  }
  write(first);
  EXPECT_THAT(file->append(note(5)), Succeeds());
}

TEST_F(AnchorFileTest, RefusesANoteThatGoesBackAndWhatIsNone) {
  auto file = open();
  const std::string first = note(3);
  ASSERT_THAT(file->append(first), Succeeds());
  EXPECT_THAT(file->append(note(2)), ErrorIs(Code::audit_unavailable, HasSubstr("ahead")));
  EXPECT_THAT(file->append("no note\n"), ErrorIs(Code::internal));
  EXPECT_EQ(slurp(path_), first + "\n");
}

TEST_F(AnchorFileTest, CutsBackWhatItCouldNotWriteAndGoesOn) {
  auto file = open();
  const std::string first = note(3);
  ASSERT_THAT(file->append(first), Succeeds());
  disk_.write_errno = ENOSPC;
  EXPECT_THAT(file->append(note(4)), ErrorIs(Code::audit_unavailable, HasSubstr("No space")));
  disk_.write_errno = 0;
  disk_.short_write = 20;
  EXPECT_THAT(file->append(note(4)), ErrorIs(Code::audit_unavailable, HasSubstr("No space")));
  EXPECT_EQ(slurp(path_), first + "\n");
  disk_.short_write.reset();
  disk_.sync_errno = EIO;
  EXPECT_THAT(file->append(note(4)), ErrorIs(Code::audit_unavailable, HasSubstr("Input/output")));
  EXPECT_EQ(slurp(path_), first + "\n");
  disk_.sync_errno = 0;
  const std::string second = note(5);
  EXPECT_THAT(file->append(second), Succeeds());
  EXPECT_EQ(slurp(path_), first + "\n" + second + "\n");
}

TEST_F(AnchorFileTest, IsMadeAgainWhereItsNameIsNotDurable) {
  auto file = open();
  disk_.fsync_errno = EIO;
  EXPECT_THAT(file->append(note(3)), ErrorIs(Code::audit_unavailable, HasSubstr("Input/output")));
  EXPECT_EQ(slurp(path_), "");
  std::filesystem::remove(path_);  // As a power cut does it.
  disk_.fsync_errno = EINVAL;      // A file system that cannot say.
  const std::string first = note(3);
  EXPECT_THAT(file->append(first), Succeeds());
  EXPECT_EQ(slurp(path_), first + "\n");
}

TEST_F(AnchorFileTest, GoesOnWhereEvenTheCutFailed) {
  auto file = open();
  const std::string first = note(3);
  const std::string second = note(4);
  const std::string third = note(5);
  ASSERT_THAT(file->append(first), Succeeds());
  disk_.truncate_errno = EIO;
  disk_.short_write = 20;
  EXPECT_THAT(file->append(second), ErrorIs(Code::audit_unavailable));
  disk_.short_write.reset();
  EXPECT_THAT(file->append(second), ErrorIs(Code::audit_unavailable, HasSubstr("torn note")));
  disk_.truncate_errno = 0;
  EXPECT_THAT(file->append(second), Succeeds());
  // The whole note is there although nobody knows whether it will stay.
  disk_.truncate_errno = EIO;
  disk_.sync_errno = EIO;
  EXPECT_THAT(file->append(third), ErrorIs(Code::audit_unavailable));
  disk_.truncate_errno = 0;
  disk_.sync_errno = 0;
  EXPECT_THAT(file->append(note(6)), Succeeds());
  EXPECT_THAT(slurp(path_), ::testing::StartsWith(first + "\n" + second + "\n" + third + "\n"));
}

// As nobody, whom modes bind.
TEST_F(AnchorFileTest, ReadsWhatMayOnlyBeReadAndWritesOnceItMay) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody whom modes bind";
  const std::string first = note(3) + "\n";
  write(first);
  ::chmod(dir_.path().c_str(), 0755);
  ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
  const int ended = in_child([&] {
    if (::setegid(65533) != 0 || ::seteuid(65533) != 0) return 1;
    auto file = open(Absent::is_gone);
    if (!file || file->size() != 3) return 2;
    if (file->append(note(4))) return 3;
    if (slurp(path_) != first) return 4;
    if (::seteuid(0) != 0 || ::chmod(path_.c_str(), 0666) != 0 || ::seteuid(65533) != 0) return 5;
    return file->append(note(4)) ? 0 : 6;
  });
  EXPECT_EQ(ended, 0);
}

// A disk that stands still when told, and the loop of an owner.
class AnchorTest : public AnchorFileTest {
 protected:
  AnchorTest() {
    disk_.on_sync = [this] {
      std::unique_lock lock{mutex_};
      ++syncing_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !hangs_; });
    };
  }
  ~AnchorTest() override { let_go(); }

  std::unique_ptr<Anchor> start() {
    auto anchor = Anchor::open(path_, Absent::will_be_made, std::chrono::seconds{20}, disk_);
    EXPECT_THAT(anchor, Succeeds());
    if (!anchor) return nullptr;
    (*anchor)->report_to(
        [this](std::function<void()> work) {
          const std::lock_guard lock{mutex_};
          posted_.push_back(std::move(work));
          changed_.notify_all();
        },
        [this](std::uint64_t size, const Result<void>& written) {
          reports_.emplace_back(size, written.has_value());
        });
    return *std::move(anchor);
  }
  void hang() {
    const std::lock_guard lock{mutex_};
    hangs_ = true;
  }
  void let_go() {
    const std::lock_guard lock{mutex_};
    hangs_ = false;
    changed_.notify_all();
  }
  void wait_for_sync(int count) {
    std::unique_lock lock{mutex_};
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds{20}, [&] { return syncing_ >= count; }));
  }
  void run_one() {
    std::unique_lock lock{mutex_};
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds{20}, [&] { return !posted_.empty(); }));
    const auto work = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    work();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
  int syncing_ = 0;
  std::deque<std::function<void()>> posted_;
  std::vector<std::pair<std::uint64_t, bool>> reports_;
};

TEST_F(AnchorTest, WritesTheNewestOfThoseThatCameMeanwhile) {
  const auto anchor = start();
  hang();
  anchor->write(note(1), 1);
  wait_for_sync(1);
  for (std::uint64_t size = 2; size <= 5; ++size) anchor->write(note(size), size);
  let_go();
  run_one();
  run_one();
  EXPECT_THAT(reports_, ::testing::ElementsAre(std::pair{1U, true}, std::pair{5U, true}));
}

TEST_F(AnchorTest, TriesTheNextNoteAfterOneThatFailed) {
  const auto anchor = start();
  disk_.write_errno = ENOSPC;
  anchor->write(note(1), 1);
  run_one();
  disk_.write_errno = 0;
  anchor->write(note(2), 2);
  run_one();
  EXPECT_THAT(reports_, ::testing::ElementsAre(std::pair{1U, false}, std::pair{2U, true}));
}

TEST_F(AnchorTest, SaysWhyItDoesNotOpen) {
  write("no note\n\n\n");
  EXPECT_THAT(Anchor::open(path_, Absent::is_gone, std::chrono::seconds{20}, disk_),
              ErrorIs(Code::verification_failed));
  std::filesystem::remove(path_);
  EXPECT_THAT(Anchor::open(path_, Absent::is_gone, std::chrono::seconds{20}, disk_),
              ErrorIs(Code::audit_unavailable));
}

// What a start waits for.
TEST_F(AnchorTest, WaitsForAFileThatDoesNotOpenAndNoLonger) {
  disk_.on_open = disk_.on_sync;
  hang();
  EXPECT_THAT(
      Anchor::open(path_, Absent::will_be_made, std::chrono::milliseconds{50}, disk_),
      ErrorIs(Code::audit_unavailable, AllOf(HasSubstr("does not answer"), HasSubstr(path_))));
  let_go();
  // Of the disk the thread that was left behind needs nothing more.
  while (disk_.opens == 0) ::usleep(1000);
}

// A mount that hangs may not hang the stop; afterwards the thread touches nothing of the owner's.
TEST_F(AnchorTest, EndsThoughItsFileHangs) {
  auto anchor = start();
  hang();
  anchor->write(note(1), 1);
  wait_for_sync(1);
  anchor.reset();
  let_go();
  // The file is another's once the thread that was left behind has gone.
  while (!AnchorFile::open(path_, Absent::is_gone, disk_)) ::usleep(1000);
  EXPECT_TRUE(posted_.empty());
}

}  // namespace
}  // namespace hsm::audit
