#include "hsm_signer/policy_tools/lint.h"

#include <algorithm>
#include <array>
#include <functional>

#include "hsm_signer/base/duration.h"

namespace hsm::policy {
namespace {

using venue::Class;
using venue::Endpoint;

// Whether `outer` covers every key that `inner` covers. Whose environment a named key is of is not
// known here.
bool covers_all(const KeySelector& outer, const KeySelector& inner) {
  return outer.name == inner.name &&
         (!outer.name.value.empty() || outer.environment == inner.environment);
}

bool of_production(const KeySelector& key) {
  return !key.name.value.empty() || key.environment == Environment::production;
}

// A rule and what is left of it.
struct Case {
  const Rules& rules;
  const Rule& rule;
  Clock::Wall now;
  EndpointSet allowed;  // Of which it is certain that no rule of the client denies them.

  const Conditions& limits() const { return rule.conditions; }
  const Client& client() const { return rules.clients()[rule.client]; }
};

EndpointSet left_of(const Rules& rules, const Rule& rule) {
  EndpointSet allowed = rule.allow;
  for (const std::uint32_t index : rules.clients()[rule.client].rules) {
    const Rule& other = rules.rules()[index];
    // Where a named key is none of production there is little to warn of.
    const bool whole =
        covers_all(other.key, rule.key) ||
        (other.key.name.value.empty() && of_production(other.key) && of_production(rule.key));
    if (whole) allowed &= ~other.deny;
  }
  return allowed;
}

using Fits = std::function<bool(const Endpoint& endpoint)>;

// "/v1/order/new, /v1/wrap/{symbol} and 3 more" of those that fit; empty where none does.
std::string listed(const EndpointSet& set, const Fits& fits) {
  constexpr std::size_t kMost = 2;
  std::string text;
  std::size_t count = 0;
  for (const Endpoint& endpoint : venue::endpoints()) {
    if (!set[endpoint_index(endpoint)] || !fits(endpoint) || ++count > kMost) continue;
    text.append(text.empty() ? "" : ", ").append(endpoint.path);
  }
  if (count > kMost) text += " and " + std::to_string(count - kMost) + " more";
  return text;
}

bool says(const Endpoint& endpoint, Fact fact) { return (facts_of(endpoint) & bit(fact)) != 0; }

bool bounds_amounts(const Conditions& limits) {
  return !limits.max_amount.empty() || limits.limits_notional() ||
         std::any_of(limits.windows.begin(), limits.windows.end(),
                     [](const WindowLimit& window) { return !window.max_amount.empty(); });
}

bool has(const std::optional<std::vector<std::string>>& list, std::string_view word) {
  return !list || std::find(list->begin(), list->end(), word) != list->end();
}

bool is_unlimited(const Conditions& limits) {
  return limits.needed() == 0 && !limits.accounts && !limits.hours && !limits.expires &&
         limits.windows.empty() && !limits.rate && !limits.approvals;
}

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

// Each of these gives the sentence of its finding, or nothing.

std::string trade_without_amount(const Case& at) {
  if (!of_production(at.rule.key) || bounds_amounts(at.limits()) || at.limits().approvals)
    return {};
  const std::string which =
      listed(at.allowed, [](const Endpoint& endpoint) { return endpoint.cls == Class::trade; });
  return which.empty() ? ""
                       : "allows any amount: max_amount, max_notional or a window of them "
                         "would bound " +
                             which;
}

std::string trade_without_price(const Case& at) {
  const Conditions& limits = at.limits();
  if (!of_production(at.rule.key) || limits.bounds_price() || limits.limits_notional() ||
      limits.approvals ||
      !(has(limits.order_types, "exchange limit") ||
        has(limits.order_types, "exchange stop limit") || has(limits.order_types, "limit") ||
        has(limits.order_types, "stop-limit")))
    return {};
  const std::string which =
      listed(at.allowed, [](const Endpoint& endpoint) { return says(endpoint, Fact::price); });
  return which.empty() ? ""
                       : "allows any price: min_price and max_price, price_band or "
                         "max_notional would bound " +
                             which;
}

std::string sell_without_floor(const Case& at) {
  const Conditions& limits = at.limits();
  if (!of_production(at.rule.key) || !limits.min_price.empty() || limits.reference_age ||
      limits.approvals || !limits.bounds_price() || !has(limits.sides, "sell"))
    return {};
  const std::string which =
      listed(at.allowed, [](const Endpoint& endpoint) { return says(endpoint, Fact::price); });
  return which.empty() ? ""
                       : "allows to sell for next to nothing: min_price or a reference would "
                         "bound sells by " +
                             which;
}

std::string withdrawal_without_addresses(const Case& at) {
  if (!of_production(at.rule.key) || at.limits().addresses) return {};
  const std::string which = listed(
      at.allowed, [](const Endpoint& endpoint) { return says(endpoint, Fact::destination); });
  return which.empty() ? ""
                       : "lets money go to any address that the exchange takes: name them in "
                         "addresses for " +
                             which;
}

std::string move_without_approvals(const Case& at) {
  if (!of_production(at.rule.key) || at.limits().approvals) return {};
  const std::string which = listed(at.allowed, [](const Endpoint& endpoint) {
    return endpoint.cls == Class::move || endpoint.cls == Class::widen ||
           endpoint.cls == Class::admin;
  });
  return which.empty() ? ""
                       : "lets one program alone do what cannot be taken back: approvals "
                         "would ask officers for " +
                             which;
}

std::string shadowed_by_deny(const Case& at) {
  if (at.rule.allow.none()) return {};
  EndpointSet left = at.rule.allow;
  std::string by;
  for (const std::uint32_t index : at.client().rules) {
    const Rule& other = at.rules.rules()[index];
    if (!covers_all(other.key, at.rule.key) || (left & other.deny).none()) continue;
    left &= ~other.deny;
    by.append(by.empty() ? "" : ", ").append(quoted(other.name));
  }
  return left.any() ? "" : "allows nothing: all that it names is denied by " + by;
}

std::string judges_itself(const Case& at) {
  if (!at.client().push_reference || !at.limits().reference_age) return {};
  return "judges client " + quoted(at.client().name.value) +
         " by prices that it may push itself (push_reference): give the feed a uid of its own";
}

// The others: of the same key, or also of the same client, as the window counts.
std::string window_evaded(const Case& at) {
  for (const Rule& other : at.rules.rules()) {
    if (&other == &at.rule || !covers_all(at.rule.key, other.key)) continue;
    const EndpointSet both = at.allowed & left_of(at.rules, other);
    const std::string which =
        listed(both, [](const Endpoint& endpoint) { return commits(endpoint.cls); });
    if (which.empty()) continue;
    for (const WindowLimit& window : other.conditions.windows) {
      const bool shared =
          window.by == By::key || (window.by == By::client && other.client == at.rule.client);
      const auto& own = at.limits().windows;
      if (!shared || std::any_of(own.begin(), own.end(), [&](const WindowLimit& one) {
            return one.by == window.by && one.per == window.per;
          }))
        continue;
      return "has no window of " + duration_text(window.per) + " by " +
             std::string{name(window.by)} + ", so that of rule " + quoted(other.name) +
             " neither counts nor holds its " + which;
    }
  }
  return {};
}

std::string limits_mean_nothing(const Case& at) {
  if (is_unlimited(at.limits())) return {};
  for (const std::uint32_t index : at.client().rules) {
    const Rule& other = at.rules.rules()[index];
    if (&other == &at.rule || !covers_all(other.key, at.rule.key) ||
        !is_unlimited(other.conditions))
      continue;
    const std::string which = listed(
        at.allowed & other.allow, [](const Endpoint& endpoint) { return commits(endpoint.cls); });
    if (!which.empty())
      return "limits what rule " + quoted(other.name) + " allows without any limit: " + which;
  }
  return {};
}

std::string refused_in_part(const Case& at) {
  const Facts needed = at.limits().needed();
  const std::string which = listed(at.allowed, [&](const Endpoint& endpoint) {
    return commits(endpoint.cls) && (needed & ~facts_of(endpoint)) != 0;
  });
  return which.empty() ? ""
                       : "names a class of which some say nothing of its limits, so they are "
                         "refused: " +
                             which;
}

std::string expired(const Case& at) {
  if (!at.limits().expires || at.now < *at.limits().expires) return {};
  return "allows nothing any more: it expired " + rfc3339(*at.limits().expires);
}

std::string open_counterparty(const Case& at) {
  if (!at.limits().open_counterparty) return {};
  return "lets whoever hears the id of a clearing order take it: counterparties would name who may";
}

struct Check {
  std::string_view name;
  Weight weight;
  std::string (*find)(const Case& at);
};
constexpr std::array kChecks{
    Check{"trade-without-amount", Weight::warning, trade_without_amount},
    Check{"trade-without-price", Weight::warning, trade_without_price},
    Check{"sell-without-floor", Weight::warning, sell_without_floor},
    Check{"withdrawal-without-addresses", Weight::warning, withdrawal_without_addresses},
    Check{"move-without-approvals", Weight::warning, move_without_approvals},
    Check{"shadowed-by-deny", Weight::warning, shadowed_by_deny},
    Check{"judges-itself", Weight::warning, judges_itself},
    Check{"window-evaded", Weight::warning, window_evaded},
    Check{"limits-mean-nothing", Weight::warning, limits_mean_nothing},
    Check{"expired", Weight::warning, expired},
    Check{"open-counterparty", Weight::warning, open_counterparty},
    Check{"refused-in-part", Weight::note, refused_in_part}};

}  // namespace

std::string_view name(Weight weight) { return weight == Weight::warning ? "warning" : "note"; }

std::vector<LintFinding> lint(const Rules& rules, Clock::Wall now) {
  std::vector<LintFinding> findings;
  for (const Rule& rule : rules.rules()) {
    const Case at{rules, rule, now, left_of(rules, rule)};
    for (const Check& check : kChecks) {
      std::string sentence = check.find(at);
      if (!sentence.empty())
        findings.push_back({check.name, check.weight, rule.where, rule.name, std::move(sentence)});
    }
  }
  return findings;
}

}  // namespace hsm::policy
