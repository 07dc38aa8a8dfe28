// The limits of a rule as policy.toml spells them (docs/policy.md).
#pragma once

#include "hsm_signer/base/toml.h"
#include "hsm_signer/policy/conditions.h"

namespace hsm::policy {

// `table` is a [[rule]]. Refuses, with file:line:column, what is out of form, what stands twice,
// and limits that contradict each other or that nobody could ever judge.
Result<Conditions> read_conditions(TomlTable& table);

// For a rule that can allow a sell. A sell is worth what the market gives, not what it asks: at a
// price of 0.01 it would count as nothing. Refused where notional is limited and neither a
// reference says what a sell is worth, nor a least price and amounts over time bound what can be
// given away (docs/policy.md, "Notional").
Result<void> check_honest_sells(const TomlTable& table, const Conditions& conditions);

}  // namespace hsm::policy
