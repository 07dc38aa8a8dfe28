#include "hsm_signer/audit/verify.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "hsm_signer/audit/merkle.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;

auto failure_saying(const std::string& words) {
  return Contains(::testing::AllOf(Field(&Finding::severity, Severity::failure),
                                   Field(&Finding::sentence, HasSubstr(words))));
}
auto warning_saying(const std::string& words) {
  return Contains(::testing::AllOf(Field(&Finding::severity, Severity::warning),
                                   Field(&Finding::sentence, HasSubstr(words))));
}

class Verification : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open() {
    auto log = Log::open(directory_);
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  // A log of these records, sealed at its end.
  void write(const std::vector<Record>& records) {
    const auto log = open();
    write_records(*log, records);
    seal_head(*log, key_);
  }
  Verified verify() {
    auto verified = verify_directory(directory_, key_.public_pem());
    EXPECT_THAT(verified, Succeeds());
    return verified ? *std::move(verified) : Verified{};
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const std::string notes_ = directory_ + "/checkpoints";
  const TestKey key_;
};

// Lines come first, then their checkpoint: whoever reads the other way round finds no cut in it.
TEST_F(Verification, FindsNothingInALogThatIsWrittenMeanwhile) {
  write({start_record()});
  std::atomic<bool> written = false;
  std::thread writer{[&] {
    const auto log = open();
    for (std::uint64_t i = 1; i <= 400; ++i) {
      write_records(*log, {allow_record(i, i)});
      seal_head(*log, key_);
    }
    written = true;
  }};
  int times = 0;
  for (; !written; ++times) {
    const Verified found = verify();
    EXPECT_EQ(found.failures, 0U) << found.findings.front().sentence;
  }
  writer.join();
  EXPECT_GT(times, 10);
}

TEST_F(Verification, CountsWhatASoundLogHolds) {
  {
    const auto log = open();
    seal_head(*log, key_);
    write_records(*log, {start_record(), allow_record(1, 1)});
    seal_head(*log, key_);
    write_records(*log, {refuse_record(), allow_record(2, 2)});
    seal_head(*log, key_);
    seal_head(*log, key_);
    write_records(*log, {allow_record(3, 3)});
  }
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.records, 5U);
  EXPECT_EQ(verified.allowed, 3U);
  EXPECT_EQ(verified.refused, 1U);
  EXPECT_EQ(verified.checkpoints, 4U);
  EXPECT_EQ(verified.sealed, 4U);
  EXPECT_EQ(verified.unsealed, 1U);
  EXPECT_EQ(verified.warnings, 0U);
  ASSERT_EQ(verified.findings.size(), 1U);
  EXPECT_EQ(verified.findings[0],
            (Finding{.severity = Severity::note,
                     .file = "audit-000001.jsonl",
                     .line = 5,
                     .sentence = "1 records from here on are under no checkpoint yet"}));
}

TEST_F(Verification, PassesAnAdministratorsRecordsAndNoticesAChangeInOne) {
  Record thaw = Record::admin_event({.uid = 0, .gid = 0, .pid = 9}, "thaw", "all");
  thaw.time = start_record().time;
  thaw.officers = "alice,bob";
  write({start_record(), thaw, allow_record(1, 1)});
  EXPECT_THAT(verdict(verify()), Succeeds());
  std::string text = slurp(segment_);
  text.replace(text.find("alice,bob"), 9, "alice,eve");
  spit(segment_, text);
  EXPECT_FALSE(verify().ok());
}

TEST_F(Verification, DoesNotPassALogThatNothingProvesUnlessToldSo) {
  write_records(*open(), {start_record()});
  const auto told_so = [this] {
    return *verify_directory(directory_, key_.public_pem(), WithoutSeal::passes);
  };
  EXPECT_FALSE(verify().ok());
  EXPECT_THAT(told_so().findings, warning_saying("nothing proves this log"));
  ASSERT_EQ(::unlink(notes_.c_str()), 0);
  EXPECT_FALSE(verify().ok());
  EXPECT_TRUE(told_so().ok());
}

TEST_F(Verification, RefusesToStartWithoutALogOrAKey) {
  EXPECT_THAT(verify_directory(dir_ / "none", key_.public_pem()),
              ErrorIs(Code::usage, HasSubstr("cannot read the directory")));
  write({start_record()});
  EXPECT_THAT(verify_directory(directory_, "no key"), ErrorIs(Code::usage));
}

TEST_F(Verification, ShowsGapsAsWarnings) {
  write({allow_record(1, 1), Record::gap(kWorker, 2, 4, "worker killed"), allow_record(5, 5)});
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.gaps, 3U);
  EXPECT_THAT(
      verified.findings,
      warning_saying("worker 00f3a19c44d2be71 made 3 MACs at most (2 to 4) without a record: "
                     "worker killed"));
}

TEST_F(Verification, ShowsWhereATornLineWasCut) {
  Record start = start_record();
  start.cut_bytes = 300;
  write({start});
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_THAT(verified.findings, warning_saying("cut off a torn line of 300 bytes"));
}

