#include "tests/support/key_thief.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hsm_signer/token/cryptoki.h"

namespace hsm::test {
namespace {

using token::Template;
using KeyPair = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

constexpr CK_MECHANISM_TYPE kAesKeyWrap = 0x2109;  // CKM_AES_KEY_WRAP, RFC 3394.

struct Way {
  CK_MECHANISM_TYPE mechanism;
  Result<CK_OBJECT_HANDLE> wrapping;
  std::function<Bytes(ByteView)> open;
};

Result<CK_OBJECT_HANDLE> create(const RawSession& raw, Template& key) {
  CK_OBJECT_HANDLE made = 0;
  const CK_RV rv = raw->C_CreateObject(raw.handle(), key.data(), key.size(), &made);
  if (rv != CKR_OK) return fail(token::ck_error("cannot bring a key", rv));
  return made;
}

// Of the session: gone with it.
Template aes_template() {
  Template aes;
  aes.number(CKA_CLASS, CKO_SECRET_KEY).number(CKA_KEY_TYPE, CKK_AES).flag(CKA_TOKEN, false);
  return aes;
}

Result<CK_OBJECT_HANDLE> generate(const RawSession& raw, CK_ATTRIBUTE_TYPE allowed) {
  Template aes = aes_template();
  aes.flag(allowed, true).number(CKA_VALUE_LEN, 32);
  CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made = 0;
  const CK_RV rv = raw->C_GenerateKey(raw.handle(), &mechanism, aes.data(), aes.size(), &made);
  if (rv != CKR_OK) return fail(token::ck_error("cannot generate an AES key", rv));
  return made;
}

Result<Bytes> wrap(const RawSession& raw, const Way& way, CK_OBJECT_HANDLE key) {
  CK_MECHANISM mechanism{way.mechanism, nullptr, 0};
  Bytes out(512);
  CK_ULONG size = out.size();
  const CK_RV rv = raw->C_WrapKey(raw.handle(), &mechanism, *way.wrapping, key, out.data(), &size);
  if (rv != CKR_OK) return fail(token::ck_error("cannot wrap a key", rv));
  out.resize(size);
  return out;
}

Bytes open_rfc3394(ByteView key, ByteView wrapped) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context{
      EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  Bytes out(wrapped.size() + 16);
  int size = 0;
  if (EVP_DecryptInit_ex(context.get(), EVP_aes_256_wrap(), nullptr, key.data(), nullptr) != 1 ||
      EVP_DecryptUpdate(context.get(), out.data(), &size, wrapped.data(),
                        static_cast<int>(wrapped.size())) != 1)
    return {};
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Bytes open_rsa(EVP_PKEY* pair, ByteView wrapped) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new_from_pkey(nullptr, pair, nullptr), &EVP_PKEY_CTX_free};
  Bytes out(512);
  std::size_t size = out.size();
  if (EVP_PKEY_decrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_decrypt(context.get(), out.data(), &size, wrapped.data(), wrapped.size()) != 1)
    return {};
  out.resize(size);
  return out;
}

Bytes number(EVP_PKEY* pair, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(pair, name, &number);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> owned{number, &BN_free};
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  return bytes;
}

Way under_brought_aes(const RawSession& raw) {
  const Bytes known(32, Byte{0x42});
  Template aes = aes_template();
  aes.flag(CKA_WRAP, true).bytes(CKA_VALUE, known);
  return {kAesKeyWrap, create(raw, aes),
          [known](ByteView wrapped) { return open_rfc3394(known, wrapped); }};
}

Way under_generated_aes(const RawSession& raw) {
  return {kAesKeyWrap, generate(raw, CKA_WRAP), [](ByteView wrapped) {
            return Bytes{wrapped.begin(), wrapped.end()};
          }};
}

Way under_brought_rsa(const RawSession& raw, EVP_PKEY* pair) {
  Template rsa;
  rsa.number(CKA_CLASS, CKO_PUBLIC_KEY).number(CKA_KEY_TYPE, CKK_RSA).flag(CKA_TOKEN, false);
  rsa.flag(CKA_WRAP, true).bytes(CKA_MODULUS, number(pair, OSSL_PKEY_PARAM_RSA_N));
  rsa.bytes(CKA_PUBLIC_EXPONENT, number(pair, OSSL_PKEY_PARAM_RSA_E));
  return {CKM_RSA_PKCS, create(raw, rsa),
          [pair](ByteView wrapped) { return open_rsa(pair, wrapped); }};
}

}  // namespace

Result<std::optional<Bytes>> wrapped_out(const RawSession& raw, CK_OBJECT_HANDLE key) {
  TRY(const CK_OBJECT_HANDLE extractable, generate(raw, CKA_EXTRACTABLE));
  const KeyPair pair{EVP_RSA_gen(2048), &EVP_PKEY_free};
  const Way ways[] = {under_brought_aes(raw), under_generated_aes(raw),
                      under_brought_rsa(raw, pair.get())};
  Result<std::optional<Bytes>> got = fail(Code::internal, "no way was tried");
  bool works = false;
  for (const Way& way : ways) {
    const Result<Bytes> control =
        way.wrapping ? wrap(raw, way, extractable) : Result<Bytes>{fail(way.wrapping.error())};
    if (!control && !works) got = fail(control.error());
    if (!control) continue;
    if (!works) got = std::optional<Bytes>{};
    works = true;
    if (const auto out = wrap(raw, way, key)) return std::optional{way.open(*out)};
  }
  return got;
}

}  // namespace hsm::test
