#include "hsm_signer/audit/checkpoint.h"

#include <openssl/evp.h>

#include "tests/support/error_is.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

const Sha256 kRoot = sha256(as_bytes("root"));

class Notes : public ::testing::Test {
 protected:
  const TestKey key_;
  const std::string pem_ = key_.public_pem();
  const std::string text_ = checkpoint_text(kOrigin, 5, kRoot);
  const std::string note_ = key_.note(5, kRoot);
  // Base64 of id and signature, and the line it stands in.
  const std::string encoded_ = note_.substr(note_.rfind(' ') + 1);
};

TEST_F(Notes, OpenWithTheKeyThatSealedThem) {
  const auto opened = open_note(note_, pem_);
  ASSERT_THAT(opened, Succeeds());
  EXPECT_EQ(opened->text,
            (CheckpointText{.origin = std::string{kOrigin}, .size = 5, .root = kRoot}));
  EXPECT_EQ(opened->key_name, kOrigin);
}

// C2SP signed-note: for type 0x02 the id is the hash of the SubjectPublicKeyInfo alone.
TEST_F(Notes, CarryTheKeyIdOfTheSpecification) {
  const Sha256 digest = sha256(key_.spki());
  EXPECT_TRUE(note_.starts_with(text_ + "\n\xe2\x80\x94 hsm-signer/test "));
  const auto bytes = base64_decode_canonical(encoded_.substr(0, encoded_.size() - 1));
  ASSERT_THAT(bytes, Succeeds());
  EXPECT_EQ(Bytes(bytes->begin(), bytes->begin() + 4), Bytes(digest.begin(), digest.begin() + 4));
}

TEST_F(Notes, PassOverSignaturesOfOthers) {
  const TestKey witness;
  const std::string of_witness = seal(text_, "witness", witness.spki(), witness.sign(text_));
  const std::string line = of_witness.substr(text_.size() + 1);
  EXPECT_THAT(open_note(note_ + line, pem_), Succeeds());
  EXPECT_THAT(open_note(text_ + "\n" + line + note_.substr(text_.size() + 1), pem_), Succeeds());
  EXPECT_THAT(open_note(of_witness, pem_), ErrorIs(Code::verification_failed));
}

TEST_F(Notes, AreRefusedUnderAnotherKeyOrName) {
  EXPECT_THAT(open_note(TestKey{}.note(5, kRoot), pem_), ErrorIs(Code::verification_failed));
  EXPECT_THAT(open_note(seal(text_, "other", key_.spki(), key_.sign(text_)), pem_),
              ErrorIs(Code::verification_failed, HasSubstr("under the name of its origin")));
  // Another's signature under our id.
  EXPECT_THAT(open_note(seal(text_, kOrigin, key_.spki(), TestKey{}.sign(text_)), pem_),
              ErrorIs(Code::verification_failed, HasSubstr("does not match")));
}

TEST_F(Notes, AreRefusedWhereOneOfTwoSignaturesOfOursIsWrong) {
  const std::string wrong = seal(text_, kOrigin, key_.spki(), key_.sign("another text"));
  EXPECT_THAT(open_note(note_ + wrong.substr(text_.size() + 1), pem_),
              ErrorIs(Code::verification_failed, HasSubstr("does not match")));
}

TEST_F(Notes, AreRefusedWhenMalformed) {
  const std::string dash = "\xe2\x80\x94 ";
  const std::string blank = text_ + "\n";
  std::string seventeen = blank;
  for (int i = 0; i < 17; ++i) seventeen += dash + "w AAAAAAA=\n";
  const std::vector<std::string> cases{
      "",
      text_,
      blank,
      blank + "\n",
      note_.substr(0, note_.size() - 1),
      note_ + "\n",
      note_ + "more\n",
      blank + "- hsm-signer/test " + encoded_,
      blank + dash + encoded_,
      blank + dash + " " + encoded_,
      blank + dash + "hsm-signer/test  " + encoded_,
      blank + dash + "hsm-signer/test \n",
      blank + dash + "hsm-signer/test AAAA\n",
      blank + dash + "hsm-signer/test ====\n",
      "not a checkpoint\n\n" + dash + "hsm-signer/test " + encoded_,
      seventeen,
      text_ + std::string(kNoteLimit, 'x') + note_.substr(text_.size()),
  };
  for (const std::string& note : cases)
    EXPECT_THAT(open_note(note, pem_), ErrorIs(Code::verification_failed)) << note;
}

TEST_F(Notes, AreRefusedWithAnyBitChanged) {
  const auto key = AuditKey::from_pem(pem_);
  ASSERT_THAT(key, Succeeds());
  for (std::size_t bit = 0; bit < note_.size() * 8; ++bit) {
    std::string flipped = note_;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(open_note(flipped, *key), ErrorIs(Code::verification_failed)) << bit;
  }
}

TEST_F(Notes, AreRefusedWithASignatureEncodedOtherwise) {
  Bytes longer = key_.sign(text_);
  longer.push_back(0);
  EXPECT_THAT(open_note(seal(text_, kOrigin, key_.spki(), longer), pem_),
              ErrorIs(Code::verification_failed));
  EXPECT_THAT(open_note(seal(text_, kOrigin, key_.spki(), Bytes{}), pem_),
              ErrorIs(Code::verification_failed));
}

TEST_F(Notes, ReadWithoutAKeyOnlyInTheirForm) {
  EXPECT_THAT(read_note_unverified(TestKey{}.note(5, kRoot)), Succeeds());
  EXPECT_THAT(read_note_unverified(text_), ErrorIs(Code::verification_failed));
}

TEST(AuditKeys, AreRefusedUnlessTheyAreP256PublicKeys) {
  EXPECT_THAT(AuditKey::from_pem(""), ErrorIs(Code::usage));
  EXPECT_THAT(AuditKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
              ErrorIs(Code::usage));
  EXPECT_THAT(AuditKey::from_pem(TestKey{"P-384"}.public_pem()), ErrorIs(Code::usage));
  Bytes trailing = TestKey{}.spki();
  trailing.push_back(0);
  EXPECT_THAT(AuditKey::from_spki(trailing), ErrorIs(Code::usage));
  EXPECT_THAT(AuditKey::from_spki({}), ErrorIs(Code::usage));
  const TestKey fine;
  EXPECT_EQ(AuditKey::from_pem(fine.public_pem())->spki(), fine.spki());
}

}  // namespace
}  // namespace hsm::audit
