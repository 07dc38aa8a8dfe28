// Signs as officers' keys do, security keys included, and wrongly where a test wants it. Written
// after PROTOCOL.sshsig and PROTOCOL.u2f once more: it shares no encoder with the code under test.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/officers/verify.h"

namespace hsm::officers {

// SSH strings and numbers, in text.
std::string ssh_number(std::uint32_t value);
std::string ssh_string(std::string_view text);
// An mpint of this magnitude (RFC 4251 section 5).
std::string ssh_mpint(ByteView magnitude);
Bytes bytes_of(std::string_view text);

struct How {
  std::string name_space{kNamespace};
  std::string hash = "sha512";
  // Of a security key: touched, no PIN; and a counter.
  Byte flags = 0x01;
  std::uint32_t counter = 7;
  // The name in front of the value; the key's own where there is none.
  std::optional<std::string> algorithm{};
  // What OpenSSL hashes with; what belongs to the algorithm where there is none.
  std::optional<std::string> digest{};
  // Signs what PROTOCOL.sshsig says as it is, as if the key were no security key.
  bool without_u2f = false;
};

class TestSigner {
 public:
  explicit TestSigner(KeyType type, std::string application = "ssh:", unsigned rsa_bits = 3072);

  KeyType type() const { return type_; }
  Bytes public_key() const { return bytes_of(public_key_); }
  // As in a .pub file.
  std::string line() const;
  Signature sign(std::string_view text, const How& how = {}) const;
  // The value alone over `message`, DER of ECDSA made two mpints.
  std::string raw(std::string_view message, const How& how) const;
  EVP_PKEY* handle() const { return key_.get(); }

 private:
  KeyType type_;
  std::string application_;
  std::shared_ptr<EVP_PKEY> key_;
  std::string public_key_;
};

// One of each type; RSA keys take a second to find.
const TestSigner& signer(KeyType type);

inline constexpr KeyType kEveryType[] = {
    KeyType::ed25519, KeyType::ecdsa_p256, KeyType::ecdsa_p384,   KeyType::ecdsa_p521,
    KeyType::rsa,     KeyType::sk_ed25519, KeyType::sk_ecdsa_p256};

}  // namespace hsm::officers
