#include "hsm_signer/sim/setup.h"

#include <algorithm>

#include "hsm_signer/base/os.h"
#include "hsm_signer/sim/market.h"

namespace hsm::sim {
namespace {

constexpr std::size_t kKeysFileLimit = 1 << 20;

bool has_account(const Setup& setup, std::string_view name) {
  return std::any_of(setup.accounts.begin(), setup.accounts.end(),
                     [&](const AccountSetup& account) { return account.name == name; });
}

Result<void> read_accounts(std::vector<TomlTable> tables, Setup& setup) {
  for (TomlTable& table : tables) {
    AccountSetup account;
    TRY(account.name, table.text("name"));
    if (!is_account_name(account.name)) return table.refuse("name", "must be 1 to 64 of a-z 0-9 -");
    TRY(account.approved_list, table.boolean_or("approved_list", true));
    TRY_VOID(table.finish());
    if (has_account(setup, account.name)) return table.refuse("name", "stands twice in this file");
    setup.accounts.push_back(std::move(account));
  }
  if (!has_account(setup, kPrimary))
    setup.accounts.insert(setup.accounts.begin(), AccountSetup{std::string{kPrimary}});
  return {};
}

Result<void> read_approved(std::vector<TomlTable> tables, Setup& setup) {
  for (TomlTable& table : tables) {
    Approved approved;
    TRY(approved.account, table.text_or("account", ""));
    TRY(approved.network, table.text("network"));
    TRY(approved.address, table.text("address"));
    TRY(approved.label, table.text_or("label", ""));
    TRY(approved.memo, table.text_or("memo", ""));
    TRY_VOID(table.finish());
    if (!approved.account.empty() && !has_account(setup, approved.account))
      return table.refuse("account", "there is no such [[account]]");
    if (!is_network(approved.network))
      return table.refuse("network", "must be one of bitcoin, ethereum, solana, xrpl");
    if (approved.address.empty()) return table.refuse("address", "must not be empty");
    const bool twice =
        std::any_of(setup.approved.begin(), setup.approved.end(), [&](const Approved& other) {
          return other.account == approved.account && other.network == approved.network &&
                 other.address == approved.address;
        });
    if (twice) return table.refuse("address", "stands twice in this file");
    if (setup.approved.size() == AddressBook::kMost)
      return table.refuse("address", "is one more than the address book holds");
    setup.approved.push_back(std::move(approved));
  }
  return {};
}

Result<void> read_keys(std::vector<TomlTable> tables, const std::string& directory, Setup& setup) {
  for (TomlTable& table : tables) {
    TRY(ApiKey key, read_key(table, directory));
    const bool twice = std::any_of(setup.keys.begin(), setup.keys.end(),
                                   [&](const ApiKey& other) { return other.id == key.id; });
    if (twice) return table.refuse("id", "stands twice in this file");
    if (key.scope == Scope::account && !has_account(setup, key.account))
      return table.refuse("account", "there is no such [[account]]");
    setup.keys.push_back(std::move(key));
  }
  return {};
}

}  // namespace

bool is_account_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<Setup> parse_setup(std::string_view text, const std::string& name,
                          const std::string& directory) {
  TRY(TomlTable file, TomlTable::parse(text, name));
  TRY(std::vector<TomlTable> keys, file.tables("key"));
  TRY(std::vector<TomlTable> accounts, file.tables("account"));
  TRY(std::vector<TomlTable> approved, file.tables("approved"));
  TRY_VOID(file.finish());
  if (keys.empty()) return file.refuse({}, "a keys file needs at least one [[key]]");
  Setup setup;
  TRY_VOID(read_accounts(std::move(accounts), setup));
  TRY_VOID(read_approved(std::move(approved), setup));
  TRY_VOID(read_keys(std::move(keys), directory, setup));
  return setup;
}

Result<Setup> load_setup(const std::string& path) {
  TRY(Bytes bytes, read_file(path, kKeysFileLimit));
  const std::size_t slash = path.rfind('/');
  Result<Setup> setup =
      parse_setup(as_text(bytes), path, slash == std::string::npos ? "." : path.substr(0, slash));
  wipe(bytes);
  return setup;
}

}  // namespace hsm::sim
