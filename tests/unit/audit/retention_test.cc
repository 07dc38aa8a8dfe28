// Letting old records go: what is kept proves the rest, whatever somebody changes in it.
#include "hsm_signer/audit/retention.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "hsm_signer/audit/proof.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/let_go.h"

namespace hsm::audit {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto finding(Severity severity, const std::string& words) {
  return Contains(
      AllOf(Field(&Finding::severity, severity), Field(&Finding::sentence, HasSubstr(words))));
}

class Retention : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(const Log::Visit& visit = {}, const Log::VisitRetired& retired = {},
                            const std::vector<Anchored>& anchored = {}) {
    auto log = Log::open(directory_, visit, unsynced(), a_record_a_segment(), anchored, retired);
    EXPECT_THAT(log, Succeeds());
    return log ? *std::move(log) : nullptr;
  }
  // A log of `count` records that lost its first `gone`.
  void write(std::uint64_t count, std::uint64_t gone, Steps steps = {}) {
    std::filesystem::remove_all(directory_);
    const auto log = open();
    write_segments(*log, key_, count);
    EXPECT_THAT(let_go(*log, unsynced(), key_, gone, steps), Succeeds());
  }
  Verified verify(const std::string& anchor = {}) {
    auto verified = verify_directory(directory_, key_.public_pem(), WithoutSeal::fails, anchor);
    EXPECT_THAT(verified, Succeeds());
    return verified ? *std::move(verified) : Verified{};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{directory_})
      if (entry.path().filename() != kCheckpointsName) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const TestKey key_;
};

TEST_F(Retention, LetsSegmentsGoAndKeepsWhatTheyCameTo) {
  write(5, 3);
  EXPECT_THAT(names(), ElementsAre("audit-000004.jsonl", "audit-000005.jsonl", "audit-000006.jsonl",
                                   "audit-retired-000003.json"));
  struct stat status {};
  ASSERT_EQ(::stat(path("audit-retired-000003.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0400U);
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.records, 6U);
  EXPECT_EQ(verified.let_go, 3U);
  EXPECT_EQ(verified.allowed, 2U);
  EXPECT_EQ(verified.sealed, 6U);
  EXPECT_THAT(verified.findings,
              finding(Severity::note, "records 1 to 3 were let go on " + rfc3339(nth_time(1000)) +
                                          " by alice,bob (retention record 6)"));
}

TEST_F(Retention, LeavesALogThatVerifiesWhereverItIsCut) {
  for (std::uint64_t gone = 1; gone <= 17; ++gone) {
    write(20, gone);
    const Verified verified = verify();
    EXPECT_THAT(verdict(verified), Succeeds()) << gone;
    EXPECT_EQ(verified.let_go, gone);
    const auto log = open();
    EXPECT_EQ(log->size(), 21U);
    EXPECT_EQ(log->root(), verified.root);
    write_more(*log, key_, 1);
    EXPECT_EQ(verify().records, 22U);
    EXPECT_TRUE(verify().ok());
  }
}

TEST_F(Retention, GoesOnFromWhatIsKeptASecondTime) {
  write(9, 3);
  const auto log = open();
  EXPECT_THAT(let_go(*log, unsynced(), key_, 7), Succeeds());
  EXPECT_THAT(names(), ElementsAre("audit-000008.jsonl", "audit-000009.jsonl", "audit-000010.jsonl",
                                   "audit-000011.jsonl", "audit-retired-000007.json"));
  const Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.let_go, 7U);
  EXPECT_THAT(verified.findings, finding(Severity::note, "(retention record 11)"));
}

TEST_F(Retention, TellsAStartWhatTheRecordsCameTo) {
  write(5, 3);
  std::vector<std::string> seen;
  std::optional<Retired> retired;
  const auto log = open([&](const Record& record) { seen.push_back(std::to_string(record.seq)); },
                        [&](const Retired& state) {
                          EXPECT_THAT(seen, IsEmpty());
                          retired = state;
                        });
  EXPECT_THAT(seen, ElementsAre("4", "5", "6"));
  ASSERT_TRUE(retired);
  EXPECT_EQ(retired->records(), 3U);
  EXPECT_THAT(retired->nonces, ElementsAre(RetiredNonce{
                                   .api_key_id = "account-AbC123", .nonce = "3", .unspent = 3}));
  ASSERT_EQ(retired->workers.size(), 1U);
  EXPECT_EQ(retired->workers[0].worker, kWorker);
  EXPECT_EQ(retired->workers[0].last, 3U);
  EXPECT_EQ(retired->workers[0].seq, 3U);
  EXPECT_TRUE(retired->workers[0].digest);
  EXPECT_EQ(log->recovered().records, 6U);
  EXPECT_EQ(log->unfinished(), Unfinished{});
}

TEST_F(Retention, CountsNoSignatureAsUnspentThatABurntNonceIsAbove) {
  const auto log = open();
  write_segments(*log, key_, 2);
  Record burn = nth_record(3);
  burn.op = kPanicOp;
  burn.endpoint = kBurnEndpoint;
  write_records(*log, {burn});
  write_segments(*log, key_, 3);
  const auto cut = plan(*log, 5);
  ASSERT_THAT(cut, Succeeds());
  const auto state = state_after(directory_, key_.public_pem(), *cut);
  ASSERT_THAT(state, Succeeds());
  EXPECT_EQ(state->nonces.at(0).unspent, 2U);
  EXPECT_EQ(state->nonces.at(0).nonce, "5");
}

TEST_F(Retention, AccountsForAWorkersMacsOverTheCut) {
  const auto log = open();
  write_segments(*log, key_, 4);
  write_records(*log, {usage_record(key_, 4)});
  write_segments(*log, key_, 0);
  EXPECT_THAT(let_go(*log, unsynced(), key_, 2), Succeeds());
  EXPECT_TRUE(verify().ok());
  Record next = allow_record(9, 5);
  write_records(*log, {next});
  seal_head(*log, key_);
  EXPECT_TRUE(verify().ok());
  write_records(*log, {allow_record(10, 7)});
  seal_head(*log, key_);
  EXPECT_THAT(verify().findings, finding(Severity::failure, "without a record or gap: 6"));
}

TEST_F(Retention, StillFindsANonceThatDoesNotRiseOverTheCut) {
  write(5, 5);
  const auto log = open();
  write_records(*log, {allow_record(5, 6)});
  seal_head(*log, key_);
  EXPECT_THAT(verify().findings, finding(Severity::failure, "nonce 5 of account-AbC123"));
}

TEST_F(Retention, IsFoundWhereAnyBitOfTheStateIsFlipped) {
  write(3, 2);
  const std::string name = path("audit-retired-000002.json");
  const std::string text = slurp(name);
  ASSERT_GT(text.size(), 100U);
  ASSERT_EQ(::chmod(name.c_str(), 0600), 0);
  const OwnedFd file{::open(name.c_str(), O_WRONLY | O_CLOEXEC)};
  ASSERT_TRUE(file.valid());
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    // The byte before is as it was again.
    if (bit % 8 == 0 && bit != 0) {
      ASSERT_EQ(::pwrite(file.get(), &text[bit / 8 - 1], 1, static_cast<off_t>(bit / 8 - 1)), 1);
    }
    const auto flipped = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(::pwrite(file.get(), &flipped, 1, static_cast<off_t>(bit / 8)), 1);
    const auto verified = verify_directory(directory_, key_.public_pem());
    ASSERT_FALSE(verified && verified->ok()) << "bit " << bit;
  }
}

