// The RSA key that secrets are encrypted to, and how a ciphertext becomes a key of the token.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/profile.h"

namespace hsm::token {

class WrapKey {
 public:
  virtual ~WrapKey() = default;
  // SubjectPublicKeyInfo, DER.
  virtual Result<Bytes> public_der() const = 0;
  // OAEP (RFC 8017 section 7.1) with SHA-1 and MGF1-SHA-1, to an object with `attributes`. usage:
  // the ciphertext is damaged or was made for another key. Else token_unavailable with ck_rv.
  virtual Result<CK_OBJECT_HANDLE> make_key(const Session& session, ByteView ciphertext,
                                            Template& attributes) const = 0;
  // Who has the secret in its memory while a key is made, for the transcript: "token" or "host".
  virtual std::string_view decrypted_by() const = 0;
};

// A private key in the token that unwraps and nothing else.
std::unique_ptr<WrapKey> wrap_key_in_token(Bytes public_der);

// For tokens that cannot unwrap HMAC keys: a file of the token host, PKCS#8 in PEM without
// passphrase, RSA with 3072 bits or more. Whoever reads it and a blob has the secret; the secret is
// in this process from the decryption to the end of C_CreateObject. usage where the file is open to
// others or holds something else.
Result<std::unique_ptr<WrapKey>> wrap_key_in_file(const std::string& path);

// Of a worker that imports nothing, or of a token whose keys are made otherwise.
std::unique_ptr<WrapKey> no_wrap_key(std::string_view why);

// The one that goes with the profile's way: `public_der` is that of a key in the token, `path` the
// file of one outside.
Result<std::unique_ptr<WrapKey>> wrap_key_for(const Profile& profile, Bytes public_der,
                                              const std::string& path);

}  // namespace hsm::token
