// A log and the anchor that was kept elsewhere: what nothing in the log's own directory tells.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "hsm_signer/audit/verify.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

class Anchored : public ::testing::Test {
 protected:
  // Sealed over 2, 4 and 6 of 7 records; anchored at 2 and 6.
  Anchored() {
    const auto log = Log::open(directory_);
    EXPECT_THAT(log, Succeeds());
    for (std::uint64_t i = 1; i <= 7; ++i) {
      write_records(**log, {allow_record(i, i)});
      if (i % 2 != 0) continue;
      seal_head(**log, key_);
      if (i != 4) anchor_text_ += slurp(directory_ + "/checkpoints").substr(anchor_end_);
      anchor_end_ = slurp(directory_ + "/checkpoints").size();
    }
    spit(anchor_, anchor_text_);
    log_ = slurp(segment_);
    notes_ = slurp(notes_path_);
  }

  Verified verify() const {
    auto verified = verify_directory(directory_, pem_, WithoutSeal::fails, anchor_);
    EXPECT_THAT(verified, Succeeds());
    return verified ? *std::move(verified) : Verified{};
  }
  bool passes_without_anchor() const {
    const auto verified = verify_directory(directory_, pem_);
    return verified && verified->ok();
  }
  static auto found_at(const std::string& file, std::uint64_t line, const std::string& words) {
    return ::testing::AllOf(Field(&Finding::severity, Severity::failure),
                            Field(&Finding::file, file), Field(&Finding::line, line),
                            Field(&Finding::sentence, HasSubstr(words)));
  }
  static std::vector<Finding> failures(const Verified& verified) {
    std::vector<Finding> failures;
    for (const Finding& finding : verified.findings)
      if (finding.severity == Severity::failure) failures.push_back(finding);
    return failures;
  }
  std::string first_lines(std::size_t count) const {
    std::size_t at = 0;
    for (std::size_t i = 0; i < count; ++i) at = log_.find('\n', at) + 1;
    return log_.substr(0, at);
  }
  static std::string first_notes(const std::string& text, std::size_t count) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < 2 * count; ++i) at = text.find("\n\n", at) + 2;
    return text.substr(0, at);
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const std::string notes_path_ = directory_ + "/checkpoints";
  const std::string anchor_ = dir_ / "anchor";
  const TestKey key_;
  const std::string pem_ = key_.public_pem();
  std::string anchor_text_;
  std::size_t anchor_end_ = 0;
  std::string log_;
  std::string notes_;
};

TEST_F(Anchored, HoldsEachNoteOfItsAnchor) {
  const Verified verified = verify();
  EXPECT_TRUE(verified.ok());
  EXPECT_EQ(verified.anchors, 2U);
  EXPECT_EQ(verified.anchored, 6U);
  EXPECT_EQ(verified.checkpoints, 3U);
  EXPECT_EQ(verified.unsealed, 1U);
}

