#include "hsm_signer/audit/proof.h"

#include <cstdlib>
#include <filesystem>

#include "hsm_signer/audit/segments.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Proof : public ::testing::Test {
 protected:
  // Records 1 to `count`, and a checkpoint over each of `sealed`.
  void write(std::uint64_t count, const std::vector<std::uint64_t>& sealed) {
    std::filesystem::remove_all(directory_);
    auto log = Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    for (std::uint64_t i = 1; i <= count; ++i) {
      write_records(**log, {allow_record(i, i)});
      if (std::find(sealed.begin(), sealed.end(), i) != sealed.end()) seal_head(**log, key_);
    }
  }
  // Moves what follows the first `lines` lines of the first segment into a second one.
  void cut_into_two(std::size_t lines) {
    const std::string text = slurp(segment_);
    std::size_t at = 0;
    for (std::size_t i = 0; i < lines; ++i) at = text.find('\n', at) + 1;
    spit(directory_ + "/" + segment_name(1), std::string_view{text}.substr(0, at));
    spit(directory_ + "/" + segment_name(2), std::string_view{text}.substr(at));
  }
  std::string kept(std::uint64_t size) const {
    const auto log = Log::open(directory_);
    return key_.note(size, (*log)->root());
  }
  AuditKey public_key() const { return *AuditKey::from_pem(key_.public_pem()); }
  RecordProof prove(std::uint64_t seq) {
    auto proof = prove_record(directory_, seq, public_key());
    EXPECT_THAT(proof, Succeeds());
    return proof ? *std::move(proof) : RecordProof{};
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const TestKey key_;
};

TEST_F(Proof, OfEveryRecordHoldsWithTheFileAndTheKeyAlone) {
  write(11, {4, 11});
  cut_into_two(6);
  for (std::uint64_t seq = 1; seq <= 11; ++seq) {
    const std::string text = proof_text(prove(seq));
    const auto read = parse_record_proof(text);
    ASSERT_THAT(read, Succeeds());
    EXPECT_EQ(proof_text(*read), text);
    const auto proven = check_record(*read, public_key());
    ASSERT_THAT(proven, Succeeds());
    EXPECT_EQ(proven->record.seq, seq);
    EXPECT_EQ(proven->record.nonce, std::to_string(seq));
    EXPECT_EQ(proven->checkpoint.text.size, 11U);
  }
}

TEST_F(Proof, HasTheFormOfC2spTlogProof) {
  write(2, {2});
  const RecordProof proof = prove(1);
  const std::string text = proof_text(proof);
  EXPECT_THAT(text, StartsWith("c2sp.org/tlog-proof@v1\nextra eyJ2IjoxLCJzZXEiOjEs"));
  EXPECT_THAT(text, HasSubstr("\nindex 0\n" + base64_encode(proof.path.at(0)) +
                              "\n\nhsm-signer/test\n2\n"));
}

TEST_F(Proof, IsRefusedForARecordThatIsNotThereOrNotSealed) {
  write(3, {2});
  EXPECT_THAT(prove_record(directory_, 0, {}), ErrorIs(Code::usage));
  EXPECT_THAT(prove_record(directory_, 3, {}), ErrorIs(Code::usage, HasSubstr("over 2 records")));
  EXPECT_THAT(prove_record(directory_, 4, {}), ErrorIs(Code::usage));
  write(3, {});
  EXPECT_THAT(prove_record(directory_, 1, {}),
              ErrorIs(Code::usage, HasSubstr("has no checkpoint")));
}

TEST_F(Proof, IsNotGivenWhereTheLogDiffersFromItsCheckpoint) {
  write(5, {5});
  const std::string text = slurp(segment_);
  for (const char* number : {"\"1\"", "\"3\"", "\"5\""}) {
    std::string changed = text;
    changed.replace(changed.find("\"nonce\":" + std::string{number}) + 9, 1, "8");
    spit(segment_, changed);
    EXPECT_THAT(prove_record(directory_, 3, {}),
                ErrorIs(Code::verification_failed, HasSubstr("differs from its last checkpoint")))
        << number;
  }
  spit(segment_, text.substr(0, text.find('\n') + 1));
  EXPECT_THAT(prove_record(directory_, 1, {}),
              ErrorIs(Code::verification_failed, HasSubstr("the log was cut")));
}

TEST_F(Proof, IsRefusedUnderAnotherKeyOrWithAnyBitChanged) {
  write(5, {5});
  EXPECT_THAT(prove_record(directory_, 3, *AuditKey::from_pem(TestKey{}.public_pem())),
              ErrorIs(Code::verification_failed));
  const std::string text = proof_text(prove(3));
  const AuditKey key = public_key();
  EXPECT_THAT(check_record(*parse_record_proof(text), *AuditKey::from_pem(TestKey{}.public_pem())),
              ErrorIs(Code::verification_failed));
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      const auto read = parse_record_proof(changed);
      if (!read) continue;
      EXPECT_THAT(check_record(*read, key), ErrorIs(Code::verification_failed))
          << "bit " << bit << " of byte " << at;
    }
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto read = parse_record_proof(std::string_view{text}.substr(0, size));
    if (!read) continue;
    EXPECT_THAT(check_record(*read, key), ErrorIs(Code::verification_failed)) << size;
  }
}

