// What a signature may not be, though its bytes parse: made by who holds the key, on purpose.
#include "hsm_signer/officers/verify.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "tests/support/error_is.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kText = "verb: thaw\n";
constexpr const char* kDoesNotVerify = "does not verify";

Result<Verified> judge(const Signature& signature) {
  return verify(signature, as_bytes(kText), kNamespace);
}

// The value of a signature, taken apart and put together again.
struct Value {
  std::string algorithm;
  std::string raw;
  std::string behind;
};

Value value_of(const Signature& signature) {
  std::string_view rest = as_text(signature.signature);
  const auto next = [&rest] {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(rest[2]) * 256 +
                                               static_cast<unsigned char>(rest[3]));
    const std::string field{rest.substr(4, size)};
    rest.remove_prefix(4 + size);
    return field;
  };
  Value value;
  value.algorithm = next();
  value.raw = next();
  value.behind = rest;
  return value;
}

Signature with_value(Signature signature, const Value& value) {
  signature.signature =
      bytes_of(ssh_string(value.algorithm) + ssh_string(value.raw) + value.behind);
  return signature;
}

using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

Bytes bytes_of_number(const BIGNUM* number) {
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  return bytes;
}

Bytes order_of(KeyType type) {
  BIGNUM* order = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(signer(type).handle(), OSSL_PKEY_PARAM_EC_ORDER, &order), 1);
  const Number owned{order, &BN_free};
  return bytes_of_number(order);
}

// Two mpints: their magnitudes.
std::pair<Bytes, Bytes> pair_of(const std::string& raw) {
  const auto first = static_cast<std::size_t>(static_cast<unsigned char>(raw[3]));
  Bytes r = bytes_of(raw.substr(4, first));
  Bytes s = bytes_of(raw.substr(8 + first));
  for (Bytes* number : {&r, &s}) {
    if (number->front() == 0) number->erase(number->begin());
  }
  return {r, s};
}

constexpr KeyType kEcdsa[] = {KeyType::ecdsa_p256, KeyType::ecdsa_p384, KeyType::ecdsa_p521,
                              KeyType::sk_ecdsa_p256};

TEST(Verify, TakesEachTypeWithEitherHash) {
  for (const KeyType type : kEveryType) {
    for (const char* hash : {"sha256", "sha512"})
      EXPECT_THAT(judge(signer(type).sign(kText, {.hash = hash})), Succeeds()) << name(type);
  }
}

TEST(Verify, RefusesAnotherKeyOfTheSameType) {
  for (const KeyType type : kEveryType) {
    Signature signature = signer(type).sign(kText);
    signature.public_key = TestSigner{type}.public_key();
    EXPECT_THAT(judge(signature), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify))) << name(type);
  }
}

TEST(Verify, RefusesAKeyOfEveryOtherType) {
  for (const KeyType mine : kEveryType) {
    for (const KeyType other : kEveryType) {
      if (mine == other) continue;
      Signature signature = signer(mine).sign(kText);
      signature.public_key = signer(other).public_key();
      EXPECT_FALSE(judge(signature)) << name(mine) << " as " << name(other);
    }
  }
}

TEST(Verify, RefusesTheSameSignatureUnderTheOtherHash) {
  for (const KeyType type : kEveryType) {
    Signature signature = signer(type).sign(kText, {.hash = "sha512"});
    signature.hash = TextHash::sha256;
    EXPECT_THAT(judge(signature), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify))) << name(type);
  }
}

// A signature that is valid for its own namespace must not be carried over.
TEST(Verify, RefusesASignatureThatWasRenamed) {
  for (const KeyType type : kEveryType) {
    Signature signature = signer(type).sign(kText, {.name_space = "git"});
    EXPECT_THAT(judge(signature), ErrorIs(Code::denied, HasSubstr("another namespace")));
    signature.name_space = kNamespace;
    EXPECT_THAT(judge(signature), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify))) << name(type);
  }
}

