// What every vault promises, on the fake and on SoftHSM.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "hsm_signer/token/login.h"
#include "hsm_signer/token/service_keys.h"
#include "hsm_signer/token/token_vault.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_vault.h"
#include "tests/support/soft_token.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;

// The vault, and what another program with the PIN could do behind its back.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual Vault& vault() = 0;
  virtual void plant(const ObjectName& object, ByteView key) = 0;
  virtual void remove(const ObjectName& object) = 0;
};

class FakeBench final : public Bench {
 public:
  Vault& vault() override { return vault_; }
  void plant(const ObjectName& object, ByteView key) override { vault_.plant(object, key); }
  void remove(const ObjectName& object) override { vault_.remove(object); }

 private:
  test::FakeVault vault_;
};

// SoftHSM is initialised once per process, so its token is shared by the tests of one run of this
// program.
class SoftHsmWorld {
 public:
  SoftHsmWorld() : timer_{*KillTimer::create({})} {
    token_.use_in_this_process();
    cryptoki_.emplace(*Cryptoki::load(test::kSoftHsmModule, {}, timer_));
    access_.emplace(*TokenAccess::find(*cryptoki_, *TokenUri::parse(token_.uri())));
    EXPECT_THAT(access_->login(*read_pin(token_.pin_file())), Succeeds());
    const auto session = Session::open(*cryptoki_, access_->slot());
    EXPECT_THAT(ensure_service_keys(*session, *profile()), Succeeds());
    EXPECT_THAT(access_->load_service_keys(*profile()), Succeeds());
    wrap_key_ = wrap_key_in_token(*access_->wrap_public_key());
  }
  static SoftHsmWorld& get() {
    static SoftHsmWorld world;
    return world;
  }
  static const Profile* profile() { return *find_profile("softhsm"); }
  const Cryptoki& cryptoki() const { return *cryptoki_; }
  const TokenAccess& access() const { return *access_; }
  const WrapKey& wrap_key() const { return *wrap_key_; }

 private:
  test::SoftToken token_;
  KillTimer timer_;
  std::optional<Cryptoki> cryptoki_;
  std::optional<TokenAccess> access_;
  std::unique_ptr<WrapKey> wrap_key_;
};

class SoftHsmBench final : public Bench {
 public:
  SoftHsmBench()
      : slot_{SoftHsmWorld::get().access().slot()},
        vault_{*Session::open(SoftHsmWorld::get().cryptoki(), slot_), *SoftHsmWorld::profile(),
               SoftHsmWorld::get().wrap_key()} {}
  Vault& vault() override { return vault_; }
  void plant(const ObjectName& object, ByteView key) override {
    test::plant_key(slot_, object, key);
  }
  void remove(const ObjectName& object) override { test::remove_key(slot_, object); }

 private:
  CK_SLOT_ID slot_;
  TokenVault vault_;
};

SecretBytes canonical(std::string_view secret) {
  return *wire::canonical_secret(SecretBytes::copy_of(as_bytes(secret)));
}

KeyRef ref(const ObjectName& object, std::string_view secret) {
  return {object, wire::key_check_value(canonical(secret).view())};
}

class VaultContract : public ::testing::TestWithParam<const char*> {
 protected:
  VaultContract() {
    if (std::string_view{GetParam()} == "fake")
      bench_ = std::make_unique<FakeBench>();
    else
      bench_ = std::make_unique<SoftHsmBench>();
  }
  Vault& vault() { return bench_->vault(); }
  // No two tests share a name: SoftHSM's token outlives a test.
  static ObjectName fresh() {
    static std::uint16_t last = 0;
    ++last;
    return {"key" + std::to_string(last) + ".v1", last};
  }
  wire::WrappedKey wrapped(std::string_view secret) {
    return *wire::wrap(canonical(secret), *vault().wrap_key_pem());
  }
  ObjectName imported(std::string_view secret) {
    ObjectName object = fresh();
    EXPECT_THAT(vault().import(object, wrapped(secret)), Succeeds());
    return object;
  }
  bool lists(const ObjectName& object) {
    const auto names = vault().list();
    EXPECT_THAT(names, Succeeds());
    return std::find(names->begin(), names->end(), object) != names->end();
  }

