// The vault over one PKCS#11 session.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/token/vault.h"

namespace hsm::token {

class TokenVault final : public Vault {
 public:
  // `session` is logged in; `wrap_public_der` is the SubjectPublicKeyInfo of the token's wrap key.
  TokenVault(Session session, const Profile& profile, Bytes wrap_public_der);

  Result<std::vector<ObjectName>> list() override;
  Result<void> find(const KeyRef& key) override;
  Result<Mac> mac(const KeyRef& key, ByteView message) override;
  Result<wire::KeyCheckValue> key_check(const ObjectName& object) override;
  void forget(const ObjectName& object) override;
  Result<void> import(const ObjectName& object, const wire::WrappedKey& blob) override;
  Result<void> destroy(const ObjectName& object) override;
  Result<std::string> wrap_key_pem() override;

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
  Result<CK_OBJECT_HANDLE> proven(const KeyRef& key);
  Result<CK_OBJECT_HANDLE> unwrap(const ObjectName& object, const wire::WrappedKey& blob) const;
  Result<void> check_imported(CK_OBJECT_HANDLE handle, const ObjectName& object,
                              const wire::WrappedKey& blob) const;
  Result<wire::KeyCheckValue> key_check_of(CK_OBJECT_HANDLE handle) const;

  Session session_;
  const Profile& profile_;
  Bytes wrap_public_der_;
  std::unordered_map<std::string, Proven> proven_;  // By label.
  mutable bool foreign_logged_ = false;             // Once is enough; scans are many.
};

}  // namespace hsm::token