TEST(Verify, RefusesAnAlgorithmThatIsNotItsKeys) {
  for (const KeyType type : kEveryType) {
    for (const char* algorithm :
         {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-256",
          "rsa-sha2-512", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
          "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "ssh-dss", "none", ""}) {
      const Signature signature = signer(type).sign(kText, {.algorithm = algorithm});
      if (value_of(signature).algorithm == value_of(signer(type).sign(kText)).algorithm) continue;
      EXPECT_FALSE(judge(signature)) << name(type) << " " << algorithm;
    }
  }
}

TEST(Verify, RefusesEachTruncationOfTheValueAndBytesBehindIt) {
  for (const KeyType type : kEveryType) {
    const Signature whole = signer(type).sign(kText);
    for (std::size_t size = 0; size < whole.signature.size(); ++size) {
      Signature shorter = whole;
      shorter.signature.resize(size);
      EXPECT_THAT(judge(shorter), ErrorIs(Code::invalid_payload)) << name(type) << " " << size;
    }
    Signature longer = whole;
    longer.signature.push_back(0);
    EXPECT_THAT(judge(longer), ErrorIs(Code::invalid_payload, HasSubstr("behind its end")));
  }
}

// ---- RSA ----

TEST(VerifyRsa, TakesBothHashesOfRfc8332) {
  const TestSigner& rsa = signer(KeyType::rsa);
  EXPECT_THAT(judge(rsa.sign(kText, {.algorithm = "rsa-sha2-256", .digest = "SHA256"})),
              Succeeds());
  EXPECT_THAT(judge(rsa.sign(kText, {.algorithm = "rsa-sha2-512", .digest = "SHA512"})),
              Succeeds());
}

TEST(VerifyRsa, RefusesSha1ByName) {
  EXPECT_THAT(judge(signer(KeyType::rsa).sign(kText, {.algorithm = "ssh-rsa", .digest = "SHA1"})),
              ErrorIs(Code::denied, HasSubstr("SHA-1")));
}

TEST(VerifyRsa, RefusesAHashThatIsNotTheOneItNames) {
  for (const auto& [algorithm, digest] :
       {std::pair{"rsa-sha2-512", "SHA1"}, std::pair{"rsa-sha2-512", "SHA256"},
        std::pair{"rsa-sha2-256", "SHA512"}, std::pair{"rsa-sha2-256", "SHA1"}})
    EXPECT_THAT(judge(signer(KeyType::rsa).sign(kText, {.algorithm = algorithm, .digest = digest})),
                ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)))
        << algorithm << " " << digest;
}

TEST(VerifyRsa, RefusesAValueOfAnotherLengthThanItsModulus) {
  const Signature whole = signer(KeyType::rsa).sign(kText);
  Value value = value_of(whole);
  value.raw.insert(0, 1, '\0');
  EXPECT_THAT(judge(with_value(whole, value)), ErrorIs(Code::invalid_payload, HasSubstr("385")));
  value.raw.erase(0, 2);
  EXPECT_THAT(judge(with_value(whole, value)), ErrorIs(Code::invalid_payload, HasSubstr("383")));
}

// ---- Ed25519 ----

