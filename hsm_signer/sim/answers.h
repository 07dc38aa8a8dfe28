// Bodies, shaped as the exchange documents them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/sim/book.h"
#include "hsm_signer/sim/keys.h"
#include "hsm_signer/sim/refusal.h"

namespace hsm::sim {

enum class Trades : bool { leave_out, include };

std::string error_body(const Refusal& refusal);
std::string ok_body();
std::string order_body(const Order& order, Trades trades);
std::string orders_body(const std::vector<const Order*>& orders, Trades trades);
std::string balances_body(const Wallet& wallet);
std::string roles_body(const ApiKey& key);

// What gemini-sim --json says once it listens:
// {"ready":true,"listen":"127.0.0.1:P","port":P,"unix":…}, null for what it does not listen on.
std::string ready_body(std::optional<std::uint16_t> port, const std::string& unix_path);

}  // namespace hsm::sim