// A whole proof of another record says so: the tree vouches for places, not for what a line claims.
TEST_F(Proof, IsRefusedWhereTheRecordSaysAnotherSequenceThanItsPlace) {
  const std::string line = [] {
    std::string made;
    Record record = allow_record(1, 1);
    record.seq = 2;
    EXPECT_THAT(append_line(record, made), Succeeds());
    made.pop_back();
    return made;
  }();
  const RecordProof proof{
      .line = line, .index = 0, .path = {}, .note = key_.note(1, leaf_hash(line))};
  EXPECT_THAT(check_record(proof, public_key()),
              ErrorIs(Code::verification_failed, HasSubstr("another sequence")));
}

TEST_F(Proof, IsRefusedInAnotherForm) {
  write(3, {3});
  const std::string text = proof_text(prove(2));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return changed.replace(changed.find(from), from.size(), to);
  };
  const std::string hash = base64_encode(prove(2).path.at(0)) + "\n";
  std::string many;
  for (std::size_t i = 0; i <= kProofPathLimit; ++i) many += hash;
  for (const std::string& form :
       {std::string{}, std::string(kProofLimit + 1, 'c'), with("@v1", "@v2"),
        with("extra ", "Extra "), with("extra ", "extra  "), with("index 1", "index 01"),
        with("index 1", "index +1"), with("index 1", "index -1"), with("index 1", "index "),
        with("index 1", "index 18446744073709551616"), with("index 1\n", "index 1\r\n"),
        with(hash, many), with(hash, hash.substr(4)), with(hash, "\n" + hash),
        with("index 1\n", "")}) {
    const auto read = parse_record_proof(form);
    if (!read) {
      EXPECT_THAT(read, ErrorIs(Code::verification_failed, HasSubstr("not a proof")));
      continue;
    }
    EXPECT_THAT(check_record(*read, public_key()), ErrorIs(Code::verification_failed)) << form;
  }
}

TEST_F(Proof, OfGrowthLeadsFromWhatSomebodyKeptToTheLogOfToday) {
  write(7, {7});
  const std::string old_note = kept(7);
  write(20, {7, 20});
  const auto opened = open_note(old_note, public_key());
  ASSERT_THAT(opened, Succeeds());
  const auto growth =
      prove_growth(directory_, {.from = 7, .from_root = opened->text.root, .to = {}}, public_key());
  ASSERT_THAT(growth, Succeeds());
  EXPECT_EQ(growth->to.size, 20U);
  const std::string text =
      proof_text(GrowthProof{.old_size = 7, .path = growth->path, .note = growth->note});
  EXPECT_TRUE(is_growth_proof(text));
  const auto read = parse_growth_proof(text);
  ASSERT_THAT(read, Succeeds());
  EXPECT_EQ(proof_text(*read), text);
  EXPECT_THAT(check_growth(*read, old_note, public_key()), Succeeds());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto other = parse_growth_proof(changed);
    if (!other) continue;
    EXPECT_THAT(check_growth(*other, old_note, public_key()), ErrorIs(Code::verification_failed))
        << at;
  }
}

TEST_F(Proof, OfGrowthIsRefusedFromAnotherCheckpointOrLog) {
  write(9, {4, 9});
  const auto growth = prove_growth(directory_, {.from = 4, .from_root = {}, .to = {}}, {});
  ASSERT_THAT(growth, Succeeds());
  const GrowthProof proof{.old_size = 4, .path = growth->path, .note = growth->note};
  const Sha256& root = growth->from.root;
  EXPECT_THAT(check_growth(proof, key_.note(4, root), public_key()), Succeeds());
  EXPECT_THAT(check_growth(proof, key_.note(5, root), public_key()),
              ErrorIs(Code::verification_failed, HasSubstr("over 4, not 5 records")));
  EXPECT_THAT(check_growth(proof, key_.note(4, root, "hsm-signer/other"), public_key()),
              ErrorIs(Code::verification_failed, HasSubstr("unlike logs")));
  EXPECT_THAT(check_growth(proof, TestKey{}.note(4, root), public_key()),
              ErrorIs(Code::verification_failed));
  EXPECT_THAT(check_growth(proof, key_.note(4, sha256({})), public_key()),
              ErrorIs(Code::verification_failed));
}

TEST_F(Proof, OfGrowthFindsAChangedOrCutPast) {
  write(20, {7, 20});
  const auto before = prove_growth(directory_, {.from = 7, .from_root = {}, .to = {}}, {});
  ASSERT_THAT(before, Succeeds());
  const GrowthQuestion question{.from = 7, .from_root = before->from.root, .to = {}};
  const std::string text = slurp(segment_);
  std::string changed = text;
  changed.replace(changed.find("\"nonce\":\"5\"") + 9, 1, "6");
  spit(segment_, changed);
  EXPECT_THAT(prove_growth(directory_, question, {}),
              ErrorIs(Code::verification_failed, HasSubstr("no longer begins")));
  EXPECT_THAT(prove_growth(directory_, {.from = 7, .from_root = {}, .to = {}}, {}),
              ErrorIs(Code::verification_failed, HasSubstr("over 7 records")));
  changed = text;
  changed.replace(changed.find("\"nonce\":\"15\"") + 9, 2, "16");
  spit(segment_, changed);
  EXPECT_THAT(prove_growth(directory_, question, {}),
              ErrorIs(Code::verification_failed, HasSubstr("over 20 records")));
  spit(segment_, text);
  EXPECT_THAT(prove_growth(directory_, {.from = 21, .from_root = {}, .to = {}}, {}),
              ErrorIs(Code::verification_failed, HasSubstr("shorter")));
  EXPECT_THAT(prove_growth(directory_, {.from = 7, .from_root = {}, .to = 21}, {}),
              ErrorIs(Code::verification_failed, HasSubstr("the log was cut")));
}

}  // namespace
}  // namespace hsm::audit
