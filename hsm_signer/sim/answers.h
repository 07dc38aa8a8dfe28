// Bodies that more than one desk gives, shaped as the exchange documents them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hsm_signer/sim/keys.h"
#include "hsm_signer/sim/market.h"
#include "hsm_signer/sim/refusal.h"

namespace hsm::sim {

std::string error_body(const Refusal& refusal);
std::string ok_body();
std::string message_body(const std::string& message);
std::string roles_body(const ApiKey& key);
std::string symbols_body();
std::string symbol_body(const Symbol& symbol);

// What gemini-sim --json says once it listens:
// {"ready":true,"listen":"127.0.0.1:P","port":P,"unix":…}, null for what it does not listen on.
std::string ready_body(std::optional<std::uint16_t> port, const std::string& unix_path);

}  // namespace hsm::sim
