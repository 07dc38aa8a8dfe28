// Writing: one write per flush, and what happens where the disk fails.
#include "hsm_signer/audit/log.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "hsm_signer/audit/segments.h"
#include "hsm_signer/audit/verify.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/faulty_disk.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

class Logs : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(const Log::Visit& visit = {}) {
    auto log = Log::open(directory_, visit, disk_);
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  std::string segment() const { return slurp(directory_ + "/" + segment_name(1)); }
  std::vector<Record> records() {
    std::vector<Record> all;
    open([&](const Record& record) { all.push_back(record); });
    return all;
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const TestKey key_;
  FaultyDisk disk_;
};

TEST_F(Logs, ANewOneIsForThisUserAlone) {
  const auto log = open();
  struct stat status {};
  ASSERT_EQ(::stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat((directory_ + "/audit-000001.jsonl").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_EQ(log->size(), 0U);
  EXPECT_EQ(log->root(), sha256({}));
}

TEST_F(Logs, OneFlushIsOneWriteHoweverManyRecords) {
  const auto log = open();
  for (std::uint64_t i = 1; i <= 64; ++i) {
    const auto seq = log->append(allow_record(i, i));
    ASSERT_THAT(seq, Succeeds());
    EXPECT_EQ(*seq, i);
  }
  EXPECT_EQ(disk_.writes, 0);
  EXPECT_EQ(log->size(), 0U);
  EXPECT_TRUE(log->has_unflushed());
  ASSERT_THAT(log->flush(), Succeeds());
  EXPECT_EQ(disk_.writes, 1);
  EXPECT_EQ(log->size(), 64U);
  EXPECT_FALSE(log->has_unflushed());
  ASSERT_THAT(log->flush(), Succeeds());
  EXPECT_EQ(disk_.writes, 1);
}

TEST_F(Logs, DurableIsOnlyWhatASyncCovered) {
  const auto log = open();
  ASSERT_THAT(log->append(allow_record(1, 1)), Succeeds());
  EXPECT_EQ(*log->sync(), 0U);
  ASSERT_THAT(log->flush(), Succeeds());
  EXPECT_EQ(log->durable_size(), 0U);
  EXPECT_EQ(*log->sync(), 1U);
  EXPECT_EQ(log->durable_size(), 1U);
}

TEST_F(Logs, TheRootIsThatOfTheLinesInTheFile) {
  const auto log = open();
  write_records(*log, {start_record(), allow_record(1, 1), refuse_record()});
  Tree tree;
  const std::string text = segment();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    tree.append(leaf_hash(std::string_view{text}.substr(at, end - at)));
    at = end + 1;
  }
  EXPECT_EQ(log->head(), (Head{.size = 3, .root = tree.root()}));
}

TEST_F(Logs, AMalformedRecordIsRefusedAndTheOthersOfItsTurnAreWritten) {
  const auto log = open();
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  Record malformed = refuse_record();
  malformed.sentence = "\xff";
  EXPECT_THAT(log->append(malformed), ErrorIs(Code::internal));
  EXPECT_EQ(*log->append(refuse_record()), 2U);
  ASSERT_THAT(log->flush(), Succeeds());
  EXPECT_EQ(log->size(), 2U);
}

// The worker counted this MAC; without a gap the log would not verify.
TEST_F(Logs, AnAllowThatCannotBeWrittenDownBecomesAGap) {
  auto log = open();
  Record malformed = allow_record(1, 1);
  malformed.rule = "\xff";
  EXPECT_THAT(log->append(malformed), ErrorIs(Code::internal));
  write_records(*log, {allow_record(2, 2)});
  log.reset();
  const std::vector<Record> all = records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].kind, Kind::gap);
  EXPECT_EQ(all[0].from, 1U);
  EXPECT_EQ(all[0].to, 1U);
}

struct Fault {
  const char* name;
  int error;
  std::optional<std::size_t> short_write;
};

