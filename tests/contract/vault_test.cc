// What every vault promises, on the fake and on the token of this run (test_token.h).
#include <algorithm>

#include "tests/contract/vault_contract.h"
#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;

class VaultContract : public Deviating, public ::testing::WithParamInterface<std::string> {
 protected:
  VaultContract() : Deviating{GetParam()} {
    bench_ = GetParam() == "fake" ? fake_bench() : token_bench();
  }
  Vault& vault() { return bench_->vault(); }
  wire::WrappedKey wrapped(std::string_view secret) {
    // A token whose keys are linked has no wrap key; a blob for it is one for another token.
    const std::string pem =
        bench_->links() ? *test::FakeVault{}.wrap_key_pem() : *vault().wrap_key_pem();
    return *wire::wrap(canonical(secret), pem);
  }
  ObjectName imported(std::string_view secret) {
    ObjectName object = fresh();
    if (bench_->links())
      bench_->plant(object, canonical(secret).view());
    else
      EXPECT_THAT(vault().import(object, wrapped(secret)), Succeeds());
    return object;
  }
  bool lists(const ObjectName& object) {
    const auto names = vault().list();
    EXPECT_THAT(names, Succeeds());
    return std::find(names->begin(), names->end(), object) != names->end();
  }

  // The token takes no import, and says how a key comes instead.
  void expect_linked(const Result<void>& imported, const ObjectName& object) {
    EXPECT_THAT(imported, ErrorIs(Code::usage, HasSubstr("linked, not imported")));
    EXPECT_FALSE(lists(object));
  }

  // A handle that means another key now: nothing shows it but its signatures.
  void expect_found_by_key_check(const Result<Mac>& mac, const ObjectName& object) {
    ASSERT_THAT(mac, Succeeds());
    EXPECT_TRUE(*mac == hmac_sha384(as_bytes(kOther), message_));
    EXPECT_THAT(vault().canary(ref(object, kSecret)), ErrorIs(Code::quarantined));
  }

  std::unique_ptr<Bench> bench_;
  const ByteView message_ = as_bytes("eyJyZXF1ZXN0IjoiL3YxL2hlYXJ0YmVhdCJ9");
};

TEST_P(VaultContract, ImportsASecret) {
  const ObjectName object = fresh();
  const auto imported = vault().import(object, wrapped(kSecret));
  if (deviates()) return expect_linked(imported, object);
  ASSERT_THAT(imported, Succeeds());
  EXPECT_TRUE(lists(object));
}

TEST_P(VaultContract, SignsLikeOpensslWithSecretsOfEveryLength) {
  for (const std::size_t size : kSizes) {
    const std::string secret = secret_of(size);
    const ObjectName object = imported(secret);
    const auto mac = vault().mac(ref(object, secret), message_);
    ASSERT_THAT(mac, Succeeds()) << size;
    EXPECT_TRUE(*mac == hmac_sha384(as_bytes(secret), message_)) << size;
  }
}

TEST_P(VaultContract, SignsTheDocumentedExampleOfTheExchange) {
  const ObjectName object = imported(kDocumented);
  const std::string base64 =
      "ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgogICAgIm9yZGVy"
      "X2lkIjogMTg4MzQKfQo=";
  const auto mac = vault().mac(ref(object, kDocumented), as_bytes(base64));
  ASSERT_THAT(mac, Succeeds());
  EXPECT_TRUE(
      hex_encode(*mac) ==
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
  const auto planted = bench_->try_plant(object, {});
  if (bench_->links()) {
    EXPECT_TRUE(deviates());
    EXPECT_FALSE(planted);
    return;
  }
  ASSERT_THAT(planted, Succeeds());
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_),
              ErrorIs(deviates() ? Code::token_unavailable : Code::quarantined));
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
  const bool replaces = deviates();
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_),
              ErrorIs(replaces ? Code::key_not_active : Code::quarantined));
  const auto mac = vault().mac(ref(twin, kOther), message_);
  if (replaces)
    EXPECT_TRUE(*mac == hmac_sha384(as_bytes(kOther), message_));
  else
    EXPECT_THAT(mac, ErrorIs(Code::quarantined));
}