TEST(VerifyEd25519, RefusesAScalarAboveTheGroupsOrder) {
  for (const KeyType type : {KeyType::ed25519, KeyType::sk_ed25519}) {
    const Signature whole = signer(type).sign(kText);
    Value value = value_of(whole);
    // L = 2^252 + 27742317777372353535851937790883648493, little-endian: S + L signs the same.
    const Bytes order{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    unsigned carry = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      carry += static_cast<unsigned char>(value.raw[32 + i]) + unsigned{order[i]};
      value.raw[32 + i] = static_cast<char>(carry & 0xff);
      carry >>= 8;
    }
    EXPECT_THAT(judge(with_value(whole, value)), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
  }
}

// OpenSSL takes such a key and "verifies" one and the same signature over any text.
TEST(VerifyEd25519, RefusesAKeyForWhichAnybodyCanSign) {
  std::string identity(32, '\0');
  identity[0] = 1;
  const std::string forged = identity + std::string(32, '\0');  // R = identity, S = 0.
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_bytes(identity).data(), 32),
      &EVP_PKEY_free};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  ASSERT_EQ(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()), 1);
  ASSERT_EQ(EVP_DigestVerify(context.get(), as_bytes(forged).data(), forged.size(),
                             as_bytes(kText).data(), kText.size()),
            1);

  const char* points[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  };
  for (const char* hex : points) {
    for (const Byte sign : {Byte{0}, Byte{0x80}}) {
      Bytes point = *hex_decode(hex);
      point.back() |= sign;
      Signature signature = signer(KeyType::ed25519).sign(kText);
      signature.public_key = bytes_of(ssh_string("ssh-ed25519") + ssh_string(as_text(point)));
      signature = with_value(signature, {"ssh-ed25519", forged, ""});
      EXPECT_THAT(judge(signature), ErrorIs(Code::invalid_payload, HasSubstr("small order")))
          << hex;
    }
  }
}

// ---- ECDSA ----

TEST(VerifyEcdsa, RefusesNumbersThatAreNotPositiveShortestAndInRange) {
  for (const KeyType type : kEcdsa) {
    const Signature whole = signer(type).sign(kText);
    const Value value = value_of(whole);
    const auto [r, s] = pair_of(value.raw);
    const Bytes order = order_of(type);
    const std::string zeros(order.size() + 1, '\0');
    const std::string good_r = ssh_mpint(r), good_s = ssh_mpint(s);
    const auto padded = [](const std::string& mpint) {
      return ssh_string(std::string(1, '\0') + mpint.substr(4));
    };
    Bytes r_plus_order = bytes_of(std::string(1, '\1'));
    r_plus_order.insert(r_plus_order.end(), order.size(), 0);
    const std::tuple<const char*, std::string, Code> rows[] = {
        {"r = 0", ssh_string("") + good_s, Code::invalid_payload},
        {"s = 0", good_r + ssh_string(""), Code::invalid_payload},
        {"r = 0 as a byte", ssh_string({"\0", 1}) + good_s, Code::invalid_payload},
        {"s of zeros", good_r + ssh_string(zeros), Code::invalid_payload},
        {"a longer r", padded(good_r) + good_s, Code::invalid_payload},
        {"a longer s", good_r + padded(good_s), Code::invalid_payload},
        {"r negative", ssh_string("\xff") + good_s, Code::invalid_payload},
        {"s negative", good_r + ssh_string("\x80"), Code::invalid_payload},
        {"r too long", ssh_mpint(r_plus_order) + good_s, Code::invalid_payload},
        {"no s", good_r, Code::invalid_payload},
        {"a third number", good_r + good_s + ssh_string("\1"), Code::invalid_payload},
        {"nothing", "", Code::invalid_payload},
        {"r = n", ssh_mpint(order) + good_s, Code::denied},
        {"s = n", good_r + ssh_mpint(order), Code::denied},
        {"swapped", good_s + good_r, Code::denied},
        {"s = 1", good_r + ssh_string("\1"), Code::denied},
        {"r = s", good_r + good_r, Code::denied},
    };
    for (const auto& [what, raw, code] : rows)
      EXPECT_THAT(judge(with_value(whole, {value.algorithm, raw, value.behind})), ErrorIs(code))
          << name(type) << ": " << what;
  }
}

TEST(VerifyEcdsa, RefusesDer) {
  const Signature whole = signer(KeyType::ecdsa_p256).sign(kText);
  const Value value = value_of(whole);
  const auto [r, s] = pair_of(value.raw);
  const std::string der{"\x30\x06\x02\x01\x01\x02\x01\x01", 8};
  EXPECT_THAT(judge(with_value(whole, {value.algorithm, der, ""})), ErrorIs(Code::invalid_payload));
}

