// Public keys: those that officers may have, and each way of not being one.
#include "hsm_signer/officers/ssh_key.h"

#include <set>

#include "tests/support/error_is.h"
#include "tests/unit/officers/ssh_keygen.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using ::testing::HasSubstr;

Result<PublicKey> decode(const std::string& blob) { return PublicKey::decode(as_bytes(blob)); }

std::string ed25519_point() {
  const Bytes blob = signer(KeyType::ed25519).public_key();
  return std::string{as_text(ByteView{blob}.last(32))};
}

std::string p256_point() {
  const Bytes blob = signer(KeyType::ecdsa_p256).public_key();
  return std::string{as_text(ByteView{blob}.last(65))};
}

// A number of so many bits with this last byte; nobody needs its factors here.
Bytes number_of(std::size_t bits, Byte last = 0x01) {
  Bytes number((bits + 7) / 8, 0x5a);
  number.front() = static_cast<Byte>(1U << ((bits - 1) % 8));
  number.back() = last;
  return number;
}

std::string rsa(const Bytes& exponent, const Bytes& modulus) {
  return ssh_string("ssh-rsa") + ssh_mpint(exponent) + ssh_mpint(modulus);
}
const Bytes kF4{0x01, 0x00, 0x01};

TEST(SshKey, OfEachTypeIsReadAndNamedAsSshKeygenNamesIt) {
  SshKeygen keygen;
  std::set<std::string> fingerprints;
  for (const KeyType type : kEveryType) {
    const std::string line = signer(type).line();
    for (const std::string& spelling : {line, line + " alice@desk", line + " two words"}) {
      const auto key = PublicKey::from_line(spelling);
      ASSERT_THAT(key, Succeeds()) << name(type);
      EXPECT_EQ(key->type(), type);
      EXPECT_EQ(key->blob(), signer(type).public_key());
      EXPECT_EQ(key->fingerprint(), keygen.fingerprint(line)) << name(type);
      EXPECT_EQ(key->application(), is_security_key(type) ? "ssh:" : "");
      fingerprints.insert(key->fingerprint());
    }
  }
  EXPECT_EQ(fingerprints.size(), std::size(kEveryType));
}

TEST(SshKey, RefusesOtherTypesByName) {
  const std::pair<const char*, const char*> rows[] = {
      {"ssh-dss", "ssh-dss (DSA) is too weak"},
      {"ssh-ed25519-cert-v01@openssh.com", "certificate"},
      {"ssh-rsa-cert-v01@openssh.com", "certificate"},
      {"sk-ssh-ed25519-cert-v01@openssh.com", "certificate"},
      {"ssh-ed448", "unknown"},
      {"ecdsa-sha2-nistp192", "unknown"},
      {"rsa-sha2-512", "unknown"},
      {"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "unknown"},
      {"SSH-ED25519", "unknown"},
      {"ssh-ed25519 ", "unknown"},
      {"", "unknown"},
  };
  for (const auto& [type, sentence] : rows)
    EXPECT_THAT(decode(ssh_string(type) + ssh_string(ed25519_point())),
                ErrorIs(Code::denied, HasSubstr(sentence)))
        << type;
  EXPECT_THAT(decode(ssh_string({"ssh-ed25519\0", 12}) + ssh_string(ed25519_point())),
              ErrorIs(Code::denied, HasSubstr("unknown")));
}

TEST(SshKey, SaysNothingInItsRefusalThatWasSentToIt) {
  const auto refused = decode(ssh_string("hunter2\n") + ssh_string(ed25519_point()));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().sentence(), ::testing::Not(HasSubstr("hunter")));
}

TEST(SshKey, RefusesEachTruncationAndBytesBehindIt) {
  for (const KeyType type : kEveryType) {
    const Bytes blob = signer(type).public_key();
    for (std::size_t size = 0; size < blob.size(); ++size)
      EXPECT_FALSE(PublicKey::decode(ByteView{blob}.first(size))) << name(type) << " " << size;
    Bytes longer = blob;
    longer.push_back(0);
    EXPECT_THAT(PublicKey::decode(longer),
                ErrorIs(Code::invalid_payload, HasSubstr("behind its end")))
        << name(type);
  }
  EXPECT_THAT(PublicKey::decode(Bytes(2049)), ErrorIs(Code::too_large));
}

