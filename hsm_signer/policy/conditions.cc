#include "hsm_signer/policy/conditions.h"

#include <algorithm>

namespace hsm::policy {

std::string_view name(By by) {
  switch (by) {
    case By::rule:
      return "rule";
    case By::client:
      return "client";
    case By::key:
      return "key";
    case By::symbol:
      return "symbol";
  }
  return {};
}

bool Conditions::limits_notional() const {
  return !max_notional.empty() ||
         std::any_of(windows.begin(), windows.end(),
                     [](const WindowLimit& window) { return !window.max_notional.empty(); });
}

Facts Conditions::needed() const {
  Facts facts = 0;
  const auto need = [&](bool wanted, Fact fact) { facts |= wanted ? bit(fact) : Facts{0}; };
  need(symbols.has_value(), Fact::symbol);
  need(sides.has_value(), Fact::side);
  need(order_types.has_value(), Fact::type);
  need(options.has_value(), Fact::options);
  need(!max_amount.empty() || !min_amount.empty() || limits_notional(), Fact::amount);
  need(bounds_price(), Fact::price);
  need(addresses.has_value(), Fact::destination);
  need(counterparties.has_value(), Fact::counterparty);
  for (const WindowLimit& window : windows)
    need(!window.max_amount.empty() || window.by == By::symbol, Fact::amount);
  return facts;
}

}  // namespace hsm::policy