TEST_F(Logs, AFailedOrShortWriteLeavesNothingAndWorksAgainLater) {
  const Fault faults[] = {{"ENOSPC", ENOSPC, {}}, {"EIO", EIO, {}},   {"EROFS", EROFS, {}},
                          {"nothing", 0, 0},      {"one byte", 0, 1}, {"most of it", 0, 900}};
  auto log = open();
  write_records(*log, {start_record(), allow_record(1, 1)});
  std::uint64_t next = 2;
  for (const Fault& fault : faults) {
    const std::string before = segment();
    const Head head = log->head();
    disk_.write_errno = fault.error;
    disk_.short_write = fault.short_write;
    EXPECT_EQ(*log->append(allow_record(next, next)), head.size + 1);
    EXPECT_EQ(*log->append(allow_record(next + 1, next + 1)), head.size + 2);
    EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable, HasSubstr("nothing is signed")))
        << fault.name;
    EXPECT_EQ(segment(), before) << fault.name;
    EXPECT_EQ(log->head(), head) << fault.name;
    EXPECT_FALSE(log->has_unflushed());

    disk_.write_errno = 0;
    disk_.short_write.reset();
    // The gap of the two that were dropped comes first.
    EXPECT_EQ(*log->append(allow_record(next + 2, next + 2)), head.size + 2) << fault.name;
    ASSERT_THAT(log->flush(), Succeeds());
    EXPECT_EQ(log->size(), head.size + 2);
    next += 3;
  }
  ASSERT_THAT(log->sync(), Succeeds());
  seal_head(*log, key_);
  log.reset();
  const auto verified = verify_directory(directory_, key_.public_pem());
  ASSERT_THAT(verified, Succeeds());
  EXPECT_THAT(verdict(*verified), Succeeds());
  EXPECT_EQ(verified->gaps, 12U);
}

TEST_F(Logs, LossesOfManyTurnsAreOneGapPerWorker) {
  auto log = open();
  disk_.write_errno = ENOSPC;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    ASSERT_THAT(log->append(allow_record(i, i)), Succeeds());
    ASSERT_THAT(log->flush(), ErrorIs(Code::audit_unavailable));
  }
  disk_.write_errno = 0;
  write_records(*log, {refuse_record()});
  log.reset();
  const std::vector<Record> all = records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].from, 1U);
  EXPECT_EQ(all[0].to, 20U);
  EXPECT_EQ(all[0].worker, kWorker);
}

TEST_F(Logs, ATornLineThatCannotBeCutBlocksUntilItCan) {
  auto log = open();
  write_records(*log, {allow_record(1, 1)});
  const std::string before = segment();
  disk_.short_write = 17;
  disk_.truncate_errno = EIO;
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable));
  EXPECT_EQ(segment().size(), before.size() + 17);

  disk_.short_write.reset();
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable, HasSubstr("torn line")));
  EXPECT_EQ(segment().size(), before.size() + 17);

  disk_.truncate_errno = 0;
  write_records(*log, {refuse_record()});
  log.reset();
  EXPECT_EQ(records().size(), 2U);
}

// The same with a real kernel refusing: a file size limit, and SIGXFSZ ignored, gives EFBIG or a
// short write as a full disk gives ENOSPC.
TEST_F(Logs, WorksAgainWhenTheKernelGivesSpaceBack) {
  const int outcome = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    auto log = Log::open(directory_);
    if (!log || !(*log)->append(allow_record(1, 1)) || !(*log)->flush()) return 10;
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlimit tight{segment().size() + 100, limit.rlim_max};
    if (::setrlimit(RLIMIT_FSIZE, &tight) != 0) return 11;
    if (!(*log)->append(allow_record(2, 2))) return 12;
    const auto refused = (*log)->flush();
    if (refused || refused.error().code != Code::audit_unavailable) return 13;
    if ((*log)->size() != 1 || !segment().ends_with("}\n")) return 14;
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 15;
    if (!(*log)->append(allow_record(3, 3)) || !(*log)->flush()) return 16;
    return (*log)->size() == 3 ? 0 : 17;
  });
  EXPECT_EQ(outcome, 0);
  EXPECT_EQ(records().size(), 3U);
}

