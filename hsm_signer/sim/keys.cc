#include "hsm_signer/sim/keys.h"

#include <algorithm>
#include <array>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"

namespace hsm::sim {
namespace {

constexpr std::size_t kSecretLimit = 4096;

struct RoleName {
  Roles role;
  std::string_view in_file;
  std::string_view in_message;
};
constexpr std::array kRoleNames{RoleName{kTrader, "trader", "Trader"},
                                RoleName{kFundManager, "fund_manager", "FundManager"},
                                RoleName{kAuditor, "auditor", "Auditor"},
                                RoleName{kAdministrator, "administrator", "Administrator"}};

Result<Roles> read_roles(TomlTable& table) {
  TRY(const std::vector<std::string> names, table.texts("roles"));
  Roles roles = 0;
  for (const std::string& name : names) {
    const auto* found = std::find_if(kRoleNames.begin(), kRoleNames.end(),
                                     [&](const RoleName& row) { return row.in_file == name; });
    if (found == kRoleNames.end())
      return table.refuse("roles", "knows trader, fund_manager, auditor, administrator");
    roles = static_cast<Roles>(roles | found->role);
  }
  if (roles == 0)
    return table.refuse(table.has("roles") ? "roles" : "", "a key needs at least one role");
  if ((roles & kAuditor) != 0 && roles != kAuditor)
    return table.refuse("roles", "auditor cannot be combined with another role");
  return roles;
}

template <class T>
Result<T> read_choice(TomlTable& table, std::string_view key, std::string_view first, T as_first,
                      std::string_view second, T as_second) {
  TRY(const std::string text, table.text_or(key, std::string{first}));
  if (text == first) return as_first;
  if (text == second) return as_second;
  return table.refuse(key, "must be one of",
                      "\"" + std::string{first} + "\", \"" + std::string{second} + "\"");
}

Result<SecretBytes> read_secret(TomlTable& table, const std::string& directory) {
  if (table.has("secret") == table.has("secret_file"))
    return table.refuse({}, "a key needs either secret or secret_file");
  SecretBytes secret;
  if (table.has("secret")) {
    TRY(std::string text, table.text("secret"));
    secret = SecretBytes::copy_of(as_bytes(text));
  } else {
    TRY(const std::string file, table.text("secret_file"));
    TRY(secret,
        read_secret_file(file.starts_with('/') ? file : directory + "/" + file, kSecretLimit));
    if (secret.size() > 0 && secret.view().back() == '\n') secret.truncate(secret.size() - 1);
  }
  const bool printable = std::all_of(secret.view().begin(), secret.view().end(),
                                     [](Byte b) { return b > 0x20 && b < 0x7F; });
  if (secret.size() == 0 || secret.size() > kSecretLimit || !printable)
    return table.refuse({}, "a secret is 1 to 4096 printable ASCII characters without spaces");
  return secret;
}

Result<std::optional<std::vector<IpRange>>> read_trusted_ips(TomlTable& table) {
  std::optional<std::vector<IpRange>> ranges;
  if (!table.has("trusted_ips")) return ranges;
  TRY(const std::vector<std::string> texts, table.texts("trusted_ips"));
  if (texts.empty())
    return table.refuse("trusted_ips",
                        "an empty list would trust nobody; leave it away to trust all");
  ranges.emplace();
  for (const std::string& text : texts) {
    const std::optional<IpRange> range = IpRange::parse(text);
    if (!range)
      return table.refuse("trusted_ips", "wants IPv4 addresses and CIDR blocks, not", text);
    ranges->push_back(*range);
  }
  return ranges;
}

}  // namespace

Result<ApiKey> read_key(TomlTable& table, const std::string& directory) {
  ApiKey key;
  TRY(key.id, table.text("id"));
  if (!is_api_key_id(key.id)) return table.refuse("id", "must be 1 to 64 of A-Z a-z 0-9 _ -");
  TRY(key.secret, read_secret(table, directory));
  TRY(key.roles, read_roles(table));
  TRY(key.nonce, read_choice(table, "nonce", "incrementing", NonceRule::incrementing, "time-based",
                             NonceRule::time_based));
  TRY(key.scope, read_choice(table, "scope", "account", Scope::account, "master", Scope::master));
  TRY(key.heartbeat, table.boolean_or("heartbeat", false));
  TRY(key.trusted_ips, read_trusted_ips(table));
  const bool names_account = table.has("account");
  if (key.scope == Scope::account) {
    TRY(key.account, table.text_or("account", "primary"));
  }
  if (names_account && key.scope == Scope::master)
    return table.refuse("account", "a master key is for all accounts");
  TRY_VOID(table.finish());
  if (key.heartbeat && key.scope == Scope::master)
    return table.refuse("heartbeat", "the exchange offers no heartbeat on master keys");
  if ((key.roles & kAdministrator) != 0 && key.scope != Scope::master)
    return table.refuse("roles", "administrator is a role of master keys");
  return key;
}

bool ApiKey::trusts(std::string_view address) const {
  return !trusted_ips || std::any_of(trusted_ips->begin(), trusted_ips->end(),
                                     [&](const IpRange& range) { return range.contains(address); });
}

std::string role_names(Roles roles) {
  std::string text;
  for (const RoleName& row : kRoleNames) {
    if ((roles & row.role) == 0) continue;
    if (!text.empty()) text.append(", ");
    text.append(row.in_message);
  }
  return text;
}

}  // namespace hsm::sim
