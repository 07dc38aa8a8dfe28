// The token that a test program runs on: the one that the environment names (tests/tokens/worlds.py
// says how), else a SoftHSM token of its own. A process initialises a module once, so there is one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/token/login.h"
#include "hsm_signer/token/token_vault.h"
#include "hsm_signer/token/vault.h"
#include "hsm_signer/token/wrap_key.h"
#include "tests/support/soft_token.h"
#include "tests/support/temp_dir.h"

namespace hsm::test {

// A key that a token of profile tpm2 has to be given before its module is loaded; plant() names it.
struct SpareKey {
  std::string secret;
  int count;
};

class TestToken {
 public:
  // What deviations of the token are listed under; known before there is a token.
  static std::string name();

  // Logs in and makes the token host's own keys. Aborts with a sentence where the token cannot be
  // used, or holds keys of this project already: nobody's keys are tested on.
  explicit TestToken(const std::vector<SpareKey>& spares);
  TestToken(const TestToken&) = delete;
  TestToken& operator=(const TestToken&) = delete;

  const token::Profile& profile() const { return *profile_; }
  bool links() const { return profile_->way == token::SecretWay::linked; }
  const token::Cryptoki& cryptoki() const { return *cryptoki_; }
  token::TokenAccess& access() { return *access_; }
  const token::WrapKey& wrap_key() const { return *wrap_key_; }
  // What making and loading the token host's own keys said.
  const Result<void>& service_keys() const { return service_keys_; }
  token::Session session() const { return *token::Session::open(*cryptoki_, access_->slot()); }

  // Behind the vault's back, in this process and on its login: what another program with the PIN
  // could do. `key` is canonical.
  Result<void> plant(const token::ObjectName& object, ByteView key);
  void remove(const token::ObjectName& object);
  // key_thief.h
  Result<std::optional<Bytes>> wrapped_out(const token::ObjectName& object);
  // Destroys the keys of this project, all of which are the tests' own.
  void clear();
  // A YubiHSM keeps the session of who does not say goodbye.
  void log_out() { access_->logout(); }

 private:
  void open();
  void link(const std::vector<SpareKey>& spares);
  std::string wrap_key_file();

  std::string module_, arguments_, uri_, pin_file_;
  TempDir dir_;
  std::optional<SoftToken> own_;
  const token::Profile* profile_;
  token::KillTimer timer_;
  std::optional<token::Cryptoki> cryptoki_;
  std::optional<token::TokenAccess> access_;
  Result<void> service_keys_;
  std::unique_ptr<token::WrapKey> wrap_key_;
};

}  // namespace hsm::test
