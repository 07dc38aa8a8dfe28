// What the workers' own counts say of a log: logs that were sealed as they are, with usage records.
#include "hsm_signer/audit/verify.h"
#include "hsm_signer/base/usage_text.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class WorkerAccountsTest : public ::testing::Test {
 protected:
  // Each list is sealed by a checkpoint of its own.
  Verified verify(const std::vector<std::vector<Record>>& lists) {
    const TempDir dir;
    const auto log = Log::open(dir / "audit");
    EXPECT_THAT(log, Succeeds());
    for (const std::vector<Record>& records : lists) {
      write_records(**log, records);
      seal_head(**log, key_);
    }
    return *verify_directory(dir / "audit", key_.public_pem());
  }
  Record usage(std::uint64_t count) const { return usage_record(key_, count); }

  static auto says(Severity severity, const std::string& sentence) {
    return Contains(::testing::AllOf(::testing::Field(&Finding::severity, severity),
                                     ::testing::Field(&Finding::sentence, HasSubstr(sentence))));
  }

  const TestKey key_;
};

TEST_F(WorkerAccountsTest, ARecordForEachCountIsConfirmed) {
  const Verified verified =
      verify({{allow_record(1, 1), allow_record(2, 2), usage(2)}, {allow_record(3, 3), usage(3)}});
  EXPECT_THAT(verified.findings, ::testing::SizeIs(0));
}

struct Untold {
  const char* name;
  std::vector<Record> records;
  const char* failure;
};

TEST_F(WorkerAccountsTest, FindsWhatTheRecordsDoNotSay) {
  const auto with = [](Record record, auto change) {
    change(record);
    return record;
  };
  const Record payload =
      with(allow_record(2, 2), [](Record& r) { r.payload_sha256 = r.signature_sha256; });
  const Record key = with(allow_record(2, 2), [](Record& r) { r.key = "desk-b"; });
  const Record version = with(allow_record(2, 2), [](Record& r) { r.version = 4; });
  const std::vector<Untold> stories{
      {"a MAC without record", {allow_record(1, 1), usage(2)}, "without a record or gap: 2; its"},
      {"MACs of a worker without any record", {usage(3)}, "without a record or gap: 1 to 3"},
      {"a record without MAC",
       {allow_record(1, 1), allow_record(2, 2), usage(1)},
       "more MACs than it made: 2"},
      {"another payload", {allow_record(1, 1), payload, usage(2)}, "somewhere in 1 to 2"},
      {"another key", {allow_record(1, 1), key, usage(2)}, "somewhere in 1 to 2"},
      {"another version", {allow_record(1, 1), version, usage(2)}, "somewhere in 1 to 2"},
      {"behind a confirmed one",
       {allow_record(1, 1), usage(1), payload, usage(2)},
       "somewhere in 2"},
      {"another count",
       {allow_record(1, 1), with(usage(1), [](Record& r) { r.worker_counter = 2; })},
       "does not verify"},
      {"another worker",
       {allow_record(1, 1), with(usage(1), [](Record& r) { ++r.worker; })},
       "does not verify"},
      {"another token",
       {allow_record(1, 1), with(usage(1), [](Record& r) { r.token = "mint"; })},
       "does not verify"},
      {"another digest",
       {allow_record(1, 1), with(usage(1), [](Record& r) { r.digest = r.audit_key; })},
       "does not verify"},
      {"another's signature",
       {allow_record(1, 1),
        with(usage(1), [](Record& r) { r.signature = usage_record(TestKey{}, 1).signature; })},
       "does not verify"},
  };
  for (const Untold& story : stories) {
    const Verified verified = verify({story.records});
    EXPECT_THAT(verified.findings, says(Severity::failure, story.failure)) << story.name;
    EXPECT_EQ(verified.failures, 1U) << story.name;
  }
}

TEST_F(WorkerAccountsTest, AGapSaysAtMostAndTheWorkerSaysHowMany) {
  const Record gap = Record::gap(kWorker, 2, 9, "the worker was lost");
  EXPECT_TRUE(verify({{allow_record(1, 1), gap, usage(9)}}).ok());
  EXPECT_TRUE(verify({{allow_record(1, 1), gap, usage(4)}}).ok());
  EXPECT_TRUE(verify({{allow_record(1, 1), gap, usage(1)}}).ok());
  EXPECT_THAT(verify({{allow_record(1, 1), gap, usage(10)}}).findings,
              says(Severity::failure, "without a record or gap: 10"));
}

TEST_F(WorkerAccountsTest, GoesOnBehindAGapFromWhatTheWorkerSays) {
  const Record gap = Record::gap(kWorker, 2, 3, "the log could not be written");
  Record wrong = allow_record(5, 5);
  wrong.payload_sha256 = wrong.signature_sha256;
  EXPECT_TRUE(verify({{allow_record(1, 1), gap, allow_record(4, 4), usage(4), allow_record(5, 5),
                       usage(5)}})
                  .ok());
  EXPECT_THAT(
      verify({{allow_record(1, 1), gap, allow_record(4, 4), usage(4), wrong, usage(5)}}).findings,
      says(Severity::failure, "somewhere in 5"));
}

TEST_F(WorkerAccountsTest, TakesNothingThatAnotherTokensKeySigned) {
  Record foreign = usage_record(TestKey{}, 7);
  const Verified verified = verify({{allow_record(1, 1), foreign, foreign, usage(1)}});
  EXPECT_TRUE(verified.ok());
  EXPECT_EQ(verified.warnings, 1U);
  EXPECT_THAT(verified.findings, says(Severity::warning, "signed with another key"));
}

TEST_F(WorkerAccountsTest, WarnsWhereUsageRecordsWereLeftOut) {
  const Verified left_out = verify({{allow_record(1, 1), allow_record(2, 2)}, {refuse_record()}});
  EXPECT_TRUE(left_out.ok());
  EXPECT_THAT(
      left_out.findings,
      says(Severity::warning, "2 signatures of 1 workers are confirmed by no usage record"));
  // Signed while the workers were asked: the next checkpoint's usage confirms it.
  const Verified late =
      verify({{refuse_record()}, {allow_record(1, 1), usage(1), allow_record(2, 2)}});
  EXPECT_THAT(late.findings, ::testing::SizeIs(0));
}

}  // namespace
}  // namespace hsm::audit
