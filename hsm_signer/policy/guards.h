// What holds whatever the rules say: a rule can allow no more than the key's roles, its scope and
// the row of the endpoint do.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "hsm_signer/policy/policy.h"

namespace hsm::policy {

// The refusal for people, or empty where the guard holds.
std::string check_roles(const KeyFacts& key, const venue::Payload& payload);
std::string check_scope(const KeyFacts& key, const venue::Payload& payload);
// A master key sees every account of the group: which one is meant has to be said.
std::string check_account(const KeyFacts& key, const venue::Payload& payload);

struct Guard {
  std::string_view name;
  std::string (*check)(const KeyFacts& key, const venue::Payload& payload);
};
inline constexpr std::array kGuards{Guard{"roles", check_roles}, Guard{"scope", check_scope},
                                    Guard{"account", check_account}};

bool roles_suffice(const KeyFacts& key, const venue::Endpoint& endpoint);
bool scope_suffices(const KeyFacts& key, const venue::Endpoint& endpoint);

}  // namespace hsm::policy
