#include "tests/fuzz/policy_allowed.h"

#include <algorithm>
#include <string>

#include "tests/fuzz/demand.h"

namespace hsm::fuzz {
namespace {

using policy::AmountTable;
using policy::Conditions;
using policy::WindowLimit;

// "0012.500" and "12.5" are one number: digits before and after the point.
struct Number {
  std::string whole, rest;

  explicit Number(std::string_view text) {
    const std::size_t point = std::min(text.find('.'), text.size());
    whole = text.substr(std::min(text.find_first_not_of('0'), point),
                        point - std::min(text.find_first_not_of('0'), point));
    if (point < text.size()) rest = text.substr(point + 1);
    while (rest.ends_with('0')) rest.pop_back();
  }
  bool operator<=(const Number& other) const {
    if (whole.size() != other.whole.size()) return whole.size() < other.whole.size();
    return whole != other.whole ? whole < other.whole : rest <= other.rest;
  }
};

bool at_most(std::string_view a, std::string_view b) { return Number{a} <= Number{b}; }

template <class List>
bool lists(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// What a table says of `asset`; a table that says nothing of it allows nothing.
std::string entry(const AmountTable& table, std::string_view asset) {
  const auto found = std::find_if(table.entries().begin(), table.entries().end(),
                                  [&](const auto& one) { return one.first == asset; });
  demand(found != table.entries().end(), "a table names what it allows");
  return found->second.text();
}

void demand_words(const Conditions& limits, const Asked& asked) {
  demand(!limits.symbols || lists(*limits.symbols, asked.symbol), "a symbol that is allowed");
  demand(!limits.sides || lists(*limits.sides, asked.side), "a side that is allowed");
  demand(!limits.order_types || lists(*limits.order_types, asked.type), "a type that is allowed");
  demand(!limits.options || (!asked.symbol.empty() &&
                             (asked.option.empty() || lists(*limits.options, asked.option))),
         "an option that is allowed");
  demand(asked.unknown.empty() || lists(limits.extra_members, asked.unknown),
         "an unknown member that is allowed");
}

void demand_numbers(const Conditions& limits, const Asked& asked) {
  if (!limits.max_amount.empty())
    demand(at_most(asked.amount, entry(limits.max_amount, asked.asset)) && !asked.amount.empty(),
           "an amount that is not too large");
  if (!limits.min_amount.empty())
    demand(at_most(entry(limits.min_amount, asked.asset), asked.amount),
           "an amount that is not too small");
  if (!limits.min_price.empty())
    demand(!asked.price.empty() && at_most(entry(limits.min_price, asked.asset), asked.price),
           "a price that is not too low");
  if (!limits.max_price.empty())
    demand(!asked.price.empty() && at_most(asked.price, entry(limits.max_price, asked.asset)),
           "a price that is not too high");
  demand(!limits.price_band, "a band allows nothing without a reference");
}

// What a rule's currencies know of it: nothing else has a worth without references.
void demand_worth(const policy::Rules& rules, const Conditions& limits, const Asked& asked) {
  if (!limits.limits_notional()) return;
  const bool order = !asked.symbol.empty();
  std::string_view currency = order ? asked.quote : asked.asset;
  if (order && rules.markets().added().contains(std::string{asked.symbol}))
    currency = rules.markets().added().find(std::string{asked.symbol})->second;
  const std::string_view worth = order ? asked.worth : asked.amount;
  demand(!worth.empty(), "what is allowed has a worth");
  if (!limits.max_notional.empty())
    demand(at_most(worth, entry(limits.max_notional, currency)),
           "a notional that is not too large");
  const auto of_amounts = [](const WindowLimit& window) { return !window.max_amount.empty(); };
  demand(asked.side != "sell" ||
             (!limits.min_price.empty() &&
              std::any_of(limits.windows.begin(), limits.windows.end(), of_amounts)),
         "a sell without a reference is bounded otherwise");
}

void demand_places(const Conditions& limits, const Asked& asked) {
  if (limits.addresses) {
    std::string network{asked.network};
    for (const auto& [currency, means] : limits.networks)
      if (network.empty() && currency == asked.ticker) network = means;
    const auto same = [&](const policy::Destination& to) {
      return to.network == network && to.ticker == asked.ticker && to.address == asked.address &&
             to.memo.has_value() == asked.memo.has_value() && (!to.memo || *to.memo == *asked.memo);
    };
    demand(std::any_of(limits.addresses->begin(), limits.addresses->end(), same),
           "an address that is allowed");
  }
  const bool clears = std::string_view{asked.json}.find("/v1/clearing/") != std::string_view::npos;
  demand(!clears || limits.open_counterparty || !asked.counterparty.empty(),
         "a counterparty that is named");
  demand(!limits.counterparties || lists(*limits.counterparties, asked.counterparty),
         "a counterparty that is allowed");
}

}  // namespace

void demand_within_limits(const policy::Rules& rules, const policy::Rule& rule, const Asked& asked,
                          Clock::Wall now) {
  const Conditions& limits = rule.conditions;
  demand(!limits.expires || now < *limits.expires, "a rule that has not expired");
  demand(!limits.accounts || asked.account.empty() || lists(*limits.accounts, asked.account),
         "an account that is allowed");
  if (!asked.commits) return;
  demand(!limits.approvals, "nobody approved anything");
  demand_words(limits, asked);
  demand_numbers(limits, asked);
  demand_worth(rules, limits, asked);
  demand_places(limits, asked);
}

}  // namespace hsm::fuzz
