// Opening: what a crash, an attacker or an operator may have left.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "hsm_signer/audit/log.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uid_t kSomebody = 65533;  // Unprivileged, and not nobody (65534).

class Recovery : public ::testing::Test {
 protected:
  Recovery() {
    const auto log = Log::open(directory_);
    EXPECT_THAT(log, Succeeds());
    write_records(**log, {start_record(), allow_record(1, 1), refuse_record()});
    seal_head(**log, key_);
    write_records(**log, {allow_record(2, 2)});
  }

  Result<std::unique_ptr<Log>> open() { return Log::open(directory_); }
  // A refusal changes nothing: what is there may be evidence.
  void expect_refused(std::string_view sentence) {
    const std::string segment = slurp(segment_);
    const std::string notes = slurp(notes_);
    EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable, AllOf(HasSubstr(std::string{sentence}),
                                                               HasSubstr("nothing was changed"))));
    EXPECT_EQ(slurp(segment_), segment);
    EXPECT_EQ(slurp(notes_), notes);
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const std::string notes_ = directory_ + "/checkpoints";
  const TestKey key_;
};

TEST_F(Recovery, GoesOnWhereTheLogEnded) {
  std::vector<std::uint64_t> seen;
  auto log = Log::open(directory_, [&](const Record& record) { seen.push_back(record.seq); });
  ASSERT_THAT(log, Succeeds());
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ((*log)->recovered().records, 4U);
  EXPECT_EQ((*log)->recovered().checkpoints, 1U);
  EXPECT_EQ((*log)->recovered().sealed, 3U);
  EXPECT_EQ((*log)->recovered().cut_bytes, 0U);
  EXPECT_EQ((*log)->durable_size(), 4U);
  EXPECT_EQ(*(*log)->append(allow_record(3, 3)), 5U);
  ASSERT_THAT((*log)->flush(), Succeeds());
  const Head head = (*log)->head();
  log->reset();
  EXPECT_EQ((*open())->head(), head);
}

TEST_F(Recovery, VisitsTheNoncesThatWereSigned) {
  std::string last;
  const auto log = Log::open(directory_, [&](const Record& record) {
    if (!record.nonce.empty()) last = record.api_key_id + " " + record.nonce;
  });
  EXPECT_EQ(last, "account-AbC123 2");
}

TEST_F(Recovery, CutsEveryTornLastLineAndSaysHowMuch) {
  const std::string whole = slurp(segment_);
  const std::string line = whole.substr(whole.rfind('\n', whole.size() - 2) + 1);
  for (const std::size_t torn : {std::size_t{1}, line.size() / 2, line.size() - 1}) {
    spit(segment_, whole + line.substr(0, torn));
    const auto log = open();
    ASSERT_THAT(log, Succeeds());
    EXPECT_EQ((*log)->recovered().cut_bytes, torn);
    EXPECT_EQ((*log)->size(), 4U);
    EXPECT_EQ(slurp(segment_), whole);
  }
}

TEST_F(Recovery, CutsWhatAPowerCutLeftAsZeros) {
  const std::string whole = slurp(segment_);
  spit(segment_, whole + std::string(5000, '\0'));
  const auto log = open();
  ASSERT_THAT(log, Succeeds());
  EXPECT_EQ((*log)->recovered().cut_bytes, 5000U);
}

// The size of many writes and the bytes of the last of them reached the disk before the power went.
TEST_F(Recovery, CutsZerosThatALaterWriteStandsBehind) {
  const std::string whole = slurp(segment_);
  const std::string line = whole.substr(whole.rfind('\n', whole.size() - 2) + 1);
  for (const std::size_t zeros : {std::size_t{1}, std::size_t{4096}, 3 * kLineLimit}) {
    for (const std::string& before : {std::string{}, line.substr(0, line.size() / 2)}) {
      const std::string rest = before + std::string(zeros, '\0') + line + line;
      spit(segment_, whole + rest);
      const auto log = open();
      ASSERT_THAT(log, Succeeds()) << zeros;
      EXPECT_EQ((*log)->recovered().cut_bytes, rest.size());
      EXPECT_EQ((*log)->size(), 4U);
      EXPECT_EQ(slurp(segment_), whole);
    }
  }
}

TEST_F(Recovery, RefusesZerosInWhatIsSealed) {
  std::string text = slurp(segment_);
  const std::size_t second = text.find('\n') + 1;
  spit(segment_, text.replace(second, 10, std::string(10, '\0')));
  expect_refused("shorter than its last checkpoint");
}

TEST_F(Recovery, CutsACheckpointThatBeginsWithZeros) {
  const std::string whole = slurp(notes_);
  for (std::size_t zeros = 1; zeros <= whole.size(); ++zeros) {
    std::string torn = whole;
    spit(notes_, whole + torn.replace(0, zeros, std::string(zeros, '\0')));
    const auto log = open();
    ASSERT_THAT(log, Succeeds()) << zeros;
    EXPECT_EQ((*log)->recovered().checkpoints, 1U);
    EXPECT_EQ(slurp(notes_), whole);
  }
}

