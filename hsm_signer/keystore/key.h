// What a key is: a logical name with numbered versions, each one secret in a token
// (docs/architecture.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/nonce/form.h"
#include "hsm_signer/venue/endpoints.h"
#include "hsm_signer/wire/blob.h"

namespace hsm::keystore {

using hsm::Environment;
using hsm::Scope;
using hsm::VersionState;
using NonceForm = nonce::Form;

// Tells one secret from another, signs nothing (wire/blob.h).
using wire::KeyCheckValue;

// CKA_ID in a token; never given twice there, so a find by id cannot hit a successor.
using CkaId = std::uint16_t;

struct KeyVersion {
  KeyName key;
  std::uint32_t version = 0;  // From 1.
  TokenName token;
  CkaId cka_id = 0;
  ApiKeyId api_key_id;
  Environment environment = Environment::production;
  Scope scope = Scope::account;
  venue::Roles roles = 0;
  NonceForm nonce_form = NonceForm::signer_ms;
  KeyCheckValue kcv{};
  VersionState state = VersionState::staged;
  std::string owner;  // Who answers for the key; free text from the administrator.
  Clock::Wall created{};
  std::optional<Clock::Wall> activated;
  std::optional<Clock::Wall> ended;  // retired or destroyed.

  std::string label() const { return key_label(key.value, version); }
  bool operator==(const KeyVersion&) const = default;
};

// "trader,fund_manager" in this order, as --roles takes it and answers spell it. Refuses (usage) an
// unknown or repeated word, none at all, and auditor beside another role (the exchange cannot
// combine it).
Result<venue::Roles> roles_from_text(std::string_view text);
std::string roles_text(venue::Roles roles);

}  // namespace hsm::keystore
