// A start: the log has to hold what was anchored.
#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/merkle.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class HeldHeadsTest : public ::testing::Test {
 protected:
  // Four records, sealed over three; heads_[n] is the head over the first n.
  HeldHeadsTest() {
    const auto log = Log::open(directory_);
    EXPECT_THAT(log, Succeeds());
    heads_.push_back((*log)->head());
    for (std::uint64_t i = 1; i <= 4; ++i) {
      write_records(**log, {allow_record(i, i)});
      heads_.push_back((*log)->head());
      if (i == 3) seal_head(**log, key_);
    }
  }
  Result<std::unique_ptr<Log>> open(const std::vector<Anchored>& anchored) {
    return Log::open(directory_, {}, Disk::system(), {}, anchored);
  }
  static auto refusal(const std::string& words) {
    return ErrorIs(Code::audit_unavailable,
                   AllOf(HasSubstr(words), HasSubstr("by the last note of /mnt/anchor"),
                         HasSubstr("nothing was changed. Bring the audit directory back"),
                         HasSubstr("--audit-lost")));
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const TestKey key_;
  std::vector<Head> heads_;
};

TEST_F(HeldHeadsTest, AHeadOfEachLengthThatTheLogHadIsHeld) {
  for (const Head& head : heads_) EXPECT_THAT(open({{head, "/mnt/anchor"}}), Succeeds());
  EXPECT_THAT(open({{heads_[4], "a"}, {heads_[0], "b"}, {heads_[4], "c"}}), Succeeds());
}

TEST_F(HeldHeadsTest, ALogThatIsShorterThanItWasIsRefused) {
  EXPECT_THAT(
      open({{{.size = 5, .root = heads_[4].root}, "/mnt/anchor"}}),
      refusal("shorter than it was when it was anchored: " + directory_ + " has 4 records of 5"));
}

TEST_F(HeldHeadsTest, AnotherLogOfTheSameLengthIsRefused) {
  for (std::uint64_t size = 0; size <= 4; ++size) {
    const Head forged{.size = size, .root = leaf_hash("forged")};
    EXPECT_THAT(open({{heads_[2], "elsewhere"}, {forged, "/mnt/anchor"}}),
                refusal("not the one that was anchored: " + directory_ + " up to record " +
                        std::to_string(size)));
  }
}

// What is refused stays as it was found, a torn line too.
TEST_F(HeldHeadsTest, ARefusalChangesNothing) {
  const std::string torn = slurp(segment_) + "{\"v\":1,";
  spit(segment_, torn);
  EXPECT_THAT(open({{{.size = 5, .root = heads_[4].root}, "/mnt/anchor"}}), refusal("shorter"));
  EXPECT_EQ(slurp(segment_), torn);
}

// The log's own checkpoint still counts, in its own words.
TEST_F(HeldHeadsTest, AnAnchorDoesNotStandForTheLogsOwnCheckpoint) {
  const std::string text = slurp(segment_);
  spit(segment_, text.substr(0, text.find('\n') + 1));
  EXPECT_THAT(open({{heads_[1], "/mnt/anchor"}}),
              ErrorIs(Code::audit_unavailable, HasSubstr("shorter than its last checkpoint")));
}

}  // namespace
}  // namespace hsm::audit
