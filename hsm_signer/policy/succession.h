// When one policy takes over from another: which windows go on.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/policy/rules.h"

namespace hsm::policy {

// The windows of `after` in which nothing was counted under `before`, each once, as people read
// them: `rule "quotes", 1h`, `client mm-bot, 24h`, `key desk-a.trade, 24h`, `symbol, 24h`. A window
// is one by what it counts (`by` and its subject) and its length; other limits of it make it no
// other. A rule that has another name is another. What policies before that one counted in them is
// still there, and what was signed meanwhile is not.
std::vector<std::string> windows_begun(const Rules& before, const Rules& after);

}  // namespace hsm::policy
