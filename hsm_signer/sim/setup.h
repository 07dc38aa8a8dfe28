// What the simulated exchange starts with: its keys file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/sim/address_book.h"
#include "hsm_signer/sim/keys.h"

namespace hsm::sim {

inline constexpr std::string_view kPrimary = "primary";

struct AccountSetup {
  std::string name;
  bool approved_list = true;  // Whether this account may withdraw at all.
};

struct Setup {
  std::vector<ApiKey> keys;
  std::vector<AccountSetup> accounts;  // "primary" among them.
  std::vector<Approved> approved;      // Active from the start.
};

// Strict TOML: [[key]], [[account]] and [[approved]] tables (docs/gemini-sim.md). Code::usage with
// file:line:column, never with a secret.
Result<Setup> load_setup(const std::string& path);
// `name` stands for the file in errors, `directory` is where a secret_file lies.
Result<Setup> parse_setup(std::string_view text, const std::string& name,
                          const std::string& directory);

// An account's short name: 1 to 64 of a-z 0-9 -.
bool is_account_name(std::string_view text);

}  // namespace hsm::sim
