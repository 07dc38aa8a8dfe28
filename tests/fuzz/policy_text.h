// A policy written down again from what was read of it, apart from any parser.
#pragma once

#include <string>

#include "hsm_signer/policy/rules.h"

namespace hsm::fuzz {

enum class Order { as_read, reversed };  // Of markets, clients and rules.

// Endpoint by endpoint, every limit; users and groups by number.
std::string policy_text(const policy::Rules& rules, Order order);

}  // namespace hsm::fuzz
