// What a policy allows although its author may not have meant it. Advice: each finding may be
// right as it is.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/policy/rules.h"

namespace hsm::policy {

enum class Weight : std::uint8_t {
  note,     // Good to know.
  warning,  // Money could leave that nobody meant to let go.
};
std::string_view name(Weight weight);

struct LintFinding {
  std::string_view check;  // "withdrawal-without-addresses": stands in docs/policy.md.
  Weight weight = Weight::warning;
  std::string where;  // Of the rule: "policy.toml:12:1".
  std::string rule;
  std::string sentence;
};

// In the order of the file. `now` for rules that have expired. A key that a rule names is taken for
// one of production: the file does not say.
std::vector<LintFinding> lint(const Rules& rules, Clock::Wall now);

}  // namespace hsm::policy
