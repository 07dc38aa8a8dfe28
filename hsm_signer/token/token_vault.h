// The vault over one PKCS#11 session.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/token/vault.h"
#include "hsm_signer/token/wrap_key.h"

namespace hsm::token {

class TokenVault final : public Vault {
 public:
  // `session` is logged in; `profile` and `wrap_key` outlive the vault.
  TokenVault(Session session, const Profile& profile, const WrapKey& wrap_key);

  Result<std::vector<ObjectName>> list() override;
  Result<void> find(const KeyRef& key) override;
  Result<Mac> mac(const KeyRef& key, ByteView message) override;
  Result<void> canary(const KeyRef& key) override;
  Result<wire::KeyCheckValue> key_check(const ObjectName& object) override;
  void forget(const ObjectName& object) override;
  Result<void> import(const ObjectName& object, const wire::WrappedKey& blob) override;
  Result<void> destroy(const ObjectName& object) override;
  Result<std::string> wrap_key_pem() override;
  std::string_view decrypted_by() const override { return wrap_key_.decrypted_by(); }

 private:
  struct Seen {
    std::string label;
    Bytes id;
    CK_OBJECT_HANDLE handle;
  };
  struct Proven {
    KeyRef key;
    CK_OBJECT_HANDLE handle;
  };
  // CKA_LABEL or CKA_ID; empty where an object keeps it to itself.
  Result<Bytes> name_part(CK_OBJECT_HANDLE handle, CK_ATTRIBUTE_TYPE type) const;
  // One search for all: SoftHSM takes as long for one key as for every key.
  Result<std::vector<Seen>> scan() const;
  Result<CK_OBJECT_HANDLE> locate(const ObjectName& object) const;
  Result<Proven*> proven(const KeyRef& key);
  // `call` on the key's handle, with what helps after its CK_RV.
  template <class Call>
  auto with_key(const KeyRef& key, Call call) -> decltype(call(CK_OBJECT_HANDLE{}));
  Result<CK_OBJECT_HANDLE> make_key(const ObjectName& object, const wire::WrappedKey& blob) const;
  Result<void> check_imported(CK_OBJECT_HANDLE handle, const ObjectName& object,
                              const wire::WrappedKey& blob) const;
  Result<wire::KeyCheckValue> key_check_of(CK_OBJECT_HANDLE handle) const;
  Remedy remedy_of(const Error& error) const { return remedy(profile_.exceptions, error.ck_rv); }

  Session session_;
  const Profile& profile_;
  const WrapKey& wrap_key_;
  std::unordered_map<std::string, Proven> proven_;  // By label.
  mutable bool foreign_logged_ = false;             // Once is enough; scans are many.
};

}  // namespace hsm::token
