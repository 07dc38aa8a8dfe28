// Which keys there are, in memory. Changes are values: ask for one, persist its rows, then apply()
// it, so that a failed write changes nothing here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hsm_signer/base/result.h"
#include "hsm_signer/keystore/key.h"

namespace hsm::keystore {

// Rows as they are to be (insert or replace by key and version), planned against one generation of
// the registry.
struct Change {
  std::vector<KeyVersion> rows;
  std::uint64_t generation = 0;
};

// What an administrator says of a new version; the registry adds number, state and date.
struct NewVersion {
  KeyName key;
  TokenName token;
  CkaId cka_id = 0;
  ApiKeyId api_key_id;
  Environment environment = Environment::production;
  Scope scope = Scope::account;
  venue::Roles roles = 0;
  NonceForm nonce_form = NonceForm::signer_ms;
  KeyCheckValue kcv{};
  std::string owner;
};

class Registry {
 public:
  Registry() = default;
  // From persisted rows. state_unavailable where they contradict each other (a damaged or edited
  // state).
  static Result<Registry> restore(std::vector<KeyVersion> rows);

  // The version that signs, or null. Valid until the next apply().
  const KeyVersion* active(std::string_view key) const;
  // The newest version whatever its state, or null.
  const KeyVersion* newest(std::string_view key) const;
  const KeyVersion* find(std::string_view key, std::uint32_t version) const;
  // By CKA_LABEL: "desk-a.trade.v3".
  const KeyVersion* by_label(std::string_view label) const;
  // Every version, by key name and number.
  std::vector<const KeyVersion*> all() const;

  // A CKA_ID that this token never had; overloaded once all 65,535 are spent.
  Result<CkaId> unused_cka_id(const TokenName& token) const;

  // A new staged version. Refused (denied): a name, API key id or CKA_ID that is malformed; a
  // CKA_ID that this token has or had; an environment or scope other than that of the key's earlier
  // versions; an API key id known with another nonce form, environment or scope; no roles; a form
  // that is not built (usage).
  Result<Change> register_version(const NewVersion& wanted, Clock::Wall now) const;
  // staged → active with the key-check value that the token reported; the version that was active
  // drains. Refused: unknown (denied), not staged (key_not_active), another key-check value than
  // registered (denied).
  Result<Change> activate(std::string_view key, std::uint32_t version, const KeyCheckValue& kcv,
                          Clock::Wall now) const;
  // staged, active or draining → retired.
  Result<Change> retire(std::string_view key, std::uint32_t version, Clock::Wall now) const;
  // retired → destroyed, once the token has confirmed it.
  Result<Change> destroyed(std::string_view key, std::uint32_t version, Clock::Wall now) const;

  // Refused (internal) where another change was applied since it was planned.
  Result<void> apply(const Change& change);

 private:
  struct Key {
    std::vector<KeyVersion> versions;  // versions[i].version == i + 1
    std::uint32_t active = 0;          // 0: none.
  };

  const Key* key(std::string_view name) const;
  Result<const KeyVersion*> require(std::string_view key, std::uint32_t version) const;
  Result<void> fits(const NewVersion& wanted) const;

  std::unordered_map<std::string, Key> keys_;
  std::uint64_t generation_ = 0;
};

}  // namespace hsm::keystore