TEST_P(VaultContract, DoesNotSignWithAKeyThatTookItsId) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  const ObjectName twin{"twin-" + object.label, object.cka_id};
  bench_->plant(twin, canonical(kOther).view());
  const auto mac = vault().mac(ref(object, kSecret), message_);
  if (deviates()) return expect_found_by_key_check(mac, object);
  ASSERT_THAT(mac, Succeeds()) << "it was proven before, and its handle is still its own";
  EXPECT_TRUE(*mac == hmac_sha384(as_bytes(kSecret), message_));
}

TEST_P(VaultContract, FindsAKeyAgainThatWasMadeAnewBehindItsBack) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  bench_->remove(object);
  bench_->plant(object, canonical(kSecret).view());
  const auto mac = vault().mac(ref(object, kSecret), message_);
  ASSERT_THAT(mac, Succeeds());
  EXPECT_TRUE(*mac == hmac_sha384(as_bytes(kSecret), message_));
}

TEST_P(VaultContract, DoesNotSignWithAKeyThatWasExchangedBehindItsBack) {
  const ObjectName object = imported(kSecret);
  ASSERT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
  bench_->remove(object);
  bench_->plant(object, canonical(kOther).view());
  const auto mac = vault().mac(ref(object, kSecret), message_);
  if (deviates()) return expect_found_by_key_check(mac, object);
  EXPECT_THAT(mac, ErrorIs(Code::quarantined));
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
  const auto refused = vault().import(same_label, wrapped(kOther));
  if (deviates()) return expect_linked(refused, same_label);
  EXPECT_THAT(refused, ErrorIs(Code::usage, HasSubstr("already")));
  EXPECT_THAT(vault().mac(ref(object, kSecret), message_), Succeeds());
}

TEST_P(VaultContract, RefusesToImportOverATakenId) {
  const ObjectName object = imported(kSecret);
  const ObjectName same_id{fresh().label, object.cka_id};
  const auto refused = vault().import(same_id, wrapped(kOther));
  if (deviates()) return expect_linked(refused, same_id);
  EXPECT_THAT(refused, ErrorIs(Code::usage, HasSubstr("already")));
  EXPECT_FALSE(lists(same_id));
}

TEST_P(VaultContract, RefusesABlobForAnotherToken) {
  auto blob = wire::wrap(canonical(kSecret), *test::FakeVault{}.wrap_key_pem());
  const ObjectName object = fresh();
  const auto refused = vault().import(object, *blob);
  if (deviates()) return expect_linked(refused, object);
  EXPECT_THAT(refused, ErrorIs(Code::usage, HasSubstr("this wrapped key is for another token")));
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, RefusesADamagedBlob) {
  const ObjectName object = fresh();
  wire::WrappedKey damaged = wrapped(kSecret);
  damaged.ciphertext[100] ^= 1;
  const auto refused = vault().import(object, damaged);
  if (deviates()) return expect_linked(refused, object);
  EXPECT_THAT(refused, ErrorIs(Code::usage, HasSubstr("does not unwrap")));
  wire::WrappedKey cut = wrapped(kSecret);
  cut.ciphertext.resize(200);
  EXPECT_THAT(vault().import(object, cut), ErrorIs(Code::usage, HasSubstr("does not unwrap")));
  EXPECT_FALSE(lists(object));
}

TEST_P(VaultContract, DestroysAnImportedKeyThatIsNotWhatTheBlobSays) {
  const ObjectName object = fresh();
  wire::WrappedKey lying = wrapped(kSecret);
  lying.key_check[0] ^= 1;
  const auto refused = vault().import(object, lying);
  if (deviates()) return expect_linked(refused, object);
  EXPECT_THAT(refused, ErrorIs(Code::usage, HasSubstr("another secret")));
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

INSTANTIATE_TEST_SUITE_P(Vaults, VaultContract,
                         ::testing::Values(std::string{"fake"}, test::TestToken::name()),
                         [](const auto& which) {
                           std::string name = which.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace hsm::token