TEST_F(Anchored, EveryBitOfTheAnchorIsGuardedAndNamed) {
  const OwnedFd file{::open(anchor_.c_str(), O_WRONLY | O_CLOEXEC)};
  for (std::size_t bit = 0; bit < anchor_text_.size() * 8; ++bit) {
    const auto at = static_cast<off_t>(bit / 8);
    const auto flipped = static_cast<char>(anchor_text_[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(::pwrite(file.get(), &flipped, 1, at), 1);
    const std::vector<Finding> found = failures(verify());
    EXPECT_FALSE(found.empty()) << "bit " << bit;
    for (const Finding& finding : found) EXPECT_EQ(finding.file, anchor_) << finding.sentence;
    ASSERT_EQ(::pwrite(file.get(), &anchor_text_[bit / 8], 1, at), 1);
  }
}

TEST_F(Anchored, EveryCutOfTheAnchorInsideANoteIsFound) {
  const std::size_t whole = first_notes(anchor_text_, 1).size();
  for (std::size_t size = 0; size < anchor_text_.size(); ++size) {
    spit(anchor_, std::string_view{anchor_text_}.substr(0, size));
    // An anchor that ends earlier says less, and nothing that is wrong.
    EXPECT_EQ(verify().ok(), size == whole) << size;
  }
}

TEST_F(Anchored, AnAnchorThatSaysNothingProvesNothing) {
  spit(anchor_, "");
  EXPECT_THAT(failures(verify()), ElementsAre(found_at(anchor_, 0, "proves nothing")));
}

TEST_F(Anchored, AnAnchorThatCannotBeReadIsNotPassed) {
  std::filesystem::remove(anchor_);
  EXPECT_THAT(verify_directory(directory_, pem_, WithoutSeal::fails, anchor_),
              ErrorIs(Code::usage, HasSubstr(anchor_)));
  std::filesystem::create_directory(anchor_);
  EXPECT_THAT(verify_directory(directory_, pem_, WithoutSeal::fails, anchor_),
              ErrorIs(Code::usage, HasSubstr(anchor_)));
}

TEST_F(Anchored, TheLastCheckpointCutTogetherWithItsRecordsIsFound) {
  spit(segment_, first_lines(4));
  spit(notes_path_, first_notes(notes_, 2));
  EXPECT_TRUE(passes_without_anchor());
  EXPECT_THAT(failures(verify()),
              ElementsAre(found_at(anchor_, 7, "cut since it was anchored at 6: it has 4")));
}

TEST_F(Anchored, TheLastCheckpointCutAloneIsFound) {
  spit(notes_path_, first_notes(notes_, 2));
  EXPECT_TRUE(passes_without_anchor());
  EXPECT_THAT(failures(verify()),
              ElementsAre(found_at(anchor_, 7, "checkpoints were cut since it was anchored at 6")));
}

TEST_F(Anchored, AnEarlierCopyInThePlaceOfTheLogIsFound) {
  spit(segment_, first_lines(3));
  spit(notes_path_, first_notes(notes_, 1));
  EXPECT_TRUE(passes_without_anchor());
  EXPECT_THAT(failures(verify()), ElementsAre(found_at(anchor_, 7, "since it was anchored at 6")));
}

// By somebody who has the token too: the forgery verifies by itself.
TEST_F(Anchored, ALogRewrittenWithTheRightKeyIsFound) {
  std::filesystem::remove_all(directory_);
  {
    const auto log = Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    write_records(**log, {allow_record(1, 1), allow_record(2, 2), allow_record(30, 3)});
    seal_head(**log, key_);
    for (std::uint64_t i = 4; i <= 9; ++i) write_records(**log, {allow_record(i + 30, i)});
    seal_head(**log, key_);
  }
  EXPECT_TRUE(passes_without_anchor());
  EXPECT_THAT(failures(verify()),
              ElementsAre(found_at(anchor_, 7, "rewritten since it was anchored at 6 records")));
}

TEST_F(Anchored, ALogAndCheckpointsResealedWithAnotherKeyAreFound) {
  const TestKey other;
  std::filesystem::remove_all(directory_);
  {
    const auto log = Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    write_records(**log, {allow_record(1, 1), allow_record(2, 2)});
    seal_head(**log, other);
  }
  // Under the right key the checkpoints fail; under the forger's, given with the log, the anchor.
  EXPECT_FALSE(passes_without_anchor());
  const auto verified =
      verify_directory(directory_, other.public_pem(), WithoutSeal::fails, anchor_);
  ASSERT_THAT(verified, Succeeds());
  EXPECT_THAT(failures(*verified), ElementsAre(found_at(anchor_, 1, "not signed with this key"),
                                               found_at(anchor_, 7, "not signed with this key"),
                                               found_at(anchor_, 0, "proves nothing")));
}

TEST_F(Anchored, NotesOfAnAnchorThatFallAreFound) {
  spit(anchor_, anchor_text_ + first_notes(anchor_text_, 1));
  EXPECT_THAT(failures(verify()),
              ElementsAre(found_at(anchor_, 13, "over 2 records after one over 6")));
}

TEST_F(Anchored, NothingLeftOfALogOrItsCheckpointsIsFound) {
  spit(segment_, "");
  spit(notes_path_, "");
  EXPECT_THAT(failures(verify()),
              ElementsAre(found_at(anchor_, 1, "cut since it was anchored at 2: it has 0"),
                          found_at(anchor_, 7, "cut since it was anchored at 6: it has 0"),
                          found_at("audit-000001.jsonl", 1, "nothing proves this log")));
  EXPECT_FALSE(passes_without_anchor()) << "nor is it a log";
}

// Still so: docs/audit.md, "Not detectable".
TEST_F(Anchored, WhatCameAfterTheLastAnchoringIsNotGuardedByIt) {
  spit(segment_, first_lines(6));
  EXPECT_TRUE(verify().ok());
}

}  // namespace
}  // namespace hsm::audit
