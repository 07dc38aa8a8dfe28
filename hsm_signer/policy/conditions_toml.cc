#include "hsm_signer/policy/conditions_toml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <set>

#include "hsm_signer/base/duration.h"
#include "hsm_signer/venue/ascii.h"

namespace hsm::policy {
namespace {

constexpr std::size_t kMostListed = 1'000;
constexpr std::size_t kMostTextLength = 200;
constexpr std::size_t kMostWindows = 16;
constexpr std::chrono::seconds kLongestWindow{31 * 86'400};
constexpr std::chrono::seconds kLongestReferenceAge{3'600};
constexpr std::chrono::seconds kLongestApproval{86'400};
constexpr std::uint32_t kMostRate = 100'000;
constexpr std::uint64_t kMostCount = 1'000'000'000;
constexpr std::uint32_t kMostOfficers = 16;

// Symbols, currencies and tickers: as the path of a request can hold them, in lower case.
bool is_asset(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || venue::is_digit(c) || c == '-' || c == '_';
  });
}

bool is_printable(std::string_view text) {
  return !text.empty() && text.size() <= kMostTextLength &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

using TextCheck = bool (*)(std::string_view);
using Texts = std::optional<std::vector<std::string>>;

// A list that is there must say something: an empty one would look like "no limit" to one reader
// and like "nothing" to the next.
Result<Texts> read_texts(TomlTable& table, std::string_view key, TextCheck fits,
                         std::string_view form) {
  if (!table.has(key)) return Texts{};
  TRY(std::vector<std::string> texts, table.texts(key));
  if (texts.empty()) return table.refuse(key, "must not be empty");
  if (texts.size() > kMostListed) return table.refuse(key, "too many entries", "at most 1000");
  std::set<std::string_view> seen;
  for (const std::string& text : texts) {
    if (!fits(text)) return table.refuse(key, form, text);
    if (!seen.insert(text).second) return table.refuse(key, "named twice", text);
  }
  return Texts{std::move(texts)};
}

bool is_side(std::string_view text) { return text == "buy" || text == "sell"; }

// The words of /v1/order/new and of the prediction markets.
bool is_order_type(std::string_view text) {
  constexpr std::array<std::string_view, 5> kTypes{"exchange limit", "exchange stop limit",
                                                   "exchange market", "limit", "stop-limit"};
  return std::find(kTypes.begin(), kTypes.end(), text) != kTypes.end();
}

bool is_option(std::string_view text) {
  constexpr std::array<std::string_view, 5> kOptions{"maker-or-cancel", "immediate-or-cancel",
                                                     "fill-or-kill", "auction-only",
                                                     "indication-of-interest"};
  return std::find(kOptions.begin(), kOptions.end(), text) != kOptions.end();
}

Result<Decimal> read_amount(TomlTable& table, std::string_view key) {
  TRY(const std::string text, table.text(key));
  const Result<Decimal> amount = Decimal::parse_plain(text);
  if (!amount)
    return table.refuse(
        key, "must be a decimal of at most 18 digits before and after the point, in quotes", text);
  return *amount;
}

Result<AmountTable> read_amounts(TomlTable& table, std::string_view key) {
  AmountTable amounts;
  TRY(std::optional<TomlTable> inner, table.table(key));
  if (!inner) return amounts;
  for (const std::string& asset : inner->keys()) {
    if (!is_asset(asset)) return inner->refuse(asset, "must be a symbol or currency in lower case");
    TRY(const Decimal amount, read_amount(*inner, asset));
    amounts.add(asset, amount);
  }
  if (amounts.empty()) return table.refuse(key, "must not be empty");
  return amounts;
}

Result<std::chrono::seconds> read_duration(TomlTable& table, std::string_view key,
                                           std::chrono::seconds longest) {
  TRY(const std::string text, table.text(key));
  const Result<std::chrono::seconds> length = parse_duration(text);
  if (!length) return table.refuse(key, "must be a length of time such as 90s, 15m, 24h", text);
  if (*length > longest) return table.refuse(key, "too long: at most", duration_text(longest));
  return *length;
}

Result<std::optional<std::vector<Destination>>> read_addresses(TomlTable& table) {
  if (!table.has("addresses")) return std::optional<std::vector<Destination>>{};
  TRY(std::vector<TomlTable> rows, table.tables("addresses"));
  if (rows.empty()) return table.refuse("addresses", "must not be empty");
  if (rows.size() > kMostListed) return table.refuse("addresses", "too many entries");
  std::vector<Destination> addresses;
  for (TomlTable& row : rows) {
    Destination to;
    TRY(to.network, row.text("network"));
    TRY(to.ticker, row.text("ticker"));
    TRY(to.address, row.text("address"));
    if (!is_asset(to.network)) return row.refuse("network", "must be a network in lower case");
    if (!is_asset(to.ticker)) return row.refuse("ticker", "must be a ticker in lower case");
    if (!is_printable(to.address)) return row.refuse("address", "must be printable ASCII");
    if (row.has("memo")) {
      TRY(to.memo, row.text("memo"));
      if (!is_printable(*to.memo)) return row.refuse("memo", "must be printable ASCII");
    }
    TRY_VOID(row.finish());
    if (std::find(addresses.begin(), addresses.end(), to) != addresses.end())
      return row.refuse("address", "named twice");
    addresses.push_back(std::move(to));
  }
  return std::optional{std::move(addresses)};
}

Result<std::vector<std::pair<std::string, std::string>>> read_networks(TomlTable& table) {
  std::vector<std::pair<std::string, std::string>> networks;
  TRY(std::optional<TomlTable> inner, table.table("networks"));
  if (!inner) return networks;
  for (const std::string& currency : inner->keys()) {
    if (!is_asset(currency)) return inner->refuse(currency, "must be a currency in lower case");
    TRY(std::string network, inner->text(currency));
    if (!is_asset(network)) return inner->refuse(currency, "must be a network in lower case");
    networks.emplace_back(currency, std::move(network));
  }
  if (networks.empty()) return table.refuse("networks", "must not be empty");
  return networks;
}

Result<By> read_by(TomlTable& table) {
  TRY(const std::string text, table.text_or("by", "rule"));
  for (const By by : {By::rule, By::client, By::key, By::symbol})
    if (name(by) == text) return by;
  return table.refuse("by", "must be rule, client, key or symbol", text);
}

Result<WindowLimit> read_window(TomlTable& table) {
  WindowLimit window;
  TRY(window.per, read_duration(table, "per", kLongestWindow));
  TRY(window.by, read_by(table));
  if (table.has("max_count")) {
    TRY(const std::int64_t most, table.integer("max_count", 0, kMostCount));
    window.max_count = static_cast<std::uint64_t>(most);
  }
  TRY(window.max_amount, read_amounts(table, "max_amount"));
  TRY(window.max_notional, read_amounts(table, "max_notional"));
  TRY_VOID(table.finish());
  if (!window.max_count && window.max_amount.empty() && window.max_notional.empty())
    return table.refuse({}, "a window needs max_count, max_amount or max_notional");
  return window;
}

Result<std::vector<WindowLimit>> read_windows(TomlTable& table) {
  TRY(std::vector<TomlTable> rows, table.tables("window"));
  std::vector<WindowLimit> windows;
  if (table.has("window") && rows.empty()) return table.refuse("window", "must not be empty");
  if (rows.size() > kMostWindows) return table.refuse("window", "too many windows", "at most 16");
  for (TomlTable& row : rows) {
    TRY(WindowLimit window, read_window(row));
    windows.push_back(std::move(window));
  }
  return windows;
}

Result<std::optional<RateLimit>> read_rate(TomlTable& table) {
  TRY(std::optional<TomlTable> inner, table.table("rate"));
  if (!inner) return std::optional<RateLimit>{};
  RateLimit rate;
  TRY(const std::int64_t per_second, inner->integer("per_second", 1, kMostRate));
  TRY(const std::int64_t burst, inner->integer_or("burst", per_second, 1, kMostRate));
  TRY_VOID(inner->finish());
  rate.per_second = static_cast<std::uint32_t>(per_second);
  rate.burst = static_cast<std::uint32_t>(burst);
  return std::optional{rate};
}

Result<std::optional<Approvals>> read_approvals(TomlTable& table) {
  TRY(std::optional<TomlTable> inner, table.table("approvals"));
  if (!inner) return std::optional<Approvals>{};
  Approvals approvals;
  TRY(approvals.group, inner->text("group"));
  if (!is_printable(approvals.group)) return inner->refuse("group", "must be printable ASCII");
  TRY(const std::int64_t need, inner->integer("need", 1, kMostOfficers));
  approvals.need = static_cast<std::uint32_t>(need);
  TRY(approvals.within, read_duration(*inner, "within", kLongestApproval));
  TRY_VOID(inner->finish());
  return std::optional{std::move(approvals)};
}

Result<std::optional<Hours>> read_hours(TomlTable& table) {
  if (!table.has("hours")) return std::optional<Hours>{};
  TRY(const std::string text, table.text("hours"));
  Result<Hours> hours = Hours::parse(text);
  if (!hours) return table.refuse("hours", hours.error().sentence());
  return std::optional{*std::move(hours)};
}

Result<std::optional<Clock::Wall>> read_expires(TomlTable& table) {
  if (!table.has("expires")) return std::optional<Clock::Wall>{};
  TRY(const std::string text, table.text("expires"));
  const Result<Clock::Wall> time = parse_instant(text);
  if (!time)
    return table.refuse("expires", "must be a time in UTC such as \"2026-12-31T23:59:59Z\"");
  return std::optional{*time};
}

// "5%": of the reference, either way.
Result<std::optional<Decimal>> read_band(TomlTable& table) {
  if (!table.has("price_band")) return std::optional<Decimal>{};
  TRY(const std::string text, table.text("price_band"));
  const auto refuse = [&] {
    return table.refuse("price_band", "must be a share of the reference such as \"5%\"", text);
  };
  if (!text.ends_with('%')) return refuse();
  const Result<Decimal> share =
      Decimal::parse_plain(std::string_view{text}.substr(0, text.size() - 1));
  if (!share || share->is_zero() || *share > *Decimal::parse_plain("100")) return refuse();
  return std::optional{*share};
}

Result<std::optional<std::chrono::seconds>> read_reference(TomlTable& table) {
  TRY(std::optional<TomlTable> inner, table.table("reference"));
  if (!inner) return std::optional<std::chrono::seconds>{};
  TRY(const std::chrono::seconds age, read_duration(*inner, "max_age", kLongestReferenceAge));
  TRY_VOID(inner->finish());
  return std::optional{age};
}

Result<void> read_order_limits(TomlTable& table, Conditions& conditions) {
  TRY(conditions.symbols, read_texts(table, "symbols", is_asset, "must be a symbol in lower case"));
  TRY(conditions.sides, read_texts(table, "sides", is_side, "must be buy or sell"));
  TRY(conditions.order_types,
      read_texts(table, "order_types", is_order_type,
                 "must be exchange limit, exchange stop limit, exchange market, limit or "
                 "stop-limit"));
  TRY(conditions.options, read_texts(table, "options", is_option,
                                     "must be an option of an order such as maker-or-cancel"));
  TRY(conditions.max_amount, read_amounts(table, "max_amount"));
  TRY(conditions.min_amount, read_amounts(table, "min_amount"));
  TRY(conditions.min_price, read_amounts(table, "min_price"));
  TRY(conditions.max_price, read_amounts(table, "max_price"));
  TRY(conditions.price_band, read_band(table));
  TRY(conditions.reference_age, read_reference(table));
  TRY(conditions.max_notional, read_amounts(table, "max_notional"));
  return {};
}

Result<void> read_places(TomlTable& table, Conditions& conditions) {
  TRY(conditions.addresses, read_addresses(table));
  TRY(conditions.networks, read_networks(table));
  TRY(conditions.accounts, read_texts(table, "accounts", is_printable, "must be printable ASCII"));
  TRY(conditions.counterparties,
      read_texts(table, "counterparties", is_printable, "must be printable ASCII"));
  TRY(conditions.open_counterparty, table.boolean_or("open_counterparty", false));
  TRY(const Texts extra, read_texts(table, "extra_members", is_printable,
                                    "must be the name of a member in printable ASCII"));
  conditions.extra_members = extra.value_or(std::vector<std::string>{});
  if (!conditions.networks.empty() && !conditions.addresses)
    return table.refuse("networks", "means nothing without addresses");
  if (conditions.open_counterparty && conditions.counterparties)
    return table.refuse("open_counterparty",
                        "an open order can be taken by anybody, so it and "
                        "counterparties exclude each other");
  return {};
}

Result<void> read_times(TomlTable& table, Conditions& conditions) {
  TRY(conditions.hours, read_hours(table));
  TRY(conditions.expires, read_expires(table));
  TRY(conditions.windows, read_windows(table));
  TRY(conditions.rate, read_rate(table));
  TRY(conditions.approvals, read_approvals(table));
  return {};
}

bool lists(const Texts& texts, std::string_view text) {
  return texts && std::find(texts->begin(), texts->end(), text) != texts->end();
}

// Least above most, in either pair of tables.
Result<void> check_bounds(const TomlTable& table, std::string_view key, const AmountTable& least,
                          const AmountTable& most) {
  for (const auto& [asset, amount] : least.entries()) {
    const Decimal* top = most.find(asset);
    if (top != nullptr && amount > *top)
      return table.refuse(key, "is above the largest that the rule allows", asset);
  }
  return {};
}

Result<void> check_together(const TomlTable& table, const Conditions& conditions) {
  TRY_VOID(check_bounds(table, "min_amount", conditions.min_amount, conditions.max_amount));
  TRY_VOID(check_bounds(table, "min_price", conditions.min_price, conditions.max_price));
  if (conditions.price_band && !conditions.reference_age)
    return table.refuse("price_band", "needs reference = { max_age = … }");
  if (conditions.reference_age && !conditions.price_band && !conditions.limits_notional())
    return table.refuse("reference", "means nothing without price_band or max_notional");
  if (lists(conditions.order_types, "exchange market")) {
    if (conditions.bounds_price())
      return table.refuse("order_types", "a market order has no price to bound",
                          "allow it in a rule without min_price, max_price and price_band");
    if (conditions.limits_notional() && !conditions.reference_age)
      return table.refuse("order_types", "a market order is worth what the reference says",
                          "add reference = { max_age = … }");
  }
  return {};
}

}  // namespace

Result<Conditions> read_conditions(TomlTable& table) {
  Conditions conditions;
  TRY_VOID(read_order_limits(table, conditions));
  TRY_VOID(read_places(table, conditions));
  TRY_VOID(read_times(table, conditions));
  TRY_VOID(check_together(table, conditions));
  return conditions;
}

Result<void> check_honest_sells(const TomlTable& table, const Conditions& conditions) {
  const bool sells = !conditions.sides || lists(conditions.sides, "sell");
  if (!conditions.limits_notional() || conditions.reference_age || !sells) return {};
  const bool amounts_over_time =
      std::any_of(conditions.windows.begin(), conditions.windows.end(),
                  [](const WindowLimit& window) { return !window.max_amount.empty(); });
  if (amounts_over_time && !conditions.min_price.empty()) return {};
  return table.refuse(
      conditions.max_notional.empty() ? "window" : "max_notional",
      "a sell at a low price would count as little",
      "add reference = { max_age = … }, or min_price and a window with max_amount, or sides = "
      "[\"buy\"]");
}

}  // namespace hsm::policy
