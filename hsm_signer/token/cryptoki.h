// The thin typed wrapper over CK_FUNCTION_LIST, and the only file that calls C_… (PKCS#11 v2.40).
// Each call stands under a CallDeadline; each CK_RV becomes an Error here and keeps its number in
// ck_rv.
#pragma once

#include <p11-kit/pkcs11.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/token/call_deadline.h"
#include "hsm_signer/token/template.h"

namespace hsm::token {

// Code::token_unavailable with the CKR's name and number in detail and in ck_rv. `what` is a
// literal.
Error ck_error(std::string_view what, CK_RV rv);
// "CKR_PIN_INCORRECT"; "CKR_0x80000001" for what the table lacks.
std::string ckr_name(CK_RV rv);

// The object lacks the attribute, hides it, or has more of it than we would ever write.
bool is_withheld_attribute(CK_RV rv);
// The PIN is wrong, locked or impossible: another try would only bring the token nearer to its
// lock.
bool is_pin_refusal(CK_RV rv);

// A loaded, initialised module. One per process, and nobody finalises: libp11 uses the same module,
// and C_Finalize by one side ends the other (a worker leaves by _exit).
class Cryptoki {
 public:
  // `arguments`: what the module wants to be told in pReserved, NSS and yubihsm_pkcs11 for two;
  // most want nothing. token_unavailable where the file is missing, is no module or does not
  // initialise.
  static Result<Cryptoki> load(const std::string& module_path, const std::string& arguments,
                               const KillTimer& timer);

  const std::string& module_path() const { return module_path_; }
  const KillTimer& timer() const { return *timer_; }

 private:
  friend class Session;
  Cryptoki(std::string module_path, CK_FUNCTION_LIST* functions, const KillTimer& timer)
      : module_path_{std::move(module_path)}, functions_{functions}, timer_{&timer} {}

  std::string module_path_;
  CK_FUNCTION_LIST* functions_;
  const KillTimer* timer_;
};

struct KeyPair {
  CK_OBJECT_HANDLE public_key;
  CK_OBJECT_HANDLE private_key;
};

// An open read-write session. Move-only: a copy would close the session under its twin. Ends no
// login: that belongs to the token, not to a session (login.h).
class Session {
 public:
  static Result<Session> open(const Cryptoki& cryptoki, CK_SLOT_ID slot);
  Session(Session&& other) noexcept
      : cryptoki_{std::exchange(other.cryptoki_, nullptr)}, handle_{other.handle_} {}
  Session& operator=(Session&&) = delete;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // C_Login as the user, for all sessions of this Cryptoki.
  Result<void> login(ByteView pin) const;
  // CKR_USER_NOT_LOGGED_IN where the token would show its public objects only: a search says
  // nothing of that.
  Result<void> sees_private_objects() const;
  // Every object that matches, in the token's order. More than 65,536 are refused.
  Result<std::vector<CK_OBJECT_HANDLE>> find(Template& match) const;
  // One attribute of at most 4,096 bytes; a longer one fails with CKR_BUFFER_TOO_SMALL.
  Result<Bytes> attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const;
  Result<bool> flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const;
  // Whether CKA_VALUE comes out. No byte of it is kept.
  Result<bool> value_readable(CK_OBJECT_HANDLE object) const;

  // CKM_SHA384_HMAC in one part.
  Result<Mac> hmac_sha384(CK_OBJECT_HANDLE key, ByteView message) const;
  // CKM_RSA_PKCS_OAEP with SHA-1 and MGF1-SHA-1: the one wrap that SoftHSM, NSS and openCryptoki
  // share.
  Result<CK_OBJECT_HANDLE> unwrap_oaep(CK_OBJECT_HANDLE wrap_key, ByteView ciphertext,
                                       Template& attributes) const;
  // C_CreateObject of `attributes` and CKA_VALUE, which is copied nowhere on the way.
  Result<CK_OBJECT_HANDLE> create_object(Template& attributes, const SecretBytes& value) const;
  Result<KeyPair> generate_pair(CK_MECHANISM_TYPE mechanism, Template& public_key,
                                Template& private_key) const;
  Result<void> destroy(CK_OBJECT_HANDLE object) const;

 private:
  Session(const Cryptoki& cryptoki, CK_SESSION_HANDLE handle)
      : cryptoki_{&cryptoki}, handle_{handle} {}
  CK_RV find_init(Template& match) const;
  CK_RV find_more(std::span<CK_OBJECT_HANDLE> batch, CK_ULONG& count) const;
  CK_RV find_final() const;
  CK_FUNCTION_LIST* functions() const { return cryptoki_->functions_; }
  CallDeadline deadline(Pace pace = Pace::normal) const {
    return CallDeadline{*cryptoki_->timer_, pace};
  }

  const Cryptoki* cryptoki_;
  CK_SESSION_HANDLE handle_;
};

}  // namespace hsm::token
