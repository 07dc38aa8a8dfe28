// Signatures of the real ssh-keygen verify here, ssh-keygen agrees about each that is taken, and no
// bit of one may change.
#include "tests/support/error_is.h"
#include "tests/unit/officers/ssh_keygen.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kText =
    "verb: approve\nkey: desk-a.funds\nexpires: 2026-11-25T19:00:00.000000Z\n";

Result<Verified> judge(std::string_view armored, std::string_view text = kText) {
  TRY(const Signature signature, Signature::from_text(armored));
  return verify(signature, as_bytes(text), kNamespace);
}

struct RealKey {
  KeyType type;
  const char* keygen;
  unsigned bits;
};
constexpr RealKey kRealKeys[] = {
    {KeyType::ed25519, "ed25519", 0},    {KeyType::ecdsa_p256, "ecdsa", 256},
    {KeyType::ecdsa_p384, "ecdsa", 384}, {KeyType::ecdsa_p521, "ecdsa", 521},
    {KeyType::rsa, "rsa", 3072},
};

TEST(SshKeygenInterop, EachKindOfSignatureVerifiesInBoth) {
  SshKeygen keygen;
  for (const RealKey& row : kRealKeys) {
    const std::string key = keygen.key(std::string{name(row.type)}, row.keygen, row.bits);
    const std::string line = keygen.public_line(key);
    for (const char* hash : {"sha256", "sha512"}) {
      const std::string armored = keygen.sign(key, kText, std::string{kNamespace}, hash);
      const auto verified = judge(armored);
      ASSERT_THAT(verified, Succeeds()) << name(row.type) << " " << hash;
      EXPECT_EQ(verified->type(), row.type);
      EXPECT_EQ(verified->fingerprint(), keygen.fingerprint(line));
      EXPECT_EQ(verified->text(), sha256(as_bytes(kText)));
      EXPECT_FALSE(verified->user_present() || verified->user_verified());
      EXPECT_TRUE(keygen.verifies(line, armored, kText, std::string{kNamespace}));

      const std::string other = std::string{kText} + "\n";
      EXPECT_THAT(judge(armored, other), ErrorIs(Code::denied, HasSubstr("does not verify")));
      EXPECT_FALSE(keygen.verifies(line, armored, other, std::string{kNamespace}));
    }
  }
}