TEST(Ed25519Key, RefusesPointsThatAreNone) {
  const auto point = [](const std::string& bytes) {
    return decode(ssh_string("ssh-ed25519") + ssh_string(bytes));
  };
  EXPECT_THAT(point(ed25519_point().substr(1)),
              ErrorIs(Code::invalid_payload, HasSubstr("shorter")));
  EXPECT_THAT(point(ed25519_point() + "x"), ErrorIs(Code::invalid_payload, HasSubstr("longer")));
  // y = p, p + 1 and 2^255 - 1, each with either sign of x.
  for (const char low : {'\xed', '\xee', '\xff'}) {
    for (const char high : {'\x7f', '\xff'}) {
      std::string bytes(32, '\xff');
      bytes.front() = low;
      bytes.back() = high;
      EXPECT_THAT(point(bytes), ErrorIs(Code::invalid_payload, HasSubstr("shortest form")));
    }
  }
}

TEST(EcdsaKey, RefusesPointsAndCurvesThatAreNotItsOwn) {
  const auto key = [](std::string_view type, std::string_view curve, std::string_view point) {
    return decode(ssh_string(type) + ssh_string(curve) + ssh_string(point));
  };
  const std::string good = p256_point();
  ASSERT_THAT(key("ecdsa-sha2-nistp256", "nistp256", good), Succeeds());
  std::string off_curve = good;
  off_curve.back() = static_cast<char>(off_curve.back() ^ 1);
  std::string hybrid = good;
  hybrid.front() = static_cast<char>(6 + (good.back() & 1));
  const std::string compressed = static_cast<char>(2 + (good.back() & 1)) + good.substr(1, 32);
  const std::tuple<const char*, const char*, std::string, const char*> rows[] = {
      {"ecdsa-sha2-nistp256", "nistp384", good, "curve"},
      {"ecdsa-sha2-nistp384", "nistp384", good, "point"},
      {"ecdsa-sha2-nistp384", "nistp256", good, "curve"},
      {"ecdsa-sha2-nistp256", "", good, "curve"},
      {"ecdsa-sha2-nistp256", "nistp256", off_curve, "not one of its type"},
      {"ecdsa-sha2-nistp256", "nistp256", hybrid, "uncompressed"},
      {"ecdsa-sha2-nistp256", "nistp256", compressed, "uncompressed"},
      {"ecdsa-sha2-nistp256", "nistp256", std::string(1, '\0'), "uncompressed"},
      {"ecdsa-sha2-nistp256", "nistp256", "", "uncompressed"},
      {"ecdsa-sha2-nistp256", "nistp256", "\x04" + std::string(64, '\0'), "not one of its type"},
      {"ecdsa-sha2-nistp256", "nistp256", "\x04" + std::string(64, '\xff'), "not one of its type"},
  };
  for (const auto& [type, curve, point, sentence] : rows)
    EXPECT_THAT(key(type, curve, point), ErrorIs(Code::invalid_payload, HasSubstr(sentence)))
        << type << " " << curve << " " << point.size();
}

TEST(RsaKey, HasABoundOnEitherSide) {
  for (const std::size_t bits : {3072u, 3073u, 4096u, 8192u})
    EXPECT_THAT(decode(rsa(kF4, number_of(bits))), Succeeds()) << bits;
  for (const std::size_t bits : {1u, 512u, 1024u, 2048u, 3064u, 3071u})
    EXPECT_THAT(decode(rsa(kF4, number_of(bits))),
                ErrorIs(Code::denied, HasSubstr("with " + std::to_string(bits) + " bits")))
        << bits;
  for (const std::size_t bits : {8193u, 8200u, 15000u})
    EXPECT_THAT(decode(rsa(kF4, number_of(bits))),
                ErrorIs(Code::invalid_payload, HasSubstr("longer than 1024 bytes")))
        << bits;
}

TEST(RsaKey, RefusesExponentsThatNobodyShouldHave) {
  const Bytes modulus = number_of(3072);
  for (const Bytes& good : {kF4, Bytes{0x01, 0x00, 0x03}, Bytes(8, 0xff)})
    EXPECT_THAT(decode(rsa(good, modulus)), Succeeds());
  for (const Bytes& bad :
       {Bytes{1}, Bytes{3}, Bytes{17}, Bytes{37}, Bytes{0xff, 0xff}, Bytes{0x01, 0x00, 0x00}})
    EXPECT_THAT(decode(rsa(bad, modulus)), ErrorIs(Code::denied, HasSubstr("exponent")));
  EXPECT_THAT(decode(rsa(Bytes(9, 0x01), modulus)),
              ErrorIs(Code::invalid_payload, HasSubstr("exponent is longer")));
}

