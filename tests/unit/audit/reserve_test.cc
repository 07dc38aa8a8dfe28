// A stretch of disk that is the log's before it is written: on the file system of the temporary
// directory, and on a disk that says that it is full.
#include <sys/stat.h>

#include <filesystem>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/segments.h"
#include "hsm_signer/audit/verify.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/faulty_disk.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kReserve = 256 * 1024;

class Reserved : public ::testing::Test {
 protected:
  void SetUp() override {
    if (open()->cannot_reserve()) GTEST_SKIP() << "no fallocate(2) here: " << directory_;
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<Log> open(Rotation rotation = {.reserve = kReserve}) {
    auto log = Log::open(directory_, {}, disk_, rotation);
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  std::string path(std::uint64_t number) const { return directory_ + "/" + segment_name(number); }
  // Bytes on disk beyond those of the file's content, give or take a block.
  static std::uint64_t ahead(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    const auto allocated = static_cast<std::uint64_t>(status.st_blocks) * 512;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    return allocated > size ? allocated - size : 0;
  }
  std::vector<std::string> names() const {
    const auto files = list_log(directory_);
    return files ? files->segments : std::vector<std::string>{files.error().sentence()};
  }
  void write(Log& log) {
    ++count_;
    write_records(log, {allow_record(count_, count_)});
  }
  // Until some 128 KiB are written.
  void write_many(Log& log, std::size_t records = 200) {
    std::vector<Record> all;
    for (std::size_t i = 0; i < records; ++i, ++count_)
      all.push_back(allow_record(count_ + 1, count_ + 1));
    write_records(log, all);
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string checkpoints_ = directory_ + "/checkpoints";
  const TestKey key_;
  FaultyDisk disk_;
  std::uint64_t count_ = 0;
};

TEST_F(Reserved, KeepsAStretchBehindTheSegmentAndOneBehindTheCheckpoints) {
  const auto log = open();
  EXPECT_GE(ahead(path(1)), kReserve);
  EXPECT_GE(ahead(checkpoints_), kReserve / kNotesShare);
  EXPECT_EQ(std::filesystem::file_size(path(1)), 0U);
  for (int i = 0; i < 10; ++i) {
    write_many(*log);
    seal_head(*log, key_);
    EXPECT_GE(ahead(path(1)), kReserve);
    EXPECT_GE(ahead(checkpoints_), kReserve / kNotesShare);
  }
  EXPECT_FALSE(log->low());
  EXPECT_THAT(verify_directory(directory_, key_.public_pem()), Succeeds());
}

TEST_F(Reserved, AsksForMoreInStepsAndNotForEachWrite) {
  const auto log = open();
  disk_.allocations = 0;
  for (int i = 0; i < 300; ++i) write(*log);
  EXPECT_LE(disk_.allocations, 1);
}

TEST_F(Reserved, KeepsNoneWhereNoneIsAskedFor) {
  const auto log = open({});
  write(*log);
  EXPECT_EQ(disk_.allocations, 2) << "of SetUp()";
  EXPECT_LT(ahead(path(1)), 64 * 1024U);
  disk_.allocate_errno = ENOSPC;
  log->refill();
  EXPECT_FALSE(log->low());
}

TEST_F(Reserved, IsLowWhereMoreCannotBeHadAndStillWrites) {
  for (const int error : {ENOSPC, EDQUOT, EIO, EROFS}) {
    const auto log = open();
    disk_.allocate_errno = error;
    EXPECT_FALSE(log->low()) << "nothing was needed yet";
    for (int i = 0; i < 50 && !log->low(); ++i) write_many(*log, 40);
    ASSERT_TRUE(log->low().has_value());
    EXPECT_THAT(log->low()->sentence(), HasSubstr("cancels"));
    EXPECT_EQ(log->low()->code, Code::audit_unavailable);
    EXPECT_GE(ahead(path(1)), kReserve - 64 * 1024) << "what it had it has";
    const std::uint64_t before = log->size();
    write(*log);
    EXPECT_EQ(log->size(), before + 1);
    disk_.allocate_errno = 0;
  }
}

TEST_F(Reserved, IsLowUntilItIsAskedToTryAgain) {
  const auto log = open();
  disk_.allocate_errno = ENOSPC;
  for (int i = 0; i < 10 && !log->low(); ++i) write_many(*log);
  log->refill();
  EXPECT_TRUE(log->low());
  const int before = disk_.allocations;
  for (int i = 0; i < 20; ++i) write(*log);
  EXPECT_EQ(disk_.allocations, before) << "who is low does not ask for each write";
  disk_.allocate_errno = 0;
  write(*log);
  EXPECT_TRUE(log->low());
  log->refill();
  EXPECT_FALSE(log->low());
  EXPECT_GE(ahead(path(1)), kReserve);
}

TEST_F(Reserved, IsLowFromTheStartWhereTheDiskIsFullThen) {
  disk_.allocate_errno = ENOSPC;
  const auto log = open();
  EXPECT_TRUE(log->low());
  write(*log);
  EXPECT_EQ(log->size(), 1U);
}

TEST_F(Reserved, IsLowWhereTheCheckpointsHaveNoReserve) {
  const auto log = open();
  write(*log);
  disk_.allocate_errno = ENOSPC;
  for (int i = 0; i < 6000 && !log->low(); ++i) {
    const auto added = log->add_checkpoint(key_.note(log->size(), log->root()));
    ASSERT_THAT(added, Succeeds());
  }
  EXPECT_TRUE(log->low());
}

TEST_F(Reserved, DoesWithoutWhereTheFileSystemHasNone) {
  for (const int error : {EOPNOTSUPP, ENOSYS}) {
    disk_.allocate_errno = error;
    const auto log = open({.bytes = 1, .reserve = kReserve});
    EXPECT_TRUE(log->cannot_reserve());
    EXPECT_FALSE(log->low());
    const std::uint64_t segment = log->segment();
    disk_.allocations = 0;
    write(*log);
    write(*log);
    EXPECT_GT(log->segment(), segment);
    EXPECT_EQ(disk_.allocations, 0);
    log->refill();
    EXPECT_FALSE(log->low());
  }
}

// ftruncate(2) takes what was allocated behind the cut.
TEST_F(Reserved, TakesItsStretchAgainAfterACut) {
  const auto log = open();
  write(*log);
  disk_.short_write = 10;
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  ASSERT_THAT(log->flush(), ErrorIs(Code::audit_unavailable));
  EXPECT_LT(ahead(path(1)), kReserve);
  disk_.short_write.reset();
  write(*log);
  EXPECT_GE(ahead(path(1)), kReserve);
}

TEST_F(Reserved, GivesBackWhatASegmentLeftOver) {
  const auto log = open({.bytes = 1, .reserve = kReserve});
  write(*log);
  EXPECT_GE(ahead(path(1)), kReserve);
  write(*log);
  EXPECT_EQ(log->segment(), 2U);
  EXPECT_LT(ahead(path(1)), 64 * 1024U);
  EXPECT_GE(ahead(path(2)), kReserve);
  seal_head(*log, key_);
  const auto verified = verify_directory(directory_, key_.public_pem());
  ASSERT_THAT(verified, Succeeds());
  EXPECT_THAT(verdict(*verified), Succeeds());
}

TEST_F(Reserved, BeginsNoSegmentThatCouldNotHaveAReserveOfItsOwn) {
  const auto log = open({.bytes = 1, .reserve = kReserve});
  write(*log);
  disk_.allocate_errno = ENOSPC;
  write(*log);
  EXPECT_THAT(names(), ElementsAre("audit-000001.jsonl"));
  EXPECT_FALSE(log->low()) << "the old one has its reserve";
  EXPECT_GE(ahead(path(1)), kReserve);
  EXPECT_EQ(log->size(), 2U);
}

TEST_F(Reserved, BeginsNoSegmentWhileItIsLow) {
  disk_.allocate_errno = ENOSPC;
  const auto log = open({.bytes = 1, .reserve = kReserve});
  write(*log);
  disk_.allocate_errno = 0;
  write(*log);
  EXPECT_EQ(log->segment(), 1U);
  log->refill();
  write(*log);
  EXPECT_EQ(log->segment(), 2U);
}

// The old segment goes on: with another behind it, no start could cut a torn line off it.
TEST_F(Reserved, SignsNothingMoreWhereTheNameOfASegmentNotBegunStays) {
  const auto log = open({.bytes = 1, .reserve = kReserve});
  write(*log);
  disk_.allocate_errno = ENOSPC;
  disk_.unlink_errno = EIO;
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable, HasSubstr("until a restart")));
  EXPECT_EQ(log->size(), 1U);
}

TEST_F(Reserved, AnotherRunTakesTheStretchOver) {
  open();
  const std::uint64_t before = ahead(path(1));
  disk_.allocate_errno = 0;
  const auto log = open();
  write_many(*log);
  EXPECT_GE(ahead(path(1)), kReserve);
  EXPECT_LE(ahead(path(1)), before);
}

}  // namespace
}  // namespace hsm::audit
