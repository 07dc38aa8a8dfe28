#include "hsm_signer/policy/rules.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "hsm_signer/base/toml.h"
#include "hsm_signer/policy/identities.h"

namespace hsm::policy {
namespace {

constexpr std::size_t kRuleNameLimit = 80;
constexpr std::size_t kRuleLimit = 10'000;

constexpr std::string_view kNotYet = "not supported yet";

// Rule types of the documented format that nothing judges yet. Ignoring one would allow what its
// author meant to forbid, so each is refused by name.
constexpr std::array<std::string_view, 26> kRuleKeysNotYet{
    "symbols",        "sides",      "order_types",    "options",   "max_amount",   "min_amount",
    "min_price",      "max_price",  "price_band",     "reference", "max_notional", "addresses",
    "accounts",       "networks",   "counterparties", "hours",     "expires",      "window",
    "windows",        "rate",       "extra_members",  "approvals", "ws_login",     "push_skew",
    "push_reference", "idempotency"};
constexpr std::array<std::string_view, 3> kClientKeysNotYet{"unit", "units", "exe"};
// Entries of `allow` that are permissions of their own, not endpoints.
constexpr std::array<std::string_view, 3> kEntriesNotYet{"ws-login", "push-skew", "push-reference"};

template <class List>
bool contains(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

template <class List>
Result<void> refuse_not_yet(const TomlTable& table, const List& not_yet) {
  for (const std::string& key : table.keys()) {
    if (contains(not_yet, key)) return table.refuse(key, kNotYet);
  }
  return {};
}

// Rule names stand in errors, logs and audit records: printable ASCII, so that they look there as
// they look here.
bool is_rule_name(std::string_view text) {
  if (text.empty() || text.size() > kRuleNameLimit) return false;
  if (text.front() == ' ' || text.back() == ' ') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// One of "class:trade" or an endpoint's template, into `set`.
Result<void> add_entry(const TomlTable& table, std::string_view key, const std::string& entry,
                       EndpointSet& set) {
  if (contains(kEntriesNotYet, entry)) return table.refuse(key, kNotYet, entry);
  const auto rows = venue::endpoints();
  constexpr std::string_view kClassPrefix = "class:";
  if (entry.starts_with(kClassPrefix)) {
    venue::Class cls{};
    if (!venue::class_from_name(std::string_view{entry}.substr(kClassPrefix.size()), cls))
      return table.refuse(key, "unknown class",
                          entry + " (read, cancel, trade, move, widen, admin or session)");
    for (std::size_t i = 0; i < rows.size(); ++i) set[i] = set[i] || rows[i].cls == cls;
    return {};
  }
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const venue::Endpoint& known) { return known.path == entry; });
  if (row == rows.end())
    return table.refuse(key, "unknown endpoint",
                        entry + " (templates exactly as documented, \"{currency}\" and all)");
  set.set(endpoint_index(*row));
  return {};
}

Result<EndpointSet> read_entries(TomlTable& table, std::string_view key) {
  TRY(const std::vector<std::string> entries, table.texts(key));
  std::unordered_set<std::string> seen;
  EndpointSet set;
  for (const std::string& entry : entries) {
    if (!seen.insert(entry).second) return table.refuse(key, "named twice", entry);
    TRY_VOID(add_entry(table, key, entry, set));
  }
  if (table.has(key) && entries.empty()) return table.refuse(key, "must not be empty");
  return set;
}

Result<KeySelector> read_key(TomlTable& table) {
  TRY(const std::string text, table.text("key"));
  constexpr std::string_view kEnvironmentPrefix = "env:";
  if (text.starts_with(kEnvironmentPrefix)) {
    const auto environment =
        from_spelling(kEnvironments, std::string_view{text}.substr(kEnvironmentPrefix.size()));
    if (!environment)
      return table.refuse("key", "unknown environment", text + " (env:sandbox or env:production)");
    return KeySelector{KeyName{}, *environment};
  }
  if (!is_name(text))
    return table.refuse("key", "must be a key name, env:sandbox or env:production");
  return KeySelector{KeyName{text}, Environment::production};
}

Result<std::optional<Durability>> read_durability(TomlTable& table) {
  if (!table.has("durability")) return std::optional<Durability>{};
  TRY(const std::string text, table.text("durability"));
  const auto durability = from_spelling(kDurabilities, text);
  if (!durability) return table.refuse("durability", "must be \"os\" or \"fsync\"");
  return durability;
}

}  // namespace

// Fills a Rules from a file, table by table; what contradicts an earlier table is refused at the
// later one.
class Loader {
 public:
  explicit Loader(const Resolver& resolver) : resolver_{resolver} {}

