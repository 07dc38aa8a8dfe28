// Whether a rule may have allowed a request, worked out from what a person read of the request.
#pragma once

#include "hsm_signer/policy/policy.h"
#include "tests/fuzz/policy_questions.h"

namespace hsm::fuzz {

// Ends the process where `rule` did not allow that, or nothing shows that it did: no reference
// prices, no windows that anything was taken out of, no approvals, at `now`.
void demand_within_limits(const policy::Rules& rules, const policy::Rule& rule, const Asked& asked,
                          Clock::Wall now);

}  // namespace hsm::fuzz
