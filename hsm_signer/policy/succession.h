// When one policy takes over from another: what of the windows goes on, and what begins anew.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/policy/rules.h"

namespace hsm::policy {

// The windows of `after` that nothing has counted under `before`, each once, as people read them:
// `rule "quotes", 1h`, `client mm-bot, 24h`, `key desk-a.trade, 24h`, `symbol, 24h`. A window is
// one by what it counts (`by` and its subject) and its length; other limits of it make it no other.
// A rule that has another name counts anew.
std::vector<std::string> windows_begun(const Rules& before, const Rules& after);

}  // namespace hsm::policy
