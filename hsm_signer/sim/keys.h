// The API keys that the simulated exchange has given out: its keys file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/sim/nonce.h"

namespace hsm::sim {

using Roles = std::uint8_t;
inline constexpr Roles kTrader = 1, kFundManager = 2, kAuditor = 4, kAdministrator = 8;
// As the exchange's messages have it: "Trader, FundManager".
std::string role_names(Roles roles);

enum class Scope : std::uint8_t { account, master };

struct ApiKey {
  std::string id;
  SecretBytes secret;  // The text's own bytes: the exchange does not decode it.
  Roles roles = 0;
  NonceRule nonce = NonceRule::incrementing;
  Scope scope = Scope::account;
  bool heartbeat = false;
};

// Strict TOML, [[key]] tables (docs/gemini-sim.md). `secret_file` is relative to the directory of
// the keys file. Code::usage with file:line:column, never with a secret.
Result<std::vector<ApiKey>> load_keys(const std::string& path);
// `name` stands for the file in errors, `directory` is where a secret_file lies.
Result<std::vector<ApiKey>> parse_keys(std::string_view text, const std::string& name,
                                       const std::string& directory);

}  // namespace hsm::sim