  std::unique_ptr<Bench> bench_;
  const ByteView message_ = as_bytes("eyJyZXF1ZXN0IjoiL3YxL2hlYXJ0YmVhdCJ9");
};

constexpr std::string_view kSecret = "4wNq7sPv1kXz9bTe2Rj6Ym8Lc3Ha";
constexpr std::string_view kOther = "another-secret-of-another-key";

TEST_P(VaultContract, SignsLikeOpensslWithSecretsOfEveryLength) {
  for (const std::size_t size : {1U, 20U, 28U, 47U, 48U, 49U, 64U, 127U, 128U, 129U, 200U}) {
    std::string secret;
    for (std::size_t i = 0; i < size; ++i)
      secret.push_back(static_cast<char>('!' + (i * 7 + size) % 94));
    const ObjectName object = imported(secret);
    const auto mac = vault().mac(ref(object, secret), message_);
    ASSERT_THAT(mac, Succeeds()) << size;
    EXPECT_EQ(*mac, hmac_sha384(as_bytes(secret), message_)) << size;
  }
}

TEST_P(VaultContract, SignsTheDocumentedExampleOfTheExchange) {
  const ObjectName object = imported("1234abcd");
  const std::string base64 =
      "ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgogICAgIm9yZGVy"
      "X2lkIjogMTg4MzQKfQo=";
  const auto mac = vault().mac(ref(object, "1234abcd"), as_bytes(base64));
  ASSERT_THAT(mac, Succeeds());
  EXPECT_EQ(hex_encode(*mac),
            "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee1071"
            "9ff70d710f");
}

TEST_P(VaultContract, ListsWhatWasImportedAndNoLongerWhatWasDestroyed) {
  const ObjectName object = imported(kSecret);
  EXPECT_TRUE(lists(object));
  EXPECT_THAT(vault().destroy(object), Succeeds());
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, RefusesToSignWithADestroyedKey) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  ASSERT_THAT(vault().destroy(object), Succeeds());
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::key_not_active));
}

TEST_P(VaultContract, RefusesAKeyThatIsNotThere) {
  const ObjectName object = fresh();
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::key_not_active));
  EXPECT_THAT(vault().find(ref(object, kSecret)), ErrorIs(Code::key_not_active));
  EXPECT_THAT(vault().key_check(object), ErrorIs(Code::key_not_active));
  EXPECT_THAT(vault().destroy(object), ErrorIs(Code::key_not_active));
}

TEST_P(VaultContract, RefusesARightLabelWithAWrongId) {
  ObjectName object = imported(kSecret);
  object.cka_id = static_cast<std::uint16_t>(object.cka_id + 0x4000);
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::key_not_active));
}

TEST_P(VaultContract, QuarantinesAKeyWithAnotherKeyCheckValue) {
  const ObjectName object = imported(kSecret);
  EXPECT_THAT(vault().mac(ref(object, kOther), message_), ErrorIs(Code::quarantined));
  EXPECT_THAT(vault().find(ref(object, kOther)), ErrorIs(Code::quarantined));
}

TEST_P(VaultContract, ComparesTheKeyCheckValueAlsoAfterTheKeyWasProven) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  EXPECT_THAT(vault().mac(ref(object, kOther), message_), ErrorIs(Code::quarantined));
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
}

TEST_P(VaultContract, TellsTheKeyCheckValue) {
  const ObjectName object = imported(kSecret);
  const auto value = vault().key_check(object);
  ASSERT_THAT(value, Succeeds());
  EXPECT_EQ(*value, wire::key_check_value(canonical(kSecret).view()));
}

// What SoftHSM leaves of an import that is killed between name and value.
TEST_P(VaultContract, QuarantinesAnObjectWithoutAValueAndDestroysIt) {
  const ObjectName object = fresh();
  bench_->plant(object, {});
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::quarantined));
  EXPECT_THAT(vault().destroy(object), Succeeds());
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, QuarantinesTwoObjectsWithOneLabel) {
  const ObjectName object = imported(kSecret);
  const ObjectName twin{object.label, static_cast<std::uint16_t>(object.cka_id + 0x2000)};
  bench_->plant(twin, canonical(kOther).view());
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::quarantined));
  EXPECT_THAT(vault().destroy(object), ErrorIs(Code::quarantined));
}

