// Users and groups of a policy that is read on another machine than its own.
#pragma once

#include "hsm_signer/policy/rules.h"

namespace hsm::policy {

// As `known`; a name that it does not know gets a number that no machine gives, the same each time.
// What a policy decides does not depend on the numbers.
Resolver any_users(Resolver known);
// No name is known: the same on every machine.
Resolver any_users();

}  // namespace hsm::policy
