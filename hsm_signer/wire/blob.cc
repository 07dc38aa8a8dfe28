#include "hsm_signer/wire/blob.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "hsm_signer/wire/little_endian.h"

namespace hsm::wire {
namespace {

constexpr std::string_view kMagic = "HSMWRAP1";
constexpr std::string_view kBegin = "-----BEGIN HSM-SIGNER WRAPPED KEY-----";
constexpr std::string_view kEnd = "-----END HSM-SIGNER WRAPPED KEY-----";
constexpr std::size_t kTextLine = 64;  // RFC 7468 section 2.
constexpr std::size_t kShortest = 48;  // SHA-384's output; SoftHSM signs with nothing shorter.
constexpr std::size_t kBlock = 128;    // SHA-384's block: HMAC hashes longer keys.
constexpr int kLeastModulusBits = 3072;
constexpr std::size_t kMostCiphertext = 1024;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

Result<Key> read_public_key(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
  Key key{bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr,
          &EVP_PKEY_free};
  if (!key) return fail(Code::usage, "not a public key in PEM");
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA ||
      EVP_PKEY_get_bits(key.get()) < kLeastModulusBits)
    return fail(Code::usage, "a wrap key is RSA with at least 3072 bits");
  return key;
}

Sha256 fingerprint_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  const Sha256 digest = sha256(ByteView{der, size > 0 ? static_cast<std::size_t>(size) : 0});
  OPENSSL_free(der);
  return digest;
}

Result<Bytes> encrypt_oaep(EVP_PKEY* key, ByteView plain) {
  const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr), &EVP_PKEY_CTX_free};
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  Bytes ciphertext(size);
  // SHA-1 serves OAEP as a random oracle here; its collisions do not matter (RFC 8017 section 7.1).
  const bool done =
      context && EVP_PKEY_encrypt_init(context.get()) == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
      EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha1()) == 1 &&
      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha1()) == 1 &&
      EVP_PKEY_encrypt(context.get(), ciphertext.data(), &size, plain.data(), plain.size()) == 1;
  if (!done) return fail(Code::internal, "OpenSSL could not encrypt to the wrap key");
  ciphertext.resize(size);
  return ciphertext;
}

}  // namespace

KeyCheckValue key_check_value(ByteView key) {
  const Mac mac = hmac_sha384(key, as_bytes(kKeyCheckText));
  KeyCheckValue value;
  std::copy_n(mac.begin(), value.size(), value.begin());
  return value;
}

Result<SecretBytes> canonical_secret(SecretBytes secret) {
  if (secret.size() > 0 && secret.view().back() == '\n') secret.truncate(secret.size() - 1);
  const ByteView bytes = secret.view();
  if (bytes.empty()) return fail(Code::usage, "the secret is empty");
  if (bytes.size() > kSecretLimit)
    return fail(Code::too_large, "the secret is too long",
                "the limit is " + std::to_string(kSecretLimit) + " bytes");
  // HMAC cannot tell a key from the same key with zero bytes behind it.
  if (bytes.back() == 0) return fail(Code::usage, "the secret ends with a zero byte");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] <= 0x20 || bytes[i] > 0x7e) {
      return fail(Code::usage, "the secret may hold printable ASCII without spaces only",
                  "byte " + std::to_string(i + 1) + " of " + std::to_string(bytes.size()));
    }
  }
  if (bytes.size() > kBlock) {
    Sha384 digest = sha384(bytes);
    SecretBytes hashed = SecretBytes::copy_of(digest);
    wipe(digest);
    return hashed;
  }
  SecretBytes padded{std::max(bytes.size(), kShortest)};
  std::copy(bytes.begin(), bytes.end(), padded.span().begin());
  return padded;
}

