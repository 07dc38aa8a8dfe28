// A call that has passed every check of the door, and who answers it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/sim/house.h"
#include "hsm_signer/sim/keys.h"
#include "hsm_signer/sim/payload.h"

namespace hsm::sim {

struct Call {
  const ApiKey& key;
  const Payload& payload;
  Account* account;  // Null where the endpoint is not about one, or where it is about the group.
  House& house;
  std::vector<std::string> variables;  // Of the path: {currency}, {network} and so on, in order.
  Clock::Wall now;
};

using Answer = Outcome<std::string> (*)(const Call&);

// order_desk.cc
Outcome<std::string> new_order(const Call& call);
Outcome<std::string> order_status(const Call& call);
Outcome<std::string> cancel_order(const Call& call);
Outcome<std::string> cancel_all(const Call& call);
Outcome<std::string> cancel_session(const Call& call);
Outcome<std::string> orders(const Call& call);
Outcome<std::string> my_trades(const Call& call);

// fund_desk.cc
Outcome<std::string> balances(const Call& call);
Outcome<std::string> withdraw_v1(const Call& call);
Outcome<std::string> withdraw_v2(const Call& call);
Outcome<std::string> transfer(const Call& call);

// history_desk.cc
Outcome<std::string> past_orders(const Call& call);
Outcome<std::string> past_transfers_v1(const Call& call);
Outcome<std::string> past_transfers_v2(const Call& call);

// address_desk.cc
Outcome<std::string> deposit_addresses(const Call& call);
Outcome<std::string> new_deposit_address(const Call& call);
Outcome<std::string> approved_addresses(const Call& call);
Outcome<std::string> approve_address(const Call& call);
Outcome<std::string> remove_address(const Call& call);

// account_desk.cc
Outcome<std::string> account_list(const Call& call);
Outcome<std::string> heartbeat(const Call& call);
Outcome<std::string> roles(const Call& call);

// fields.cc: members that several desks read.
// A point in time as the exchange takes it: a whole number or its digits in a string, seconds or
// milliseconds; InvalidTimestampInPayload otherwise. None where it is not there.
Outcome<std::optional<Clock::Wall>> read_timestamp(const Payload& payload);
// The symbol that is meant; null where none is named.
Outcome<const Symbol*> read_symbol(const Payload& payload);
// A whole number of at least 1, where it is there; more than `most` means `most`.
Outcome<std::size_t> read_limit(const Payload& payload, std::string_view name, std::size_t usual,
                                std::size_t most);
Outcome<std::string> read_required(const Payload& payload, std::string_view name);
// Empty where it is not there. At most 256 printable ASCII characters.
Outcome<std::string> read_optional(const Payload& payload, std::string_view name);
// In lower case; empty where it is not there.
Outcome<std::string> read_uuid(const Payload& payload, std::string_view name);

}  // namespace hsm::sim
