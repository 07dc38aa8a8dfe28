// Public keys as SSH writes them: the types that an officer may sign with, and none other.
//
//   ssh-ed25519   ecdsa-sha2-nistp256, -384, -521   ssh-rsa with 3072 to 8192 bits
//   sk-ssh-ed25519@openssh.com   sk-ecdsa-sha2-nistp256@openssh.com   (security keys, FIDO2)
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::officers {

enum class KeyType : std::uint8_t {
  ed25519,
  ecdsa_p256,
  ecdsa_p384,
  ecdsa_p521,
  rsa,
  sk_ed25519,
  sk_ecdsa_p256,
};
// "ssh-ed25519", as it stands in keys and, but for RSA, in signatures.
std::string_view name(KeyType type);
// Whether the key lives in a security key, which says with each signature whether somebody touched
// it and proved who they are.
bool is_security_key(KeyType type);

struct FreeKey {
  void operator()(EVP_PKEY* key) const;
};

class PublicKey {
 public:
  // invalid_payload: damaged, or no key that could be honest (a point off the curve or of small
  // order, an even modulus); denied: a type or a size that is not taken, by name.
  static Result<PublicKey> decode(ByteView blob);
  // A line of a .pub file: "ssh-ed25519 AAAA… comment", without the options of authorized_keys.
  static Result<PublicKey> from_line(std::string_view line);

  KeyType type() const { return type_; }
  const Bytes& blob() const { return blob_; }
  // "SHA256:" and base64 without padding, as ssh-keygen -l shows it.
  std::string fingerprint() const;
  // What a security key mixes into all that it signs: "ssh:…". Empty for other types.
  const std::string& application() const { return application_; }
  // The point or the modulus. Two keys with the same one have the same private key, whatever type
  // they are written as.
  const Bytes& material() const { return material_; }
  EVP_PKEY* handle() const { return key_.get(); }

 private:
  struct Reading;
  explicit PublicKey(KeyType type) : type_{type} {}

  KeyType type_;
  Bytes blob_;
  std::string application_;
  Bytes material_;
  std::unique_ptr<EVP_PKEY, FreeKey> key_;
};

// Bytes of a coordinate of the curve of an ECDSA type: 32, 48 or 66. 0 for other types.
std::size_t coordinate_size(KeyType type);

}  // namespace hsm::officers