TEST(SshKeygenInterop, TakesAnEmptyTextAndALongOne) {
  SshKeygen keygen;
  const std::string key = keygen.key("mine", "ed25519");
  for (const std::string& text : {std::string{}, std::string(100'000, 'x')})
    EXPECT_THAT(judge(keygen.sign(key, text, std::string{kNamespace}), text), Succeeds());
}

// Our signer of every type, judged by ssh-keygen: it needs no security key to verify one's.
TEST(SshKeygenInterop, AgreesAboutSignaturesOfSecurityKeysAndTheirFlags) {
  SshKeygen keygen;
  for (const KeyType type : kEveryType) {
    for (const Byte flags : {Byte{0x01}, Byte{0x05}}) {
      const std::string armored = signer(type).sign(kText, {.flags = flags}).to_text();
      const auto verified = judge(armored);
      ASSERT_THAT(verified, Succeeds()) << name(type);
      EXPECT_EQ(verified->user_present(), is_security_key(type)) << name(type);
      EXPECT_EQ(verified->user_verified(), is_security_key(type) && flags == 0x05) << name(type);
      EXPECT_EQ(verified->fingerprint(), keygen.fingerprint(signer(type).line())) << name(type);
      EXPECT_TRUE(keygen.verifies(signer(type).line(), armored, kText, std::string{kNamespace}))
          << name(type);
    }
  }
}

TEST(SshKeygenInterop, RefusesAnotherNamespace) {
  SshKeygen keygen;
  const std::string key = keygen.key("mine", "ed25519");
  for (const char* other : {"file", "git", "hsm-signer-v2", "hsm-signer-v1 ", "HSM-SIGNER-V1"})
    EXPECT_THAT(judge(keygen.sign(key, kText, other)),
                ErrorIs(Code::denied, HasSubstr("another namespace")))
        << other;
}

TEST(SshKeygenInterop, RefusesKeysThatSshKeygenStillSignsWith) {
  SshKeygen keygen;
  const std::tuple<const char*, unsigned, const char*> rows[] = {
      {"rsa", 1024, "ssh-rsa with 1024 bits"},
      {"rsa", 2048, "ssh-rsa with 2048 bits"},
      {"rsa", 3064, "ssh-rsa with 3064 bits"},
      {"dsa", 1024, "ssh-dss"},
  };
  for (const auto& [type, bits, sentence] : rows) {
    const std::string key = keygen.key(type + std::to_string(bits), type, bits);
    const std::string armored = keygen.sign(key, kText, std::string{kNamespace});
    EXPECT_TRUE(keygen.verifies(keygen.public_line(key), armored, kText, std::string{kNamespace}));
    EXPECT_THAT(judge(armored), ErrorIs(Code::denied, HasSubstr(sentence)));
    EXPECT_THAT(PublicKey::from_line(keygen.public_line(key)),
                ErrorIs(Code::denied, HasSubstr(sentence)));
  }
}

// ---- Every bit ----

class EveryBit : public ::testing::TestWithParam<KeyType> {
 protected:
  Signature signature_ = signer(GetParam()).sign(kText);
};

template <class Buffer>
Buffer with_flipped(Buffer buffer, std::size_t bit) {
  auto& byte = buffer[bit / 8];
  byte = static_cast<typename Buffer::value_type>(byte ^ (1 << (bit % 8)));
  return buffer;
}

// Magic, key, namespace, reserved field, hash, algorithm, value, flags, counter and every length.
TEST_P(EveryBit, OfTheBlobCounts) {
  const Bytes blob = signature_.encode();
  std::size_t reached_the_key = 0;
  for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
    const auto parsed = Signature::decode(with_flipped(blob, bit));
    if (!parsed) continue;
    // Also where whoever changed the namespace is asked for that one.
    const auto verified = verify(*parsed, as_bytes(kText), parsed->name_space);
    ASSERT_FALSE(verified) << "bit " << bit % 8 << " of byte " << bit / 8;
    if (verified.error().what == "the SSH signature does not verify") ++reached_the_key;
  }
  // At least every bit of an Ed25519 signature, so this does not only test the parser.
  EXPECT_GE(reached_the_key, 500u);
}

TEST_P(EveryBit, OfTheArmoredTextCounts) {
  const std::string armored = signature_.to_text();
  for (std::size_t bit = 0; bit < armored.size() * 8; ++bit)
    EXPECT_FALSE(judge(with_flipped(armored, bit))) << "bit " << bit % 8 << " of " << bit / 8;
}

TEST_P(EveryBit, OfTheSignedTextCounts) {
  const std::string text{kText};
  ASSERT_THAT(verify(signature_, as_bytes(text), kNamespace), Succeeds());
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit)
    EXPECT_THAT(verify(signature_, as_bytes(with_flipped(text, bit)), kNamespace),
                ErrorIs(Code::denied, HasSubstr("does not verify")))
        << "bit " << bit;
}

TEST_P(EveryBit, OfTheNamespaceThatIsAskedForCounts) {
  const std::string name_space{kNamespace};
  for (std::size_t bit = 0; bit < name_space.size() * 8; ++bit)
    EXPECT_THAT(verify(signature_, as_bytes(kText), with_flipped(name_space, bit)),
                ErrorIs(Code::denied, HasSubstr("another namespace")))
        << "bit " << bit;
}

INSTANTIATE_TEST_SUITE_P(OfEachKey, EveryBit, ::testing::ValuesIn(kEveryType), [](const auto& row) {
  std::string text{name(row.param)};
  std::erase_if(text, [](char c) { return !std::isalnum(c); });
  return text;
});

}  // namespace
}  // namespace hsm::officers