TEST_F(Verification, WarnsOfAnUnfinishedLineBeyondTheLastCheckpoint) {
  write({allow_record(1, 1)});
  spit(segment_, slurp(segment_) + "{\"v\":1,");
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_THAT(verified.findings, warning_saying("an unfinished line of 7 bytes"));
}

struct Story {
  const char* name;
  std::vector<Record> records;
  const char* failure;
};

// Logs that were written and sealed as they are: what they say cannot be true.
TEST_F(Verification, FindsWhatASealedLogCannotExplain) {
  Record other_key = allow_record(1, 3);
  other_key.api_key_id = "account-Other";
  Record other_worker = allow_record(3, 2);
  other_worker.worker = 1;
  const std::vector<Story> stories{
      {"count left out", {allow_record(1, 1), allow_record(2, 3)}, "without a record or gap: 2"},
      {"counts left out", {allow_record(1, 1), allow_record(2, 9)}, "or gap: 2 to 8"},
      {"first count left out", {allow_record(1, 2)}, "or gap: 1"},
      {"another worker's first left out", {allow_record(1, 1), other_worker}, "or gap: 1"},
      {"count twice", {allow_record(1, 1), allow_record(2, 1)}, "counts 1 again"},
      {"gap over a record", {allow_record(1, 1), Record::gap(kWorker, 1, 2, "")}, "1 to 2 again"},
      {"gap that leaves a hole",
       {allow_record(1, 1), Record::gap(kWorker, 3, 4, "")},
       "without a record or gap: 2"},
      {"nonce twice", {allow_record(7, 1), allow_record(7, 2)}, "nonce 7 of account-AbC123"},
      {"nonce lower", {allow_record(7, 1), allow_record(6, 2)}, "nonce 6 of account-AbC123"},
      {"nonce lower after another key's",
       {allow_record(7, 1), allow_record(8, 2), other_key, allow_record(8, 4)},
       "nonce 8 of account-AbC123"},
  };
  for (const Story& story : stories) {
    std::filesystem::remove_all(directory_);
    write(story.records);
    const Verified verified = verify();
    EXPECT_THAT(verdict(verified), ErrorIs(Code::verification_failed)) << story.name;
    EXPECT_THAT(verified.findings, failure_saying(story.failure)) << story.name;
    EXPECT_EQ(verified.failures, 1U) << story.name;
  }
}

TEST_F(Verification, RefusesCheckpointsOfAnotherKey) {
  write({allow_record(1, 1), allow_record(2, 2)});
  const auto verified = verify_directory(directory_, TestKey{}.public_pem());
  ASSERT_THAT(verified, Succeeds());
  EXPECT_THAT(verdict(*verified), ErrorIs(Code::verification_failed, HasSubstr("checkpoints:1")));
  EXPECT_EQ(verified->sealed, 0U);
}

TEST_F(Verification, RefusesCheckpointsOutOfOrder) {
  write({allow_record(1, 1)});
  const std::string first = slurp(notes_);
  const auto log = open();
  write_records(*log, {allow_record(2, 2)});
  seal_head(*log, key_);
  spit(notes_, slurp(notes_) + first);
  EXPECT_THAT(verify().findings, failure_saying("a checkpoint over 1 records after one over 2"));
}

TEST_F(Verification, RefusesACheckpointOverRecordsThatAreNotThere) {
  write({allow_record(1, 1)});
  spit(notes_, slurp(notes_) + key_.note(9, sha256(as_bytes("x"))) + "\n");
  EXPECT_THAT(verify().findings,
              failure_saying("the log was cut: it has 1 records, this checkpoint is over 9"));
}

TEST_F(Verification, RefusesWhatHasNeitherRecordNorCheckpoint) {
  std::filesystem::create_directory(directory_);
  for (const std::string& text : {std::string{}, std::string{"no line"}, std::string(9000, '\0')}) {
    spit(segment_, text);
    EXPECT_THAT(verify().findings, failure_saying("nothing proves this log"));
    EXPECT_TRUE(verify_directory(directory_, key_.public_pem(), WithoutSeal::passes)->ok());
  }
}

TEST_F(Verification, DoesNotWaitForAPipeInThePlaceOfTheCheckpoints) {
  write({allow_record(1, 1)});
  std::filesystem::remove(notes_);
  ASSERT_EQ(::mkfifo(notes_.c_str(), 0600), 0);
  EXPECT_THAT(verify_directory(directory_, key_.public_pem()),
              ErrorIs(Code::usage, HasSubstr("checkpoints")));
}

TEST_F(Verification, RefusesALineLongerThanAnyRecord) {
  write({allow_record(1, 1)});
  spit(segment_, slurp(segment_) + std::string(kLineLimit + 10, 'x') + "\n");
  EXPECT_THAT(verify().findings, failure_saying("longer than any record"));
}

TEST_F(Verification, KeepsABoundedListOfFindings) {
  write({allow_record(1, 1)});
  spit(segment_, slurp(segment_) + std::string(5000, '\n'));
  const Verified verified = verify();
  EXPECT_EQ(verified.failures, 5000U);
  EXPECT_EQ(verified.findings.size(), kFindingsLimit);
}

}  // namespace
}  // namespace hsm::audit
