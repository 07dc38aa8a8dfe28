#include "hsm_signer/base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <memory>

namespace hsm {
namespace {

// Fetched once: an implicit fetch at each digest costs more than hashing a short message.
const EVP_MD* fetched(const char* name) { return EVP_MD_fetch(nullptr, name, nullptr); }

const EVP_MD* sha256_md() {
  static const EVP_MD* const md = fetched("SHA2-256");
  return md;
}
const EVP_MD* sha384_md() {
  static const EVP_MD* const md = fetched("SHA2-384");
  return md;
}

// A digest without memory is not an error that a caller could handle.
void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

Sha256 sha256(ByteView message) { return sha256(message, {}, {}); }

Sha256 sha256(ByteView a, ByteView b, ByteView c) {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
      EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  Sha256 digest;
  require(EVP_DigestInit_ex(context.get(), sha256_md(), nullptr) == 1);
  for (ByteView part : {a, b, c})
    require(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  require(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

Sha384 sha384(ByteView message) {
  Sha384 digest;
  require(EVP_Digest(message.data(), message.size(), digest.data(), nullptr, sha384_md(),
                     nullptr) == 1);
  return digest;
}

Mac hmac_sha384(ByteView key, ByteView message) {
  Mac mac;
  // HMAC() takes a null key for "the key of last time"; an empty key needs an address.
  static constexpr Byte kNothing = 0;
  require(HMAC(sha384_md(), key.empty() ? &kNothing : key.data(), static_cast<int>(key.size()),
               message.data(), message.size(), mac.data(), nullptr) != nullptr);
  return mac;
}

}  // namespace hsm
