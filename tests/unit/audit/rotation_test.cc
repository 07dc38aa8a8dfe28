// One log in many files: when the next begins, and what holds over all of them.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

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

class Rotating : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(Rotation rotation = {.bytes = 1}) {
    auto log = Log::open(directory_, {}, disk_, rotation);
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  // A segment a record, sealed at the end.
  void write(std::uint64_t records) {
    const auto log = open();
    for (std::uint64_t i = 1; i <= records; ++i) write_records(*log, {allow_record(i, i)});
    seal_head(*log, key_);
  }
  std::vector<std::string> names() const {
    const auto files = list_log(directory_);
    return files ? files->segments : std::vector<std::string>{files.error().sentence()};
  }
  std::string path(std::uint64_t number) const { return directory_ + "/" + segment_name(number); }
  unsigned mode(std::uint64_t number) const {
    struct stat status {};
    EXPECT_EQ(::stat(path(number).c_str(), &status), 0);
    return status.st_mode & 07777U;
  }
  Result<void> verify() const {
    TRY(const Verified verified, verify_directory(directory_, key_.public_pem()));
    return verdict(verified);
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const TestKey key_;
  FaultyDisk disk_;
};

TEST_F(Rotating, BeginsASegmentBehindAFullOneThatNobodyWritesToAgain) {
  write(3);
  EXPECT_THAT(names(),
              ElementsAre("audit-000001.jsonl", "audit-000002.jsonl", "audit-000003.jsonl"));
  EXPECT_EQ(mode(1), 0400U);
  EXPECT_EQ(mode(2), 0400U);
  EXPECT_EQ(mode(3), 0600U);
  EXPECT_THAT(verify(), Succeeds());
}

TEST_F(Rotating, GoesOnInTheLastSegmentAfterARestart) {
  write(2);
  const auto log = open({.bytes = 1 << 20});
  EXPECT_EQ(log->recovered().records, 2U);
  EXPECT_EQ(log->segment(), 2U);
  write_records(*log, {allow_record(3, 3)});
  seal_head(*log, key_);
  EXPECT_THAT(names(), ElementsAre("audit-000001.jsonl", "audit-000002.jsonl"));
  EXPECT_THAT(verify(), Succeeds());
}

TEST_F(Rotating, BeginsASegmentWithTheFirstRecordOfAnotherDay) {
  const auto log = open({.bytes = 1 << 20});
  Record record = allow_record(1, 1);
  write_records(*log, {record});
  record = allow_record(2, 2);
  write_records(*log, {record});
  EXPECT_EQ(log->segment(), 1U);
  record = allow_record(3, 3);
  record.time -= std::chrono::days{1};  // A clock that was set back.
  write_records(*log, {record});
  EXPECT_EQ(log->segment(), 1U);
  record = allow_record(4, 4);
  record.time += std::chrono::days{1};
  write_records(*log, {record});
  EXPECT_EQ(log->segment(), 2U);
}

TEST_F(Rotating, HasAFullSegmentOnDiskBeforeTheNextHasAName) {
  const auto log = open();
  write_records(*log, {allow_record(1, 1)});
  const int before = disk_.syncs;
  disk_.on_sync = [&] { EXPECT_FALSE(std::filesystem::exists(path(2))); };
  ASSERT_THAT(log->append(allow_record(2, 2)), Succeeds());
  ASSERT_THAT(log->flush(), Succeeds());
  EXPECT_EQ(disk_.syncs, before + 1);
  EXPECT_TRUE(std::filesystem::exists(path(2)));
}

TEST_F(Rotating, SignsNothingMoreWhereAFullSegmentCannotBeMadeDurable) {
  const auto log = open();
  write_records(*log, {allow_record(1, 1)});
  disk_.sync_errno = EIO;
  ASSERT_THAT(log->append(allow_record(2, 2)), Succeeds());
  EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable, HasSubstr("until a restart")));
  EXPECT_FALSE(std::filesystem::exists(path(2)));
  EXPECT_EQ(log->size(), 1U);
}

TEST_F(Rotating, GoesOnInAFullSegmentWhereNoOtherCanBeMade) {
  const auto log = open();
  write_records(*log, {allow_record(1, 1)});
  std::filesystem::create_directory(path(2));
  write_records(*log, {allow_record(2, 2)});
  EXPECT_EQ(log->size(), 2U);
  EXPECT_EQ(log->segment(), 1U);
  EXPECT_EQ(mode(1), 0600U);
}

TEST_F(Rotating, CutsATornLineOfTheLastSegmentAndRefusesOneOfAnother) {
  write(3);
  std::ofstream{path(3), std::ios::app} << "{\"v\":1,";
  EXPECT_EQ(open({.bytes = 1 << 20})->recovered().cut_bytes, 7U);
  std::filesystem::permissions(path(2), std::filesystem::perms{0600});
  std::ofstream{path(2), std::ios::app} << "{\"v\":1,";
  EXPECT_THAT(Log::open(directory_), ErrorIs(Code::audit_unavailable, HasSubstr("inside a line")));
  EXPECT_THAT(verify(), ErrorIs(Code::verification_failed));
}

TEST_F(Rotating, FindsASegmentThatIsGoneSwappedRepeatedOrShortened) {
  const auto refused = [&](const char* what) {
    EXPECT_THAT(verify(), ErrorIs(Code::verification_failed)) << what;
    EXPECT_THAT(Log::open(directory_), ErrorIs(Code::audit_unavailable)) << what;
  };
  write(4);
  const std::string kept = dir_ / "kept";
  const auto restore = [&] {
    std::filesystem::remove_all(directory_);
    std::filesystem::copy(kept, directory_);
    std::filesystem::permissions(directory_, std::filesystem::perms{0700});
  };
  std::filesystem::copy(directory_, kept);
  std::filesystem::remove(path(1));
  refused("the first is gone");
  restore();
  std::filesystem::remove(path(2));
  refused("one in the middle is gone");
  restore();
  std::filesystem::remove(path(4));
  refused("the last is gone");
  restore();
  std::filesystem::rename(path(2), dir_ / "two");
  std::filesystem::rename(path(3), path(2));
  std::filesystem::rename(dir_ / "two", path(3));
  refused("two are swapped");
  restore();
  std::filesystem::copy_file(path(4), path(5));
  refused("one is repeated");
  restore();
  std::filesystem::permissions(path(2), std::filesystem::perms{0600});
  std::filesystem::resize_file(path(2), 0);
  refused("one is empty");
  restore();
  EXPECT_THAT(verify(), Succeeds());
}

}  // namespace
}  // namespace hsm::audit