Bytes WrappedKey::encode() const {
  Bytes out{kMagic.begin(), kMagic.end()};
  out.insert(out.end(), wrap_key.begin(), wrap_key.end());
  out.insert(out.end(), key_check.begin(), key_check.end());
  std::array<Byte, 2> size;
  store(std::span<Byte>{size}, static_cast<std::uint16_t>(ciphertext.size()));
  out.insert(out.end(), size.begin(), size.end());
  out.insert(out.end(), ciphertext.begin(), ciphertext.end());
  const Sha256 sum = sha256(out);
  out.insert(out.end(), sum.begin(), sum.end());
  return out;
}

Result<WrappedKey> WrappedKey::decode(ByteView bytes) {
  WrappedKey key;
  const std::size_t head = kMagic.size() + key.wrap_key.size() + key.key_check.size() + 2;
  if (bytes.size() < kMagic.size() || as_text(bytes.first(kMagic.size())) != kMagic)
    return fail(Code::usage, "not a wrapped key", "it does not begin with HSMWRAP1");
  if (bytes.size() < head + key.wrap_key.size())
    return fail(Code::usage, "the wrapped key is truncated");
  const std::size_t size = load<std::uint16_t>(bytes.subspan(head - 2));
  if (size == 0 || size > kMostCiphertext)
    return fail(Code::usage, "the wrapped key is damaged", "length field");
  if (bytes.size() != head + size + sizeof(Sha256))
    return fail(Code::usage, "the wrapped key is truncated or has bytes behind it");
  const Sha256 sum = sha256(bytes.first(head + size));
  if (!std::equal(sum.begin(), sum.end(), bytes.begin() + static_cast<std::ptrdiff_t>(head + size)))
    return fail(Code::usage, "the wrapped key is damaged", "its checksum does not match");
  ByteView rest = bytes.subspan(kMagic.size());
  std::copy_n(rest.begin(), key.wrap_key.size(), key.wrap_key.begin());
  rest = rest.subspan(key.wrap_key.size());
  std::copy_n(rest.begin(), key.key_check.size(), key.key_check.begin());
  rest = rest.subspan(key.key_check.size() + 2, size);
  key.ciphertext.assign(rest.begin(), rest.end());
  return key;
}

std::string WrappedKey::to_text() const {
  const std::string base64 = base64_encode(encode());
  std::string text{kBegin};
  for (std::size_t at = 0; at < base64.size(); at += kTextLine)
    text.append("\n").append(base64, at, kTextLine);
  return text.append("\n").append(kEnd).append("\n");
}

Result<WrappedKey> WrappedKey::from_text(std::string_view text) {
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  if (begin == std::string_view::npos)
    return fail(Code::usage, "no BEGIN HSM-SIGNER WRAPPED KEY line");
  if (end == std::string_view::npos || end < begin)
    return fail(Code::usage, "the wrapped key is truncated", "no END HSM-SIGNER WRAPPED KEY line");
  std::string base64{text.substr(begin + kBegin.size(), end - begin - kBegin.size())};
  std::erase_if(base64, [](char c) { return c == '\n' || c == '\r'; });
  auto bytes = base64_decode_canonical(base64);
  if (!bytes) return fail(Code::usage, "the wrapped key is damaged", "its lines are not base64");
  return decode(*bytes);
}

Result<WrappedKey> wrap(const SecretBytes& canonical, std::string_view public_key_pem) {
  TRY(const Key key, read_public_key(public_key_pem));
  WrappedKey wrapped;
  wrapped.wrap_key = fingerprint_of(key.get());
  wrapped.key_check = key_check_value(canonical.view());
  TRY(wrapped.ciphertext, encrypt_oaep(key.get(), canonical.view()));
  return wrapped;
}

Result<Sha256> fingerprint(std::string_view public_key_pem) {
  TRY(const Key key, read_public_key(public_key_pem));
  return fingerprint_of(key.get());
}

std::string fingerprint_text(const Sha256& fingerprint) {
  return "SHA256:" + hex_encode(fingerprint);
}

}  // namespace hsm::wire
