#include "hsm_signer/token/remedy.h"

#include <algorithm>
#include <array>

namespace hsm::token {
namespace {

// A worker never logs in twice: the module's idea of its own state is what failed, PKCS#11 v2.40
// has no way to end an operation that is stuck, and a PIN is not tried again by who does not know
// why.
constexpr std::array kRules{
    RemedyRule{CKR_FUNCTION_CANCELED, Remedy::retry},
    RemedyRule{CKR_FUNCTION_FAILED, Remedy::retry},
    RemedyRule{CKR_GENERAL_ERROR, Remedy::retry},
    RemedyRule{CKR_OPERATION_NOT_INITIALIZED, Remedy::retry},
    RemedyRule{CKR_KEY_HANDLE_INVALID, Remedy::find_again},
    RemedyRule{CKR_OBJECT_HANDLE_INVALID, Remedy::find_again},
    RemedyRule{CKR_KEY_CHANGED, Remedy::find_again},
    RemedyRule{CKR_SESSION_HANDLE_INVALID, Remedy::log_in_again},
    RemedyRule{CKR_SESSION_CLOSED, Remedy::log_in_again},
    RemedyRule{CKR_SESSION_COUNT, Remedy::log_in_again},
    RemedyRule{CKR_USER_NOT_LOGGED_IN, Remedy::log_in_again},
    RemedyRule{CKR_OPERATION_ACTIVE, Remedy::log_in_again},
    RemedyRule{CKR_CRYPTOKI_NOT_INITIALIZED, Remedy::re_initialise},
    RemedyRule{CKR_DEVICE_ERROR, Remedy::re_initialise},
    RemedyRule{CKR_DEVICE_REMOVED, Remedy::re_initialise},
    RemedyRule{CKR_DEVICE_MEMORY, Remedy::re_initialise},
    RemedyRule{CKR_TOKEN_NOT_PRESENT, Remedy::re_initialise},
    RemedyRule{CKR_TOKEN_NOT_RECOGNIZED, Remedy::re_initialise},
    RemedyRule{CKR_HOST_MEMORY, Remedy::re_initialise},
    RemedyRule{CKR_SLOT_ID_INVALID, Remedy::re_initialise},
};

const RemedyRule* rule_for(std::span<const RemedyRule> rules, CK_RV rv) {
  const auto found =
      std::find_if(rules.begin(), rules.end(), [rv](const RemedyRule& r) { return r.rv == rv; });
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace

Remedy remedy(std::span<const RemedyRule> exceptions, CK_RV rv) {
  if (const RemedyRule* rule = rule_for(exceptions, rv)) return rule->remedy;
  if (const RemedyRule* rule = rule_for(kRules, rv)) return rule->remedy;
  return Remedy::none;
}

}  // namespace hsm::token