TEST_P(VaultContract, QuarantinesTwoObjectsWithOneId) {
  const ObjectName object = imported(kSecret);
  const ObjectName twin{"twin-" + object.label, object.cka_id};
  bench_->plant(twin, canonical(kOther).view());
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::quarantined));
  EXPECT_THAT(vault().mac(ref(twin, kOther), message_), ErrorIs(Code::quarantined));
}

TEST_P(VaultContract, FindsAKeyAgainThatWasMadeAnewBehindItsBack) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  bench_->remove(object);
  bench_->plant(object, canonical(kSecret).view());
  const auto mac = vault().mac(ref(object, kSecret), message_);
  ASSERT_THAT(mac, Succeeds());
  EXPECT_EQ(*mac, hmac_sha384(as_bytes(kSecret), message_));
}

TEST_P(VaultContract, DoesNotSignWithAKeyThatWasExchangedBehindItsBack) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  bench_->remove(object);
  bench_->plant(object, canonical(kOther).view());
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::quarantined));
}

TEST_P(VaultContract, ProvesAKeyAnewAfterForgettingIt) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  vault().forget(object);
  bench_->remove(object);
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::key_not_active));
}

TEST_P(VaultContract, RefusesToImportOverATakenLabel) {
  const ObjectName object = imported(kSecret);
  const ObjectName same_label{object.label, fresh().cka_id};
  EXPECT_THAT(vault().import(same_label, wrapped(kOther)),
              ErrorIs(Code::usage, HasSubstr("already")));
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
}

TEST_P(VaultContract, RefusesToImportOverATakenId) {
  const ObjectName object = imported(kSecret);
  const ObjectName same_id{fresh().label, object.cka_id};
  EXPECT_THAT(vault().import(same_id, wrapped(kOther)), ErrorIs(Code::usage, HasSubstr("already")));
  EXPECT_FALSE(lists(same_id));
}

TEST_P(VaultContract, RefusesABlobForAnotherToken) {
  auto blob = wire::wrap(canonical(kSecret), *test::FakeVault{}.wrap_key_pem());
  const ObjectName object = fresh();
  EXPECT_THAT(vault().import(object, *blob),
              ErrorIs(Code::usage, HasSubstr("this wrapped key is for another token")));
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, RefusesADamagedBlob) {
  const ObjectName object = fresh();
  wire::WrappedKey damaged = wrapped(kSecret);
  damaged.ciphertext[100] ^= 1;
  EXPECT_THAT(vault().import(object, damaged), ErrorIs(Code::usage, HasSubstr("does not unwrap")));
  wire::WrappedKey cut = wrapped(kSecret);
  cut.ciphertext.resize(200);
  EXPECT_THAT(vault().import(object, cut), ErrorIs(Code::usage, HasSubstr("does not unwrap")));
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, DestroysAnImportedKeyThatIsNotWhatTheBlobSays) {
  const ObjectName object = fresh();
  wire::WrappedKey lying = wrapped(kSecret);
  lying.key_check[0] ^= 1;
  EXPECT_THAT(vault().import(object, lying), ErrorIs(Code::usage, HasSubstr("another secret")));
  EXPECT_FALSE(lists(object));
  EXPECT_THAT(vault().import(object, wrapped(kSecret)), Succeeds());
}

TEST_P(VaultContract, RefusesNamesThatAreNoKeysOfThisProject) {
  for (const ObjectName& object :
       {ObjectName{"desk", 7}, ObjectName{"desk.v0", 7}, ObjectName{"desk.v01", 7},
        ObjectName{"Desk.v1", 7}, ObjectName{"", 7}, ObjectName{".v1", 7},
        ObjectName{"desk.v1 ", 7}, ObjectName{"desk.v4294967296", 7},
        ObjectName{"hsm-signer-audit", 7}, ObjectName{"desk.v1", 0}, ObjectName{"desk.v1", 0xff01},
        ObjectName{"desk.v1", 0xff02}, ObjectName{"desk.v1", 0xff00}}) {
    EXPECT_THAT(vault().import(object, wrapped(kSecret)), ErrorIs(Code::usage)) << object.label;
    EXPECT_THAT(vault().destroy(object), ErrorIs(Code::usage)) << object.label;
    EXPECT_THAT(vault().mac(ref(object, kSecret), message_), ErrorIs(Code::usage)) << object.label;
  }
}

