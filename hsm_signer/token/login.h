// Finding the token, logging in, and the token's own keys as EVP_PKEY: what libp11 does well.
#pragma once

#include <p11-kit/pkcs11.h>

#include <memory>
#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/pin.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/token/uri.h"

namespace hsm::token {

// The token that a URI names, through libp11. Its context is never unloaded: PKCS11_CTX_unload()
// calls C_Finalize, also on the module that Cryptoki holds.
class TokenAccess {
 public:
  // token_unavailable: no token matches, or more than one does.
  static Result<TokenAccess> find(const Cryptoki& cryptoki, const TokenUri& uri);
  TokenAccess(TokenAccess&&) noexcept;
  TokenAccess& operator=(TokenAccess&&) = delete;
  ~TokenAccess();

  CK_SLOT_ID slot() const;
  // Valid for every session of this process. One C_Login; with a module that has a connection for
  // each who loads it (p11-kit's client), one for libp11 and one for Session. token_unavailable;
  // the error's ck_rv tells a refused PIN (is_pin_refusal()).
  Result<void> login(const Pin& pin);
  // At a clean end: a YubiHSM keeps the session of who does not say goodbye. EVP_PKEYs are dead
  // afterwards.
  void logout();

  // Reads the token's own keys (service_keys.h) anew; the wrap key where `profile` has it there.
  Result<void> load_service_keys(const Profile& profile);
  // ECDSA P-256 over SHA-256 of `text` by the audit key, DER.
  Result<Bytes> sign_with_audit_key(ByteView text) const;
  // SubjectPublicKeyInfo in DER.
  Result<Bytes> audit_public_key() const;
  // Empty where the wrap key is not in the token.
  Result<Bytes> wrap_public_key() const;

 private:
  struct Impl;
  explicit TokenAccess(std::unique_ptr<Impl> impl);
  Result<void> login_of_libp11(const Pin& pin);
  std::unique_ptr<Impl> impl_;
};

// "-----BEGIN PUBLIC KEY-----" of a SubjectPublicKeyInfo in DER (RFC 7468 section 13).
std::string public_key_pem(ByteView der);

}  // namespace hsm::token