  Result<Rules> load(TomlTable root) {
    if (venue::endpoints().size() > kEndpointLimit)
      return fail(Code::internal, "more endpoints than a rule can name");
    TRY_VOID(root.integer("version", 1, 1));
    TRY(std::vector<TomlTable> clients, root.tables("client"));
    TRY(std::vector<TomlTable> rules, root.tables("rule"));
    TRY_VOID(root.finish());
    if (rules.size() > kRuleLimit) return root.refuse("rule", "too many rules");
    for (TomlTable& table : clients) TRY_VOID(add_client(table));
    for (TomlTable& table : rules) TRY_VOID(add_rule(table));
    return std::move(rules_);
  }

 private:
  Result<void> add_client(TomlTable& table) {
    TRY_VOID(refuse_not_yet(table, kClientKeysNotYet));
    Client client;
    TRY(client.name.value, table.text("name"));
    if (!is_name(client.name.value))
      return table.refuse("name",
                          "must be 1 to 32 of a-z 0-9 . _ - and begin with a letter or digit");
    TRY(client.uid, read_uid(table, resolver_));
    TRY(client.gid, read_gid(table, resolver_));
    TRY_VOID(table.finish());
    const auto index = static_cast<std::uint32_t>(rules_.clients_.size());
    if (!by_name_.emplace(client.name.value, index).second)
      return table.refuse("name", "a second client of that name", client.name.value);
    if (!rules_.by_uid_.emplace(client.uid, index).second)
      return table.refuse("uid", "a second client with that uid", std::to_string(client.uid));
    rules_.clients_.push_back(std::move(client));
    return {};
  }

  Result<void> add_rule(TomlTable& table) {
    TRY_VOID(refuse_not_yet(table, kRuleKeysNotYet));
    Rule rule;
    TRY(rule.name, table.text("name"));
    if (!is_rule_name(rule.name))
      return table.refuse("name",
                          "must be 1 to 80 printable ASCII characters without space at the ends");
    TRY(const std::string client, table.text("client"));
    TRY(rule.key, read_key(table));
    TRY(rule.allow, read_entries(table, "allow"));
    TRY(rule.deny, read_entries(table, "deny"));
    TRY(rule.durability, read_durability(table));
    TRY_VOID(table.finish());
    if (rule.allow.none() && rule.deny.none())
      return table.refuse({}, "a rule needs \"allow\" or \"deny\"");
    if (rule.durability && rule.allow.none())
      return table.refuse("durability", "a rule that allows nothing has none");
    if (!rule_names_.insert(rule.name).second)
      return table.refuse("name", "a second rule of that name");
    const auto known = by_name_.find(client);
    if (known == by_name_.end()) return table.refuse("client", "there is no client of that name");
    rule.client = known->second;
    rule.where = table.where();
    rules_.clients_[rule.client].rules.push_back(static_cast<std::uint32_t>(rules_.rules_.size()));
    rules_.rules_.push_back(std::move(rule));
    return {};
  }

  const Resolver& resolver_;
  Rules rules_;
  std::unordered_map<std::string, std::uint32_t> by_name_;
  std::unordered_set<std::string> rule_names_;
};

std::size_t endpoint_index(const venue::Endpoint& endpoint) {
  return static_cast<std::size_t>(&endpoint - venue::endpoints().data());
}

Result<Rules> Rules::load(const std::string& path, const Resolver& resolver) {
  TRY(TomlTable root, TomlTable::load(path));
  return Loader{resolver}.load(std::move(root));
}

Result<Rules> Rules::parse(std::string_view text, std::string file, const Resolver& resolver) {
  TRY(TomlTable root, TomlTable::parse(text, std::move(file)));
  return Loader{resolver}.load(std::move(root));
}

const Client* Rules::client_of(uid_t uid, gid_t gid) const {
  const auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return nullptr;
  const Client& client = clients_[found->second];
  return client.gid && *client.gid != gid ? nullptr : &client;
}

}  // namespace hsm::policy