TEST_F(Recovery, CutsATornCheckpoint) {
  const std::string whole = slurp(notes_);
  for (const std::size_t torn : {std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    spit(notes_, whole + whole.substr(0, torn));
    const auto log = open();
    ASSERT_THAT(log, Succeeds()) << torn;
    EXPECT_EQ((*log)->recovered().checkpoints, 1U);
    EXPECT_EQ(slurp(notes_), whole);
  }
}

TEST_F(Recovery, RefusesALogShorterThanItsLastCheckpoint) {
  std::string text = slurp(segment_);
  for (int lines = 0; lines < 2; ++lines) text.erase(text.rfind('\n', text.size() - 2) + 1);
  spit(segment_, text);
  expect_refused("shorter than its last checkpoint");
  // The same cut within the line, so that the rest looks torn.
  spit(segment_, text + "{\"v\":1");
  expect_refused("shorter than its last checkpoint");
  ASSERT_EQ(::unlink(segment_.c_str()), 0);
  expect_refused("shorter than its last checkpoint");
}

TEST_F(Recovery, RefusesALogThatDiffersFromItsLastCheckpoint) {
  std::string text = slurp(segment_);
  const std::size_t at = text.find("\"amount\":\"0.5\"");
  text.replace(at, 14, "\"amount\":\"0.1\"");
  spit(segment_, text);
  expect_refused("differs from its last checkpoint");
}

TEST_F(Recovery, RefusesADamagedLineInTheMiddle) {
  const std::string text = slurp(segment_);
  std::string damaged = text;
  damaged[text.find("\"kind\"", text.size() / 2)] = '?';
  spit(segment_, damaged);
  expect_refused("audit-000001.jsonl:");
  spit(segment_, text + std::string(kLineLimit + 1, 'x') + "\n");
  expect_refused("longer than any record");
  spit(segment_, text + "\n");
  expect_refused("audit-000001.jsonl:5");
}

TEST_F(Recovery, RefusesALineThatIsMissingOrRepeated) {
  const std::string text = slurp(segment_);
  const std::string last = text.substr(text.rfind('\n', text.size() - 2) + 1);
  spit(segment_, text + last);
  expect_refused("sequence 4 where 5 belongs");
  spit(segment_, text.substr(text.find('\n') + 1));
  expect_refused("sequence 2 where 1 belongs");
}

TEST_F(Recovery, RefusesADamagedCheckpoint) {
  std::string notes = slurp(notes_);
  notes[notes.find('\n') + 1] = 'x';
  spit(notes_, notes);
  expect_refused("checkpoints are damaged");
  spit(notes_, std::string(20000, 'x') + "\n\n\n");
  expect_refused("checkpoints are damaged");
}

TEST_F(Recovery, RefusesASecondOpenerWhileTheFirstLives) {
  auto first = open();
  ASSERT_THAT(first, Succeeds());
  EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable, HasSubstr("another process writes")));
  EXPECT_EQ(in_child([&] {
              const auto second = open();
              return !second && second.error().code == Code::audit_unavailable ? 0 : 1;
            }),
            0);
  first->reset();
  EXPECT_THAT(open(), Succeeds());
}

TEST_F(Recovery, RefusesADirectoryThatOthersMayWrite) {
  for (const mode_t mode : {0770U, 0707U, 0777U}) {
    ASSERT_EQ(::chmod(directory_.c_str(), mode), 0);
    EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable, HasSubstr("written by others")));
  }
  ASSERT_EQ(::chmod(directory_.c_str(), 0750), 0);  // Auditors may read.
  EXPECT_THAT(open(), Succeeds());
}

TEST_F(Recovery, RefusesWhatIsNoFileOfItsOwn) {
  const std::string moved = dir_ / "moved";
  ASSERT_EQ(::rename(segment_.c_str(), moved.c_str()), 0);
  ASSERT_EQ(::symlink(moved.c_str(), segment_.c_str()), 0);
  EXPECT_THAT(open(), ErrorIs(Code::audit_unavailable, HasSubstr("audit-000001.jsonl")));
  EXPECT_THAT(Log::open(moved), ErrorIs(Code::audit_unavailable));
  EXPECT_THAT(Log::open(dir_ / "no" + "/such"),
              ErrorIs(Code::audit_unavailable, HasSubstr("No such")));
}

// As an unprivileged user: root may write whatever the mode says.
TEST_F(Recovery, RefusesADirectoryThatItMayNotWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const auto as_somebody = [&] {
    return in_child([&] {
      if (::setgid(kSomebody) != 0 || ::setuid(kSomebody) != 0) return 10;
      const auto log = open();
      if (log) return 0;
      return log.error().code == Code::audit_unavailable &&
                     log.error().sentence().find("Permission denied") != std::string::npos
                 ? 1
                 : 2;
    });
  };
  // Somebody else's, readable.
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  EXPECT_EQ(as_somebody(), 1);
  // Their own, but a file in it is not; then everything is theirs, and it works.
  ASSERT_EQ(::chown(directory_.c_str(), kSomebody, kSomebody), 0);
  EXPECT_EQ(as_somebody(), 1);
  for (const std::string& path : {segment_, notes_})
    ASSERT_EQ(::chown(path.c_str(), kSomebody, kSomebody), 0);
  EXPECT_EQ(as_somebody(), 0);
}

}  // namespace
}  // namespace hsm::audit