INSTANTIATE_TEST_SUITE_P(Vaults, VaultContract, ::testing::Values("fake", "softhsm"),
                         [](const auto& which) { return std::string{which.param}; });

// What only a real token can show.
class SoftHsmImport : public ::testing::Test {
 protected:
  SoftHsmImport()
      : session_{
            *Session::open(SoftHsmWorld::get().cryptoki(), SoftHsmWorld::get().access().slot())} {}
  CK_OBJECT_HANDLE wrap_key() { return *find_wrap_key(session_); }
  Bytes ciphertext() {
    const auto pem = public_key_pem(*SoftHsmWorld::get().access().wrap_public_key());
    return wire::wrap(canonical(kSecret), pem)->ciphertext;
  }
  static Template weak(CK_ATTRIBUTE_TYPE weakened) {
    Template attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY).number(CKA_KEY_TYPE, CKK_SHA384_HMAC);
    attributes.flag(CKA_TOKEN, weakened != CKA_TOKEN).flag(CKA_PRIVATE, weakened != CKA_PRIVATE);
    attributes.flag(CKA_SENSITIVE, weakened != CKA_SENSITIVE)
        .flag(CKA_EXTRACTABLE, weakened == CKA_EXTRACTABLE);
    attributes.flag(CKA_SIGN, true)
        .flag(CKA_VERIFY, true)
        .text(CKA_LABEL, "weak.v1")
        .bytes(CKA_ID, cka_id_bytes(0x7001));
    return attributes;
  }
  Session session_;
};

TEST_F(SoftHsmImport, TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards) {
  for (const CK_ATTRIBUTE_TYPE weakened :
       {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_TOKEN, CKA_PRIVATE}) {
    Template attributes = weak(weakened);
    const auto handle = session_.unwrap_oaep(wrap_key(), ciphertext(), attributes);
    ASSERT_THAT(handle, ErrorIs(Code::token_unavailable)) << weakened;
    EXPECT_EQ(handle.error().ck_rv, CKR_TEMPLATE_INCONSISTENT);
  }
}

TEST_F(SoftHsmImport, TheWrapKeyIsForUnwrappingOnly) {
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_UNWRAP), true);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_DECRYPT), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_SIGN), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_EXTRACTABLE), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_SENSITIVE), true);
}

TEST_F(SoftHsmImport, GeneratingServiceKeysAgainChangesNothing) {
  const auto before = wrap_key();
  EXPECT_THAT(ensure_service_keys(session_, *SoftHsmWorld::profile()), Succeeds());
  EXPECT_EQ(wrap_key(), before);
}

TEST_F(SoftHsmImport, TheAuditKeySignsVerifiably) {
  const auto text = as_bytes("origin\n1\nroot\n");
  const auto signature = SoftHsmWorld::get().access().sign_with_audit_key(text);
  ASSERT_THAT(signature, Succeeds());
  const Bytes der = *SoftHsmWorld::get().access().audit_public_key();
  const Byte* at = der.data();
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())), &EVP_PKEY_free};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  ASSERT_EQ(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()), 1);
  EXPECT_EQ(EVP_DigestVerify(context.get(), signature->data(), signature->size(), text.data(),
                             text.size()),
            1);
}

TEST_F(SoftHsmImport, AFailedCallKeepsTheNameOfItsCkr) {
  const auto mac = session_.hmac_sha384(0x7fffffff, as_bytes("x"));
  ASSERT_THAT(mac, ErrorIs(Code::token_unavailable, HasSubstr("HANDLE_INVALID")));
  EXPECT_EQ(remedy({}, mac.error().ck_rv), Remedy::find_again);
}

}  // namespace
}  // namespace hsm::token
