// The vault without a token: keys in memory over OpenSSL. Passes the same contract suite as the
// real one (tests/contract/vault_test.cc).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/token/vault.h"

namespace hsm::test {

class FakeVault final : public token::Vault {
 public:
  FakeVault();
  ~FakeVault() override;

  Result<std::vector<token::ObjectName>> list() override;
  Result<void> find(const token::KeyRef& key) override;
  Result<Mac> mac(const token::KeyRef& key, ByteView message) override;
  Result<void> canary(const token::KeyRef& key) override;
  Result<wire::KeyCheckValue> key_check(const token::ObjectName& object) override;
  void forget(const token::ObjectName& object) override;
  Result<void> import(const token::ObjectName& object, const wire::WrappedKey& blob) override;
  Result<void> destroy(const token::ObjectName& object) override;
  Result<std::string> wrap_key_pem() override;
  std::string_view decrypted_by() const override { return "token"; }

  // Behind the vault's back, as another program with the PIN could.
  void plant(const token::ObjectName& object, ByteView key);
  void remove(const token::ObjectName& object);
  // From now on every MAC is wrong, of key checks too.
  void lie();
  // The next mac() fails so.
  void fail_next(Error error);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hsm::test