TEST(RsaKey, RefusesNumbersThatAreNotPositiveAndShortest) {
  const std::string modulus = ssh_mpint(number_of(3072));
  const std::string exponent = ssh_mpint(kF4);
  const auto key = [](const std::string& e, const std::string& n) {
    return decode(ssh_string("ssh-rsa") + e + n);
  };
  const std::string negative = ssh_string(as_text(number_of(3072)));  // Its first bit is set.
  const std::tuple<const char*, std::string, std::string, const char*> rows[] = {
      {"no exponent", ssh_string(""), modulus, "exponent is zero"},
      {"an exponent of a zero byte", ssh_string({"\0", 1}), modulus, "exponent is not in its"},
      {"a zero byte too many", ssh_string({"\0\1\0\1", 4}), modulus, "exponent is not in its"},
      {"a negative exponent", ssh_string("\xff"), modulus, "exponent is negative"},
      {"a negative modulus", exponent, negative, "modulus is negative"},
      {"no modulus", exponent, ssh_string(""), "modulus is zero"},
      {"a zero byte too many", exponent, ssh_string(std::string{"\0\0", 2} + "x"),
       "modulus is not in its"},
      {"an even modulus", exponent, ssh_mpint(number_of(3072, 0x02)), "modulus is even"},
  };
  for (const auto& [what, e, n, sentence] : rows)
    EXPECT_THAT(key(e, n), ErrorIs(Code::invalid_payload, HasSubstr(sentence))) << what;
}

TEST(SecurityKey, IsForSshAndNothingElse) {
  const auto key = [](std::string_view application) {
    return decode(ssh_string("sk-ssh-ed25519@openssh.com") + ssh_string(ed25519_point()) +
                  ssh_string(application));
  };
  EXPECT_THAT(key("ssh:"), Succeeds());
  EXPECT_THAT(key("ssh:hsm officers"), Succeeds());
  EXPECT_THAT(key("ssh:" + std::string(251, 'x')), Succeeds());
  for (const std::string& other :
       {std::string{}, std::string{"ssh"}, std::string{"SSH:"}, std::string{"https://a.example"},
        std::string{"ssh:\n"}, std::string{"ssh:\0x", 6}, "ssh:" + std::string(252, 'x')})
    EXPECT_THAT(key(other), ErrorIs(Code::invalid_payload, HasSubstr("application")));
}

TEST(SecurityKey, HasTheMaterialOfThePlainKeyThatItIsWrittenAs) {
  const auto plain = decode(ssh_string("ssh-ed25519") + ssh_string(ed25519_point()));
  const auto security = decode(ssh_string("sk-ssh-ed25519@openssh.com") +
                               ssh_string(ed25519_point()) + ssh_string("ssh:"));
  ASSERT_THAT(plain, Succeeds());
  ASSERT_THAT(security, Succeeds());
  EXPECT_EQ(plain->material(), security->material());
  EXPECT_NE(plain->fingerprint(), security->fingerprint());
}

TEST(SshKeyLine, RefusesWhatIsNotTypeAndKey) {
  const std::string line = signer(KeyType::ed25519).line();
  const std::string base64 = line.substr(line.find(' ') + 1);
  const std::tuple<const char*, std::string, const char*> rows[] = {
      {"nothing", "", "TYPE BASE64"},
      {"a type alone", "ssh-ed25519", "TYPE BASE64"},
      {"a type and a blank", "ssh-ed25519 ", "not base64"},
      {"a key alone", base64, "TYPE BASE64"},
      {"a blank before it", " " + line, "TYPE BASE64"},
      {"two blanks", "ssh-ed25519  " + base64, "not base64"},
      {"a tab", "ssh-ed25519\t" + base64, "TYPE BASE64"},
      {"another type", "ssh-rsa " + base64, "not the type in the key"},
      {"options", "no-touch-required " + line, "options"},
      {"padding where none belongs", line + "=", "not base64"},
      {"a character missing", line.substr(0, line.size() - 1), "not base64"},
      {"a newline at its end", line + "\n", "not base64"},
      {"a control character in the comment", line + " a\x1b", "comment"},
      {"a long comment", line + " " + std::string(255, 'c'), "comment"},
      {"a private key", "-----BEGIN OPENSSH PRIVATE KEY-----", "not base64"},
  };
  for (const auto& [what, text, sentence] : rows)
    EXPECT_THAT(PublicKey::from_line(text), ErrorIs(Code::invalid_payload, HasSubstr(sentence)))
        << what;
}

}  // namespace
}  // namespace hsm::officers
