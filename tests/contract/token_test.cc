// What only a token can show.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <set>

#include "hsm_signer/token/service_keys.h"
#include "tests/contract/vault_contract.h"
#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;

class TokenContract : public Deviating {
 protected:
  TokenContract()
      : Deviating{test::TestToken::name()}, token_{the_token()}, session_{token_.session()} {}
  ~TokenContract() override { token_.clear(); }

  bool has_wrap_key() { return find_wrap_key(session_).has_value(); }
  void expect_no_wrap_key() {
    EXPECT_THAT(find_wrap_key(session_),
                ErrorIs(Code::token_unavailable, HasSubstr("no wrap key")));
  }
  void expect_readable() {
    Template attributes = weak({CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_TOKEN});
    const auto handle = session_.unwrap_oaep(wrap_key(), ciphertext(), attributes);
    ASSERT_THAT(handle, Succeeds());
    const auto value = session_.attribute(*handle, CKA_VALUE);
    ASSERT_THAT(value, Succeeds());
    EXPECT_TRUE(*value == secret_bytes());
  }
  static Bytes secret_bytes() {
    const SecretBytes secret = canonical(kSecret);
    return {secret.view().begin(), secret.view().end()};
  }
  CK_OBJECT_HANDLE wrap_key() { return *find_wrap_key(session_); }
  Bytes ciphertext() {
    const auto pem = public_key_pem(*token_.access().wrap_public_key());
    return wire::wrap(canonical(kSecret), pem)->ciphertext;
  }
  // An HMAC key without the protection of these attributes.
  static Template weak(const std::set<CK_ATTRIBUTE_TYPE>& weakened) {
    const ObjectName object = fresh();
    Template attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY).number(CKA_KEY_TYPE, CKK_SHA384_HMAC);
    for (const CK_ATTRIBUTE_TYPE type : {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE})
      attributes.flag(type, !weakened.contains(type));
    attributes.flag(CKA_EXTRACTABLE, weakened.contains(CKA_EXTRACTABLE));
    attributes.flag(CKA_SIGN, true).flag(CKA_VERIFY, true).text(CKA_LABEL, object.label);
    attributes.bytes(CKA_ID, cka_id_bytes(object.cka_id));
    return attributes;
  }
  // What an importer leaves behind.
  ObjectName planted() {
    const ObjectName object = fresh();
    EXPECT_THAT(token_.plant(object, canonical(kSecret).view()), Succeeds());
    return object;
  }
  CK_OBJECT_HANDLE handle_of(const ObjectName& object) {
    Template match;
    match.number(CKA_CLASS, CKO_SECRET_KEY).text(CKA_LABEL, object.label);
    return session_.find(match)->at(0);
  }

  test::TestToken& token_;
  Session session_;
};

TEST_F(TokenContract, MakesTheTokenHostsOwnKeysAndChangesNothingTheNextTime) {
  if (deviates()) {
    ASSERT_THAT(token_.service_keys(), ErrorIs(Code::token_unavailable));
    EXPECT_EQ(token_.service_keys().error().ck_rv, CKR_MECHANISM_INVALID);
    return;
  }
  ASSERT_THAT(token_.service_keys(), Succeeds());
  const Bytes before = *token_.access().audit_public_key();
  EXPECT_THAT(ensure_service_keys(session_, token_.profile()), Succeeds());
  EXPECT_THAT(token_.access().load_service_keys(token_.profile()), Succeeds());
  EXPECT_EQ(*token_.access().audit_public_key(), before);
}

TEST_F(TokenContract, TheAuditKeySignsVerifiably) {
  if (deviates()) {
    EXPECT_THAT(token_.access().load_service_keys(token_.profile()),
                ErrorIs(Code::token_unavailable, HasSubstr("hsm-signer-audit")));
    return;
  }
  const auto text = as_bytes("origin\n1\nroot\n");
  const auto signature = token_.access().sign_with_audit_key(text);
  ASSERT_THAT(signature, Succeeds());
  const Bytes der = *token_.access().audit_public_key();
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

TEST_F(TokenContract, TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards) {
  if (deviates()) return has_wrap_key() ? expect_readable() : expect_no_wrap_key();
  for (const CK_ATTRIBUTE_TYPE weakened :
       {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_TOKEN, CKA_PRIVATE}) {
    Template attributes = weak({weakened});
    const auto handle = session_.unwrap_oaep(wrap_key(), ciphertext(), attributes);
    ASSERT_THAT(handle, ErrorIs(Code::token_unavailable)) << weakened;
    EXPECT_EQ(handle.error().ck_rv, CKR_TEMPLATE_INCONSISTENT);
  }
}

TEST_F(TokenContract, TheWrapKeyIsForUnwrappingOnly) {
  if (deviates()) return expect_no_wrap_key();
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_UNWRAP), true);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_DECRYPT), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_SIGN), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_EXTRACTABLE), false);
  EXPECT_EQ(*session_.flag(wrap_key(), CKA_SENSITIVE), true);
}

TEST_F(TokenContract, AKeyGivesItsSecretToNobodyWhoReadsIt) {
  EXPECT_EQ(*session_.value_readable(handle_of(planted())), false);
}

TEST_F(TokenContract, AKeyGivesItsSecretToNobodyWhoWrapsIt) {
  const auto secret = token_.wrapped_out(planted());
  const bool differs = deviates();
  if (differs && token_.links()) {
    EXPECT_THAT(secret, ErrorIs(Code::token_unavailable, HasSubstr("NOT_SUPPORTED")));
    return;
  }
  ASSERT_THAT(secret, Succeeds());
  if (differs)
    EXPECT_TRUE(*secret == secret_bytes());
  else
    EXPECT_FALSE(secret->has_value());
}

TEST_F(TokenContract, SignsTheLongestMessageThatItsProfileLetsThrough) {
  const std::string message(token_.profile().base64_limit, 'x');
  const auto mac = session_.hmac_sha384(handle_of(planted()), as_bytes(message));
  ASSERT_THAT(mac, Succeeds());
  EXPECT_TRUE(*mac == hmac_sha384(as_bytes(kSecret), as_bytes(message)));
}

TEST_F(TokenContract, AFailedCallKeepsTheNameOfItsCkr) {
  const auto mac = session_.hmac_sha384(0x7fffffff, as_bytes("x"));
  ASSERT_THAT(mac, ErrorIs(Code::token_unavailable, HasSubstr("HANDLE_INVALID")));
  EXPECT_EQ(remedy(token_.profile().exceptions, mac.error().ck_rv), Remedy::find_again);
}

}  // namespace
}  // namespace hsm::token
