// The API keys that the simulated exchange has given out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/toml.h"
#include "hsm_signer/sim/ip_range.h"
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
  std::string account;  // Of an account key: the account that it is for. Empty on master keys.
  std::optional<std::vector<IpRange>> trusted_ips;  // None: "Unrestricted".

  bool trusts(std::string_view address) const;
};

// One [[key]] table. `secret_file` is relative to `directory`. Code::usage with file:line:column,
// never with a secret.
Result<ApiKey> read_key(TomlTable& table, const std::string& directory);

}  // namespace hsm::sim
