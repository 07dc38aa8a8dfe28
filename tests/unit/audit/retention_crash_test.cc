// A process that is killed, or loses power, while it lets records go: the log verifies at every
// moment, and the next start ends what was begun or takes it back.
#include <cerrno>
#include <filesystem>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/let_go.h"

namespace hsm::audit {
namespace {

// Does so many things more, and then nothing.
class DyingDisk final : public UnsyncedDisk {
 public:
  int open(const char* path, int flags, mode_t mode) override {
    return lives() ? Disk::open(path, flags, mode) : -1;
  }
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    return lives() ? Disk::write(fd, bytes, size) : -1;
  }
  int fdatasync(int fd) override { return lives() ? UnsyncedDisk::fdatasync(fd) : -1; }
  int fsync(int fd) override { return lives() ? UnsyncedDisk::fsync(fd) : -1; }
  int fchmod(int fd, mode_t mode) override { return lives() ? Disk::fchmod(fd, mode) : -1; }
  int ftruncate(int fd, off_t size) override { return lives() ? Disk::ftruncate(fd, size) : -1; }
  int unlink(const char* path) override { return lives() ? Disk::unlink(path) : -1; }
  int rename(const char* from, const char* to) override {
    return lives() ? Disk::rename(from, to) : -1;
  }

  int left = 1 << 20;

 private:
  bool lives() {
    if (left > 0) return left-- > 0;
    errno = EIO;
    return false;
  }
};

class RetentionCrash : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(Disk& disk = unsynced()) {
    auto log = Log::open(directory_, {}, disk, a_record_a_segment());
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  // 8 records, of which the first `gone` are gone.
  void write(std::uint64_t gone) {
    std::filesystem::remove_all(directory_);
    const auto log = open();
    write_segments(*log, key_, 8);
    if (gone != 0) {
      ASSERT_THAT(let_go(*log, unsynced(), key_, gone), Succeeds());
    }
  }
  void expect_sound(const std::string& when) {
    const auto verified = verify_directory(directory_, key_.public_pem());
    ASSERT_THAT(verified, Succeeds()) << when;
    EXPECT_THAT(verdict(*verified), Succeeds()) << when;
  }
  // Killed behind each thing that it does, in turn. Gives at how many of them nothing had gone in
  // the end, and at how many all had.
  std::pair<int, int> die_everywhere(std::uint64_t before, std::uint64_t gone) {
    std::pair<int, int> ends;
    for (int moment = 0;; ++moment) {
      const std::string when = "moment " + std::to_string(moment);
      write(before);
      DyingDisk disk;
      bool done = false;
      {
        const auto log = open(disk);
        disk.left = moment;
        done = let_go(*log, disk, key_, gone).has_value();
      }
      expect_sound(when);
      {
        const auto log = open();
        EXPECT_THAT(finish(*log, key_), Succeeds()) << when;
        write_more(*log, key_, 1);
      }
      expect_sound(when);
      const auto files = list_log(directory_);
      EXPECT_THAT(files, Succeeds());
      EXPECT_TRUE(files->leftovers.empty() && files->pending.empty()) << when;
      EXPECT_TRUE(files->first == before + 1 || files->first == gone + 1) << when;
      ++(files->first == gone + 1 ? ends.second : ends.first);
      if (done) return ends;
    }
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const TestKey key_;
};

TEST_F(RetentionCrash, LeavesASoundLogAtEveryMoment) {
  const auto [kept, gone] = die_everywhere(0, 5);
  EXPECT_GT(kept, 5);
  EXPECT_GT(gone, 5);
}

TEST_F(RetentionCrash, LeavesASoundLogAtEveryMomentOfASecondOne) {
  const auto [kept, gone] = die_everywhere(2, 6);
  EXPECT_GT(kept, 5);
  EXPECT_GT(gone, 5);
}

// The first of them is durably gone before the next: of the others any may be there again.
TEST_F(RetentionCrash, EndsARemovalOfWhichAPowerCutBroughtAnyPartBack) {
  for (const std::uint64_t before : {0U, 2U}) {
    write(before);
    std::vector<std::pair<std::string, std::string>> removed;
    {
      const auto log = open();
      ASSERT_THAT(let_go(*log, unsynced(), key_, 6, {.remove = false}), Succeeds());
      for (std::uint64_t number = before + 2; number <= 6; ++number)
        removed.emplace_back(segment_name(number), slurp(directory_ + "/" + segment_name(number)));
      if (before != 0)
        removed.emplace_back(retired_name(before), slurp(directory_ + "/" + retired_name(before)));
      ASSERT_THAT(remove_before(directory_, unsynced(), 7), Succeeds());
    }
    for (unsigned back = 0; back < 1U << removed.size(); ++back) {
      for (std::size_t i = 0; i < removed.size(); ++i)
        if ((back >> i & 1U) != 0) spit(directory_ + "/" + removed[i].first, removed[i].second);
      expect_sound(std::to_string(back));
      const auto log = open();
      EXPECT_EQ(log->unfinished().removes(), back != 0) << back;
      EXPECT_THAT(finish(*log, key_), Succeeds());
      const auto files = list_log(directory_);
      EXPECT_TRUE(files && files->leftovers.empty() && files->first == 7) << back;
    }
  }
}

TEST_F(RetentionCrash, TakesAStateBackThatNoRecordStandsFor) {
  write(0);
  {
    const auto log = open();
    ASSERT_THAT(let_go(*log, unsynced(), key_, 5, {.record = false, .remove = false}), Succeeds());
  }
  const auto log = open();
  EXPECT_EQ(log->unfinished(), (Unfinished{.undo = {"audit-retired-000005.json"}}));
  EXPECT_THAT(finish(*log, key_), Succeeds());
  EXPECT_TRUE(list_log(directory_)->pending.empty());
  EXPECT_THAT(let_go(*log, unsynced(), key_, 5), Succeeds());
  expect_sound("again");
}

TEST_F(RetentionCrash, RemovesNothingBeforeTheRecordIsSealed) {
  write(0);
  {
    const auto log = open();
    ASSERT_THAT(let_go(*log, unsynced(), key_, 5, {.seal = false, .remove = false}), Succeeds());
  }
  const auto log = open();
  EXPECT_EQ(log->unfinished(), (Unfinished{.undo = {}, .kept_from = 6, .sealed = 9}));
  EXPECT_LT(log->sealed().size, 9U);
}

}  // namespace
}  // namespace hsm::audit
