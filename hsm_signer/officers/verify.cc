#include "hsm_signer/officers/verify.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <memory>
#include <optional>

#include "hsm_signer/officers/ssh_wire.h"

namespace hsm::officers {
namespace {

constexpr std::string_view kDamagedValue = "the value in the SSH signature is damaged";
constexpr std::string_view kNotTaken = "the algorithm of the SSH signature is not taken";
constexpr std::size_t kMostName = 64;
constexpr std::size_t kEd25519Size = 64;

// Authenticator data, WebAuthn level 2 section 6.1.
constexpr Byte kUserPresent = 0x01;
constexpr Byte kUserVerified = 0x04;
constexpr Byte kMoreData = 0x40 | 0x80;  // Attested data or extensions follow.

struct SecurityKeyData {
  Byte flags = 0;
  std::uint32_t counter = 0;
};

// The signature's own string (RFC 4253 section 6.6): algorithm and value, and PROTOCOL.u2f's two
// fields behind them.
struct Value {
  std::string_view algorithm;
  ByteView raw;
  std::optional<SecurityKeyData> security_key{};
};

Result<Value> read_value(ByteView bytes, KeyType type) {
  SshReader reader{bytes, kDamagedValue};
  TRY(const ByteView algorithm, reader.string("algorithm", kMostName));
  TRY(const ByteView raw, reader.string("signature", kMostSignatureBytes));
  Value value{.algorithm = as_text(algorithm), .raw = raw};
  if (is_security_key(type)) {
    SecurityKeyData data;
    TRY(data.flags, reader.byte("flags"));
    TRY(data.counter, reader.number("counter"));
    // Such data would be signed too, and SSH has no place to carry it.
    if ((data.flags & kMoreData) != 0)
      return reader.refuse("flags", "announce data that an SSH signature does not have");
    value.security_key = data;
  }
  TRY_VOID(reader.end());
  return value;
}

// What OpenSSL calls the hash of this algorithm; null for Ed25519, which hashes by itself. RFC 8332
// section 3, RFC 5656 section 6.2.1.
Result<const char*> digest_of(KeyType type, std::string_view algorithm) {
  if (type == KeyType::rsa) {
    if (algorithm == "rsa-sha2-512") return "SHA512";
    if (algorithm == "rsa-sha2-256") return "SHA256";
    if (algorithm == name(KeyType::rsa))
      return fail(Code::denied, kNotTaken, "ssh-rsa signs with SHA-1; rsa-sha2-512 is taken");
  }
  if (type == KeyType::rsa || algorithm != name(type))
    return fail(Code::denied, kNotTaken, "it is not that of its key");
  switch (type) {
    case KeyType::ecdsa_p256:
    case KeyType::sk_ecdsa_p256:
      return "SHA256";
    case KeyType::ecdsa_p384:
      return "SHA384";
    case KeyType::ecdsa_p521:
      return "SHA512";
    default:
      return nullptr;
  }
}

// RFC 5656 section 3.1.2 has two mpints, OpenSSL wants DER. That both are below the group's order
// OpenSSL checks.
Result<Bytes> der_of_ecdsa(ByteView raw, std::size_t coordinate) {
  SshReader reader{raw, kDamagedValue};
  TRY(const ByteView r, reader.positive("r", coordinate));
  TRY(const ByteView s, reader.positive("s", coordinate));
  TRY_VOID(reader.end());
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair{ECDSA_SIG_new(),
                                                                   &ECDSA_SIG_free};
  BIGNUM* const big_r = BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr);
  BIGNUM* const big_s = BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr);
  if (!pair || ECDSA_SIG_set0(pair.get(), big_r, big_s) != 1) {
    BN_free(big_r);
    BN_free(big_s);
    return fail(Code::internal, "OpenSSL could not hold an ECDSA signature");
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return fail(Code::internal, "OpenSSL could not write an ECDSA signature");
  Bytes bytes{der, der + size};
  OPENSSL_free(der);
  return bytes;
}

Result<Bytes> value_for_openssl(const PublicKey& key, ByteView raw) {
  if (const std::size_t coordinate = coordinate_size(key.type()); coordinate != 0)
    return der_of_ecdsa(raw, coordinate);
  const std::size_t size = key.type() == KeyType::rsa ? key.material().size() : kEd25519Size;
  if (raw.size() != size)
    return fail(
        Code::invalid_payload, kDamagedValue,
        "it has " + std::to_string(raw.size()) + " bytes; its key makes " + std::to_string(size));
  return Bytes{raw.begin(), raw.end()};
}

Bytes hashed(TextHash hash, ByteView text) {
  if (hash == TextHash::sha256) {
    const Sha256 digest = sha256(text);
    return {digest.begin(), digest.end()};
  }
  Bytes digest(64);
  // Without memory there is no error to handle; base/hash.cc ends the process too.
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha512(), nullptr) != 1)
    std::abort();
  return digest;
}

// PROTOCOL.sshsig section 3: what the key itself signs.
Bytes signed_bytes(const Signature& signature, ByteView text) {
  Bytes bytes{kPreamble.begin(), kPreamble.end()};
  append_string(bytes, signature.name_space);
  append_string(bytes, std::string_view{});  // Reserved.
  append_string(bytes, name(signature.hash));
  append_string(bytes, hashed(signature.hash, text));
  return bytes;
}

// PROTOCOL.u2f: what a security key makes of it.
Bytes of_security_key(std::string_view application, SecurityKeyData data, ByteView message) {
  const Sha256 application_hash = sha256(as_bytes(application));
  const Sha256 message_hash = sha256(message);
  Bytes bytes{application_hash.begin(), application_hash.end()};
  bytes.push_back(data.flags);
  append_number(bytes, data.counter);
  bytes.insert(bytes.end(), message_hash.begin(), message_hash.end());
  return bytes;
}

bool verifies(const PublicKey& key, const char* digest, ByteView value, ByteView message) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  EVP_PKEY_CTX* parameters = nullptr;  // The context's own.
  if (!context || EVP_DigestVerifyInit_ex(context.get(), &parameters, digest, nullptr, nullptr,
                                          key.handle(), nullptr) != 1)
    return false;
  if (key.type() == KeyType::rsa &&
      EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PADDING) != 1)
    return false;
  return EVP_DigestVerify(context.get(), value.data(), value.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace

Result<Verified> verify(const Signature& signature, ByteView text, std::string_view name_space) {
  if (signature.name_space != name_space)
    return fail(Code::denied, "the SSH signature is for another namespace",
                "sign with ssh-keygen -Y sign -n " + std::string{name_space});
  TRY(const PublicKey key, PublicKey::decode(signature.public_key));
  TRY(const Value value, read_value(signature.signature, key.type()));
  TRY(const char* const digest, digest_of(key.type(), value.algorithm));
  TRY(const Bytes raw, value_for_openssl(key, value.raw));
  Bytes message = signed_bytes(signature, text);
  if (value.security_key)
    message = of_security_key(key.application(), *value.security_key, message);
  if (!verifies(key, digest, raw, message))
    return fail(Code::denied, "the SSH signature does not verify",
                "it was made over another text or by another key than " + key.fingerprint());
  Verified verified;
  verified.key_ = key.blob();
  verified.fingerprint_ = key.fingerprint();
  verified.type_ = key.type();
  verified.text_ = sha256(text);
  if (value.security_key) {
    verified.user_present_ = (value.security_key->flags & kUserPresent) != 0;
    verified.user_verified_ = (value.security_key->flags & kUserVerified) != 0;
  }
  return verified;
}

}  // namespace hsm::officers
