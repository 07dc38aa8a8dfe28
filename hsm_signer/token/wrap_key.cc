#include "hsm_signer/token/wrap_key.h"

#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "hsm_signer/token/secret_file.h"
#include "hsm_signer/token/service_keys.h"

namespace hsm::token {
namespace {

constexpr std::size_t kWrapKeyLimit = 16 * 1024;
constexpr int kLeastModulusBits = 3072;
constexpr std::string_view kDamaged =
    "the wrapped key does not unwrap: it is damaged or was made for another token";

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

// What tokens answer to a blob that is damaged or was wrapped to another key (SoftHSM the first,
// NSS the second and fourth, openCryptoki the others).
bool blames_the_blob(CK_RV rv) {
  return rv == CKR_GENERAL_ERROR || rv == CKR_WRAPPED_KEY_INVALID ||
         rv == CKR_WRAPPED_KEY_LEN_RANGE || rv == CKR_DATA_LEN_RANGE || rv == CKR_FUNCTION_FAILED ||
         rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE;
}

class InToken final : public WrapKey {
 public:
  explicit InToken(Bytes public_der) : public_der_{std::move(public_der)} {}

  Result<Bytes> public_der() const override { return public_der_; }
  std::string_view decrypted_by() const override { return "token"; }
  Result<CK_OBJECT_HANDLE> make_key(const Session& session, ByteView ciphertext,
                                    Template& attributes) const override {
    TRY(const CK_OBJECT_HANDLE wrap_key, find_wrap_key(session));
    auto handle = session.unwrap_oaep(wrap_key, ciphertext, attributes);
    if (handle || !blames_the_blob(handle.error().ck_rv)) return handle;
    Error error = std::move(handle).error();
    error.code = Code::usage;
    error.what = kDamaged;
    return fail(std::move(error));
  }

 private:
  Bytes public_der_;
};

class InFile final : public WrapKey {
 public:
  explicit InFile(Key key) : key_{std::move(key)} {}

  Result<Bytes> public_der() const override {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    if (size <= 0) return fail(Code::internal, "OpenSSL could not write a public key");
    Bytes bytes{der, der + size};
    OPENSSL_free(der);
    return bytes;
  }
  std::string_view decrypted_by() const override { return "host"; }
  Result<CK_OBJECT_HANDLE> make_key(const Session& session, ByteView ciphertext,
                                    Template& attributes) const override {
    TRY(SecretBytes secret, decrypt(ciphertext));
    return session.create_object(attributes, secret);
  }

 private:
  Result<SecretBytes> decrypt(ByteView ciphertext) const;

  Key key_;
};

// OpenSSL unpads in a time that does not depend on what is wrong, and one error is all we give.
Result<SecretBytes> InFile::decrypt(ByteView ciphertext) const {
  const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr),
                           &EVP_PKEY_CTX_free};
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()));
  SecretBytes secret{size};
  const bool done = context && EVP_PKEY_decrypt_init(context.get()) == 1 &&
                    EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha1()) == 1 &&
                    EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha1()) == 1 &&
                    EVP_PKEY_decrypt(context.get(), secret.span().data(), &size, ciphertext.data(),
                                     ciphertext.size()) == 1;
  if (!done) return fail(Code::usage, kDamaged);
  secret.truncate(size);
  return secret;
}

class None final : public WrapKey {
 public:
  explicit None(std::string_view why) : why_{why} {}
  Result<Bytes> public_der() const override { return fail(Code::usage, why_); }
  std::string_view decrypted_by() const override { return "nobody"; }
  Result<CK_OBJECT_HANDLE> make_key(const Session&, ByteView, Template&) const override {
    return fail(Code::usage, why_);
  }

 private:
  std::string_view why_;
};

}  // namespace

std::unique_ptr<WrapKey> wrap_key_in_token(Bytes public_der) {
  return std::make_unique<InToken>(std::move(public_der));
}

Result<std::unique_ptr<WrapKey>> wrap_key_in_file(const std::string& path) {
  TRY(const SecretBytes file, read_private_file(path, "wrap key file", kWrapKeyLimit));
  EVP_PKEY* read = nullptr;
  const std::unique_ptr<OSSL_DECODER_CTX, decltype(&OSSL_DECODER_CTX_free)> decoder{
      OSSL_DECODER_CTX_new_for_pkey(&read, "PEM", "PrivateKeyInfo", "RSA", EVP_PKEY_KEYPAIR,
                                    nullptr, nullptr),
      &OSSL_DECODER_CTX_free};
  const unsigned char* at = file.view().data();
  std::size_t left = file.size();
  const bool decoded = decoder && OSSL_DECODER_from_data(decoder.get(), &at, &left) == 1;
  Key key{read, &EVP_PKEY_free};
  if (!decoded || !key)
    return fail(Code::usage, "not an RSA private key, PKCS#8 in PEM without passphrase",
                path + "; openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 makes one");
  if (EVP_PKEY_get_bits(key.get()) < kLeastModulusBits)
    return fail(Code::usage, "a wrap key is RSA with at least 3072 bits", path);
  return std::make_unique<InFile>(std::move(key));
}

std::unique_ptr<WrapKey> no_wrap_key(std::string_view why) { return std::make_unique<None>(why); }

Result<std::unique_ptr<WrapKey>> wrap_key_for(const Profile& profile, Bytes public_der,
                                              const std::string& path) {
  switch (profile.way) {
    case SecretWay::decrypted_in_host:
      return wrap_key_in_file(path);
    case SecretWay::linked:
      return no_wrap_key(
          "keys of such a token are made with its own tools and linked, not imported");
    case SecretWay::unwrapped_in_token:
      break;
  }
  return wrap_key_in_token(std::move(public_der));
}

}  // namespace hsm::token