TEST_F(Retention, IsRefusedWithoutTheStateOrWithThatOfAnotherLog) {
  write(5, 3);
  const std::string name = path("audit-retired-000003.json");
  const std::string own = slurp(name);
  std::filesystem::remove(name);
  EXPECT_THAT(verify_directory(directory_, key_.public_pem()),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000001.jsonl")));
  EXPECT_THAT(Log::open(directory_, {}, unsynced()),
              ErrorIs(Code::audit_unavailable, HasSubstr("missing")));
  const TempDir other;
  const auto log = Log::open(other / "audit", {}, unsynced(), a_record_a_segment());
  Record record = nth_record(1);
  record.reference = "another";
  write_records(**log, {record});
  write_segments(**log, key_, 3);
  ASSERT_THAT(let_go(**log, unsynced(), key_, 3, {.remove = false}), Succeeds());
  spit(name, slurp(other / "audit/audit-retired-000003.json"));
  EXPECT_THAT(verify().findings, finding(Severity::failure, "the log differs"));
  EXPECT_THAT(verify().findings, finding(Severity::failure, "no officers' retention explains it"));
  EXPECT_THAT(Log::open(directory_, {}, unsynced()), ErrorIs(Code::audit_unavailable));
  spit(name, own);
  EXPECT_TRUE(verify().ok());
}

TEST_F(Retention, IsRefusedWithoutARecordUnderACheckpoint) {
  write(5, 3, {.record = false});
  EXPECT_THAT(verify().findings, finding(Severity::failure, "no officers' retention explains it"));
  EXPECT_THAT(Log::open(directory_, {}, unsynced()),
              ErrorIs(Code::audit_unavailable, HasSubstr("no record")));
  write(5, 3, {.seal = false});
  EXPECT_THAT(verify().findings, finding(Severity::failure, "(6) is under no checkpoint"));
  EXPECT_THAT(Log::open(directory_, {}, unsynced()),
              ErrorIs(Code::audit_unavailable, HasSubstr("under no checkpoint")));
}

TEST_F(Retention, IsRefusedWhereTheRecordWasChanged) {
  write(5, 3);
  const std::string last = path("audit-000006.jsonl");
  std::string text = slurp(last);
  text.replace(text.find("alice,bob"), 9, "alice,eve");
  spit(last, text);
  EXPECT_FALSE(verify().ok());
  EXPECT_THAT(Log::open(directory_, {}, unsynced()), ErrorIs(Code::audit_unavailable));
}

TEST_F(Retention, VerifiesEverythingWhereTheArchiveIsBroughtBackAndNothingWhereAPartIs) {
  write(5, 3, {.remove = false});
  const std::string first = slurp(path("audit-000001.jsonl"));
  const std::string second = slurp(path("audit-000002.jsonl"));
  Verified verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.let_go, 0U);
  EXPECT_EQ(verified.allowed, 5U);
  EXPECT_THAT(verified.findings, finding(Severity::note, "is still there, so it was not used"));
  ASSERT_THAT(remove_before(directory_, unsynced(), 4), Succeeds());
  spit(path("audit-000001.jsonl"), first);
  EXPECT_THAT(verify_directory(directory_, key_.public_pem()),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000002.jsonl")));
  EXPECT_THAT(Log::open(directory_, {}, unsynced()),
              ErrorIs(Code::audit_unavailable, HasSubstr("missing")));
  std::filesystem::remove(path("audit-000001.jsonl"));
  spit(path("audit-000002.jsonl"), second);
  verified = verify();
  EXPECT_THAT(verdict(verified), Succeeds());
  EXPECT_EQ(verified.let_go, 3U);
  EXPECT_THAT(verified.findings, finding(Severity::warning, "still there in part (1 files)"));
}

TEST_F(Retention, SaysOfSmallerCheckpointsThatTheyCannotBeCompared) {
  const auto log = open();
  for (int i = 0; i < 4; ++i) write_segments(*log, key_, 1);
  ASSERT_THAT(let_go(*log, unsynced(), key_, 3), Succeeds());
  Verified verified = verify();
  EXPECT_TRUE(verified.ok());
  EXPECT_EQ(verified.uncompared, 2U);  // Over 1 and 2; that over 3 is the state's own root.
  EXPECT_EQ(verified.checkpoints, 3U);
  EXPECT_THAT(verified.findings, finding(Severity::note, "of 2 checkpoints over fewer records"));
  std::string notes = slurp(path("checkpoints"));
  notes[notes.find("\n1\n") + 5] ^= 1;
  spit(path("checkpoints"), notes);
  EXPECT_FALSE(verify().ok());
}

TEST_F(Retention, ComparesTheAnchorWithWhatIsKept) {
  const auto log = open();
  write_segments(*log, key_, 2);
  const std::string small = key_.note(log->size(), log->root()) + "\n";
  write_segments(*log, key_, 3);
  const std::string large = key_.note(log->size(), log->root()) + "\n";
  ASSERT_THAT(let_go(*log, unsynced(), key_, 4), Succeeds());
  spit(dir_ / "anchor", small + large);
  const Verified verified = verify(dir_ / "anchor");
  EXPECT_TRUE(verified.ok());
  EXPECT_EQ(verified.anchors, 1U);
  EXPECT_EQ(verified.anchored, 5U);
  spit(dir_ / "anchor", small);
  EXPECT_THAT(verify(dir_ / "anchor").findings,
              finding(Severity::failure, "is over records that were let go"));
}

TEST_F(Retention, DoesNotStartWithAnAnchorThatOnlyKnowsWhatWasLetGo) {
  write(5, 3);
  const Anchored older{.head = {.size = 2, .root = {}}, .where = "/mnt/anchor"};
  EXPECT_THAT(Log::open(directory_, {}, unsynced(), {}, {older}),
              ErrorIs(Code::audit_unavailable, HasSubstr("let go beyond what was anchored")));
}

TEST_F(Retention, ProvesWhatIsKeptAndNamesTheArchiveForTheRest) {
  write(11, 5);
  const auto key = *AuditKey::from_pem(key_.public_pem());
  for (std::uint64_t seq = 6; seq <= 12; ++seq) {
    const auto proof = prove_record(directory_, seq, key);
    ASSERT_THAT(proof, Succeeds()) << seq;
    EXPECT_THAT(check_record(*proof, key), Succeeds());
  }
  EXPECT_THAT(prove_record(directory_, 5, key), ErrorIs(Code::usage, HasSubstr("archive")));
  for (std::uint64_t from = 5; from <= 12; ++from)
    EXPECT_THAT(prove_growth(directory_, {.from = from, .from_root = {}, .to = {}}, key),
                Succeeds())
        << from;
  EXPECT_THAT(prove_growth(directory_, {.from = 4, .from_root = {}, .to = {}}, key),
              ErrorIs(Code::usage, HasSubstr("archive")));
}

}  // namespace
}  // namespace hsm::audit