// Nobody may take a signature for the name of a statement.
TEST(VerifyEcdsa, TakesTheTwinThatAnybodyCanMakeOfASignature) {
  for (const KeyType type : kEcdsa) {
    const Signature whole = signer(type).sign(kText);
    const Value value = value_of(whole);
    const auto [r, s] = pair_of(value.raw);
    const Bytes order = order_of(type);
    const Number n{BN_bin2bn(order.data(), static_cast<int>(order.size()), nullptr), &BN_free};
    const Number twin{BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr), &BN_free};
    ASSERT_EQ(BN_sub(twin.get(), n.get(), twin.get()), 1);
    const std::string raw = ssh_mpint(r) + ssh_mpint(bytes_of_number(twin.get()));
    EXPECT_NE(raw, value.raw);
    EXPECT_THAT(judge(with_value(whole, {value.algorithm, raw, value.behind})), Succeeds());
  }
}

// ---- Security keys ----

constexpr KeyType kSecurityKeys[] = {KeyType::sk_ed25519, KeyType::sk_ecdsa_p256};

TEST(VerifySecurityKey, SaysWhatTheFlagsSayAndNothingElse) {
  for (const KeyType type : kSecurityKeys) {
    for (unsigned flags = 0; flags < 0x40; ++flags) {
      const auto verified = judge(signer(type).sign(kText, {.flags = static_cast<Byte>(flags)}));
      ASSERT_THAT(verified, Succeeds()) << flags;
      EXPECT_EQ(verified->user_present(), (flags & 1) != 0) << flags;
      EXPECT_EQ(verified->user_verified(), (flags & 4) != 0) << flags;
    }
    for (const unsigned flags : {0x40u, 0x41u, 0x80u, 0x81u, 0xc5u, 0xffu})
      EXPECT_THAT(judge(signer(type).sign(kText, {.flags = static_cast<Byte>(flags)})),
                  ErrorIs(Code::invalid_payload, HasSubstr("flags")))
          << flags;
  }
}

TEST(VerifySecurityKey, RefusesFlagsAndCountersThatWereNotSigned) {
  for (const KeyType type : kSecurityKeys) {
    const Signature whole = signer(type).sign(kText, {.flags = 0x00, .counter = 7});
    Value value = value_of(whole);
    value.behind = std::string(1, '\5') + ssh_number(7);
    EXPECT_THAT(judge(with_value(whole, value)), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
    value.behind = std::string(1, '\0') + ssh_number(8);
    EXPECT_THAT(judge(with_value(whole, value)), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
    value.behind = std::string(1, '\0') + ssh_number(7);
    EXPECT_THAT(judge(with_value(whole, value)), Succeeds());
  }
}

// Software that holds an ordinary key, or a security key's twin of another application.
TEST(VerifySecurityKey, RefusesASignatureOverTheBareMessage) {
  for (const KeyType type : kSecurityKeys)
    EXPECT_THAT(judge(signer(type).sign(kText, {.without_u2f = true})),
                ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
}

TEST(VerifySecurityKey, RefusesAnotherApplication) {
  for (const KeyType type : kSecurityKeys) {
    const TestSigner mine{type, "ssh:hsm"};
    Signature signature = mine.sign(kText);
    ASSERT_THAT(judge(signature), Succeeds());
    signature.public_key.back() = 'x';  // "ssh:hsx"
    EXPECT_THAT(judge(signature), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
  }
}

TEST(VerifySecurityKey, DoesNotPassForThePlainKeyWithItsPoint) {
  const Signature whole = signer(KeyType::sk_ed25519).sign(kText);
  const Bytes key = signer(KeyType::sk_ed25519).public_key();
  const std::size_t point = 4 + std::string_view{"sk-ssh-ed25519@openssh.com"}.size() + 4;
  Signature plain = whole;
  plain.public_key =
      bytes_of(ssh_string("ssh-ed25519") + ssh_string(as_text(ByteView{key}.subspan(point, 32))));
  plain = with_value(plain, {"ssh-ed25519", value_of(whole).raw, ""});
  EXPECT_THAT(judge(plain), ErrorIs(Code::denied, HasSubstr(kDoesNotVerify)));
}

}  // namespace
}  // namespace hsm::officers
