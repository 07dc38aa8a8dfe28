#include "tests/fuzz/policy_text.h"

#include <algorithm>
#include <vector>

#include "hsm_signer/base/duration.h"
#include "tests/fuzz/toml_text.h"

namespace hsm::fuzz {
namespace {

using policy::AmountTable;
using policy::Conditions;

bool holds_all_of(const policy::EndpointSet& set, venue::Class cls) {
  const auto rows = venue::endpoints();
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].cls == cls && !set[i]) return false;
  return true;
}

// One by one; with `classes`, as a class where all of it is there: an endpoint that says nothing of
// a rule's limits may stand there with its class, not by its name.
std::vector<std::string> spelled(const policy::EndpointSet& set, bool classes) {
  std::vector<std::string> entries;
  const auto rows = venue::endpoints();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!set[i]) continue;
    std::string entry{rows[i].path};
    if (classes && holds_all_of(set, rows[i].cls))
      entry = "class:" + std::string{name(rows[i].cls)};
    if (std::find(entries.begin(), entries.end(), entry) == entries.end())
      entries.push_back(std::move(entry));
  }
  return entries;
}

// { a = "b", … } of what is one inline table.
class Inline {
 public:
  Inline& text(std::string_view key, std::string_view value) { return raw(key, quoted(value)); }
  Inline& raw(std::string_view key, std::string_view value) {
    text_.append(text_.empty() ? "" : ", ").append(quoted(key)).append(" = ").append(value);
    return *this;
  }
  std::string done() const { return "{ " + text_ + " }"; }

 private:
  std::string text_;
};

std::string amounts(const AmountTable& table) {
  Inline out;
  for (const auto& [asset, amount] : table.entries()) out.text(asset, amount.text());
  return out.done();
}

void write_amounts(TomlText& out, std::string_view key, const AmountTable& table) {
  if (!table.empty()) out.raw(key, amounts(table));
}
void write_texts(TomlText& out, std::string_view key,
                 const std::optional<std::vector<std::string>>& texts) {
  if (texts) out.texts(key, *texts);
}

void write_order_limits(TomlText& out, const Conditions& limits) {
  write_texts(out, "symbols", limits.symbols);
  write_texts(out, "sides", limits.sides);
  write_texts(out, "order_types", limits.order_types);
  write_texts(out, "options", limits.options);
  write_amounts(out, "max_amount", limits.max_amount);
  write_amounts(out, "min_amount", limits.min_amount);
  write_amounts(out, "min_price", limits.min_price);
  write_amounts(out, "max_price", limits.max_price);
  write_amounts(out, "max_notional", limits.max_notional);
  if (limits.price_band) out.text("price_band", limits.price_band->text() + "%");
  if (limits.reference_age)
    out.raw("reference", Inline{}.text("max_age", duration_text(*limits.reference_age)).done());
}

void write_places(TomlText& out, const Conditions& limits) {
  if (limits.addresses) {
    std::string rows;
    for (const policy::Destination& to : *limits.addresses) {
      Inline row;
      row.text("network", to.network).text("ticker", to.ticker).text("address", to.address);
      if (to.memo) row.text("memo", *to.memo);
      rows += row.done() + ", ";
    }
    out.raw("addresses", "[ " + rows + "]");
  }
  if (!limits.networks.empty()) {
    Inline networks;
    for (const auto& [currency, network] : limits.networks) networks.text(currency, network);
    out.raw("networks", networks.done());
  }
  write_texts(out, "accounts", limits.accounts);
  write_texts(out, "counterparties", limits.counterparties);
  if (limits.open_counterparty) out.raw("open_counterparty", "true");
  if (!limits.extra_members.empty()) out.texts("extra_members", limits.extra_members);
}

std::string window(const policy::WindowLimit& limit) {
  Inline out;
  out.text("per", duration_text(limit.per)).text("by", name(limit.by));
  if (limit.max_count) out.raw("max_count", std::to_string(*limit.max_count));
  if (!limit.max_amount.empty()) out.raw("max_amount", amounts(limit.max_amount));
  if (!limit.max_notional.empty()) out.raw("max_notional", amounts(limit.max_notional));
  return out.done();
}

void write_times(TomlText& out, const Conditions& limits) {
  if (limits.hours) out.text("hours", limits.hours->text());
  if (limits.expires) out.text("expires", rfc3339(*limits.expires));
  if (!limits.windows.empty()) {
    std::string rows;
    for (const policy::WindowLimit& limit : limits.windows) rows += window(limit) + ", ";
    out.raw("window", "[ " + rows + "]");
  }
  if (limits.rate)
    out.raw("rate", Inline{}
                        .raw("per_second", std::to_string(limits.rate->per_second))
                        .raw("burst", std::to_string(limits.rate->burst))
                        .done());
  if (limits.approvals)
    out.raw("approvals", Inline{}
                             .text("group", limits.approvals->group)
                             .raw("need", std::to_string(limits.approvals->need))
                             .text("within", duration_text(limits.approvals->within))
                             .done());
}

void write_client(TomlText& out, const policy::Client& client) {
  out.header("[[client]]").text("name", client.name.value);
  out.text("uid", std::to_string(client.uid));
  if (client.gid) out.text("gid", std::to_string(*client.gid));
  if (client.push_reference) out.raw("push_reference", "true");
}

void write_rule(TomlText& out, const policy::Rules& rules, const policy::Rule& rule) {
  out.header("[[rule]]").text("name", rule.name);
  out.text("client", rules.clients()[rule.client].name.value);
  const std::string& key = rule.key.name.value;
  out.text("key", key.empty() ? "env:" + std::string{name(rule.key.environment)} : key);
  if (rule.allow.any()) out.texts("allow", spelled(rule.allow, rule.conditions.needed() != 0));
  if (rule.deny.any()) out.texts("deny", spelled(rule.deny, false));
  if (rule.durability) out.text("durability", name(*rule.durability));
  write_order_limits(out, rule.conditions);
  write_places(out, rule.conditions);
  write_times(out, rule.conditions);
}

template <class List, class Write>
void each(const List& list, Order order, const Write& write) {
  if (order == Order::as_read)
    std::for_each(list.begin(), list.end(), write);
  else
    std::for_each(list.rbegin(), list.rend(), write);
}

}  // namespace

std::string policy_text(const policy::Rules& rules, Order order) {
  TomlText out;
  out.number("version", 1);
  if (rules.serial() != 0) out.number("serial", static_cast<std::int64_t>(rules.serial()));
  each(rules.markets().added(), order, [&](const auto& market) {
    out.header("[[market]]").text("symbol", market.first).text("quote", market.second);
  });
  each(rules.clients(), order, [&](const policy::Client& client) { write_client(out, client); });
  each(rules.rules(), order, [&](const policy::Rule& rule) { write_rule(out, rules, rule); });
  return out.str();
}

}  // namespace hsm::fuzz