TEST_F(Logs, AnFdatasyncErrorEndsItUntilARestart) {
  for (const int error : {EIO, ENOSPC, EINTR, EDQUOT}) {
    auto log = open();
    const std::uint64_t before = log->size();
    ASSERT_THAT(log->append(refuse_record()), Succeeds());
    ASSERT_THAT(log->flush(), Succeeds());
    disk_.sync_errno = error;
    EXPECT_THAT(log->sync(), ErrorIs(Code::audit_unavailable, HasSubstr("until a restart")));
    disk_.sync_errno = 0;
    EXPECT_THAT(log->sync(), ErrorIs(Code::audit_unavailable));
    EXPECT_THAT(log->append(refuse_record()), ErrorIs(Code::audit_unavailable));
    EXPECT_THAT(log->add_checkpoint(key_.note(log->size(), log->root())),
                ErrorIs(Code::audit_unavailable));
    EXPECT_TRUE(log->failure().has_value());
    EXPECT_EQ(log->durable_size(), before);
    log.reset();
    EXPECT_THAT(open()->append(refuse_record()), Succeeds());
  }
}

TEST_F(Logs, WhatWasAppendedBeforeAnFdatasyncErrorIsNotWrittenAfterIt) {
  auto log = open();
  ASSERT_THAT(log->append(refuse_record()), Succeeds());
  disk_.sync_errno = EIO;
  EXPECT_THAT(log->sync(), ErrorIs(Code::audit_unavailable));
  EXPECT_THAT(log->flush(), ErrorIs(Code::audit_unavailable));
  EXPECT_EQ(segment(), "");
}

TEST_F(Logs, CheckpointsAreRefusedUnlessTheySealWhatIsDurable) {
  const auto log = open();
  write_records(*log, {allow_record(1, 1), allow_record(2, 2)});
  seal_head(*log, key_);
  const Head sealed = log->head();
  ASSERT_THAT(log->append(allow_record(3, 3)), Succeeds());
  ASSERT_THAT(log->flush(), Succeeds());

  EXPECT_THAT(log->add_checkpoint(key_.note(log->size(), log->root())),
              ErrorIs(Code::audit_unavailable, HasSubstr("not durable yet")));
  ASSERT_THAT(log->sync(), Succeeds());
  EXPECT_THAT(log->add_checkpoint(key_.note(1, sealed.root)),
              ErrorIs(Code::audit_unavailable, HasSubstr("behind the last")));
  EXPECT_THAT(log->add_checkpoint(key_.note(2, log->root())),
              ErrorIs(Code::audit_unavailable, HasSubstr("behind the last")));
  EXPECT_THAT(log->add_checkpoint(key_.note(3, sealed.root)),
              ErrorIs(Code::audit_unavailable, HasSubstr("another root")));
  EXPECT_THAT(log->add_checkpoint(key_.note(4, log->root())), ErrorIs(Code::audit_unavailable));
  EXPECT_THAT(log->add_checkpoint("not a note"), ErrorIs(Code::audit_unavailable));
  EXPECT_THAT(log->add_checkpoint(key_.note(3, log->root())), Succeeds());
}

TEST_F(Logs, AFailedCheckpointIsCutBackAndMayBeTriedAgain) {
  auto log = open();
  write_records(*log, {allow_record(1, 1)});
  seal_head(*log, key_);
  const std::string path = directory_ + "/checkpoints";
  const std::string before = slurp(path);
  write_records(*log, {allow_record(2, 2)});
  disk_.short_write = 40;
  const std::string note = key_.note(2, log->root());
  EXPECT_THAT(log->add_checkpoint(note), ErrorIs(Code::audit_unavailable));
  EXPECT_EQ(slurp(path), before);
  disk_.short_write.reset();
  EXPECT_THAT(log->add_checkpoint(note), Succeeds());
  EXPECT_EQ(slurp(path), before + note + "\n");
}

TEST_F(Logs, SyncMakesCheckpointsDurableToo) {
  const auto log = open();
  write_records(*log, {allow_record(1, 1)});
  disk_.syncs = 0;
  ASSERT_THAT(log->sync(), Succeeds());
  EXPECT_EQ(disk_.syncs, 1);
  ASSERT_THAT(log->add_checkpoint(key_.note(1, log->root())), Succeeds());
  ASSERT_THAT(log->sync(), Succeeds());
  EXPECT_EQ(disk_.syncs, 3);
}

}  // namespace
}  // namespace hsm::audit
