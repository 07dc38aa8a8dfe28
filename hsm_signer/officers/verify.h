// Whose signature it is, and over what: the one place that believes an SSH signature.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/ssh_key.h"
#include "hsm_signer/officers/sshsig.h"

namespace hsm::officers {

// A signature that verified. Only verify() makes one, so what asks for a Verified cannot be given a
// signature that nobody checked. Whether the key is an officer's, and whether a touch was enough,
// is asked of AllowedOfficers.
class Verified {
 public:
  const Bytes& key() const { return key_; }
  const std::string& fingerprint() const { return fingerprint_; }
  KeyType type() const { return type_; }
  // SHA-256 of the text that was signed.
  const Sha256& text() const { return text_; }
  // What a security key says of the moment of signing: somebody touched it; they gave its PIN or
  // finger too. Always false for other keys.
  bool user_present() const { return user_present_; }
  bool user_verified() const { return user_verified_; }

 private:
  friend Result<Verified> verify(const Signature& signature, ByteView text,
                                 std::string_view name_space);
  Verified() = default;

  Bytes key_;
  std::string fingerprint_;
  KeyType type_{};
  Sha256 text_{};
  bool user_present_ = false;
  bool user_verified_ = false;
};

// An ECDSA signature (r, s) has a twin (r, n - s) that anybody can make of it and that verifies
// too: what may be used once is the statement, never told by its signature.
//
// denied: another namespace, a key or an algorithm that is not taken, or it does not verify;
// invalid_payload: the key or the signature in it is damaged.
Result<Verified> verify(const Signature& signature, ByteView text, std::string_view name_space);

}  // namespace hsm::officers
