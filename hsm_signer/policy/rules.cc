#include "hsm_signer/policy/rules.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "hsm_signer/base/toml.h"
#include "hsm_signer/policy/conditions_toml.h"
#include "hsm_signer/policy/identities.h"

namespace hsm::policy {
namespace {

constexpr std::size_t kRuleNameLimit = 80;
constexpr std::size_t kRuleLimit = 10'000;
constexpr std::int64_t kMostSerial = 1'000'000'000'000;

constexpr std::string_view kNotYet = "not supported yet";

// Rule types of the documented format that nothing judges yet. Ignoring one would allow what its
// author meant to forbid, so each is refused by name.
constexpr std::array<std::string_view, 1> kRuleKeysNotYet{"ws_login"};
constexpr std::array<std::string_view, 3> kClientKeysNotYet{"unit", "units", "exe"};
// Entries of `allow` that are permissions of their own, not endpoints.
constexpr std::array<std::string_view, 1> kEntriesNotYet{"ws-login"};

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

struct Entries {
  EndpointSet all;
  EndpointSet named;  // By template, not by class.
};

Result<Entries> read_entries(TomlTable& table, std::string_view key) {
  TRY(const std::vector<std::string> texts, table.texts(key));
  std::unordered_set<std::string> seen;
  Entries entries;
  for (const std::string& text : texts) {
    if (!seen.insert(text).second) return table.refuse(key, "named twice", text);
    TRY_VOID(add_entry(table, key, text, text.starts_with("class:") ? entries.all : entries.named));
  }
  if (table.has(key) && texts.empty()) return table.refuse(key, "must not be empty");
  entries.all |= entries.named;
  return entries;
}

// A deny has no "unless": what it names is refused.
Result<void> refuse_limits(const TomlTable& table) {
  for (const std::string& key : table.keys()) {
    constexpr std::array<std::string_view, 4> kOwn{"name", "client", "key", "deny"};
    if (!contains(kOwn, key)) return table.refuse(key, "a rule that allows nothing has none");
  }
  return {};
}

// A limit that an endpoint says nothing of would refuse every request there: for a class that may
// be meant, for an endpoint that is named it is a mistake. The same for a limit that nothing which
// the rule allows could ever meet.
Result<void> check_limits_fit(const TomlTable& table, const Rule& rule, const EndpointSet& named) {
  const Facts needed = rule.needed;
  Facts said = 0;
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    const std::size_t index = endpoint_index(endpoint);
    if (!rule.allow[index] || !commits(endpoint.cls)) continue;
    said |= facts_of(endpoint);
    const auto missing = (needed & ~facts_of(endpoint));
    if (!named[index] || missing == 0) continue;
    return table.refuse("allow", "this rule limits what that endpoint does not say",
                        std::string{endpoint.path} + " says no " +
                            std::string{name(lowest(missing))} + "; give it a rule of its own");
  }
  if (const auto idle = needed & ~said; idle != 0)
    return table.refuse({}, "nothing that this rule allows says what it limits",
                        std::string{name(lowest(idle))});
  if ((said & bit(Fact::side)) != 0) return check_honest_sells(table, rule.conditions);
  return {};
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
    TRY(const std::int64_t serial, root.integer_or("serial", 0, 0, kMostSerial));
    rules_.serial_ = static_cast<std::uint64_t>(serial);
    TRY(std::vector<TomlTable> markets, root.tables("market"));
    TRY(std::vector<TomlTable> clients, root.tables("client"));
    TRY(std::vector<TomlTable> rules, root.tables("rule"));
    TRY_VOID(root.finish());
    for (TomlTable& table : markets) TRY_VOID(add_market(table));
    if (rules.size() > kRuleLimit) return root.refuse("rule", "too many rules");
    for (TomlTable& table : clients) TRY_VOID(add_client(table));
    for (TomlTable& table : rules) TRY_VOID(add_rule(table));
    return std::move(rules_);
  }

 private:
  Result<void> add_market(TomlTable& table) {
    TRY(const std::string symbol, table.text("symbol"));
    TRY(const std::string quote, table.text("quote"));
    TRY_VOID(table.finish());
    if (symbol.empty() || lower_case(symbol) != symbol)
      return table.refuse("symbol", "must be a symbol in lower case");
    if (quote.empty() || lower_case(quote) != quote)
      return table.refuse("quote", "must be a currency in lower case");
    if (!rules_.markets_.add(symbol, quote))
      return table.refuse("symbol", "a second market of that symbol", symbol);
    return {};
  }

  Result<void> add_client(TomlTable& table) {
    TRY_VOID(refuse_not_yet(table, kClientKeysNotYet));
    Client client;
    TRY(client.name.value, table.text("name"));
    if (!is_name(client.name.value))
      return table.refuse("name",
                          "must be 1 to 32 of a-z 0-9 . _ - and begin with a letter or digit");
    TRY(client.uid, read_uid(table, resolver_));
    TRY(client.gid, read_gid(table, resolver_));
    TRY(client.push_reference, table.boolean_or("push_reference", false));
    TRY(client.push_skew, table.boolean_or("push_skew", false));
    TRY(client.officer, table.text_or("officer", ""));
    if (table.has("officer") && !is_name(client.officer))
      return table.refuse("officer", "must be an officer's name, as allowed_officers has it");
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
    TRY(const Entries allow, read_entries(table, "allow"));
    TRY(const Entries deny, read_entries(table, "deny"));
    rule.allow = allow.all;
    rule.deny = deny.all;
    TRY(rule.durability, read_durability(table));
    TRY(rule.conditions, read_conditions(table));
    rule.needed = rule.conditions.needed();
    if (rule.conditions.symbols) {
      rule.symbol_bits = 0;
      for (const std::string& symbol : *rule.conditions.symbols)
        rule.symbol_bits |= asset_bit(symbol);
    }
    TRY_VOID(table.finish());
    if (rule.allow.none() && rule.deny.none())
      return table.refuse({}, "a rule needs \"allow\" or \"deny\"");
    if (rule.allow.none()) TRY_VOID(refuse_limits(table));
    TRY_VOID(check_limits_fit(table, rule, allow.named));
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
