#include "hsm_signer/policy/judge.h"

#include <algorithm>
#include <array>

#include "hsm_signer/base/duration.h"

namespace hsm::policy {
namespace {

// A rule and a request, and what the conditions find out on their way.
struct Case {
  const Scene& scene;
  const Rule& rule;
  const Ask& ask;
  Charge& charge;
  std::string* why;  // Null: nobody reads it.

  const Conditions& limits() const { return rule.conditions; }
  const Intent& intent() const { return ask.intent; }
  bool commits() const { return policy::commits(ask.payload.endpoint().cls); }
  bool cancels() const { return ask.payload.endpoint().cls == venue::Class::cancel; }
  References::Now now() const { return {scene.now, scene.steady}; }
  // Of the asset (a symbol); null where the rule uses none or it is too old.
  const Decimal* reference(std::string_view symbol) const {
    if (!limits().reference_age || scene.references == nullptr) return nullptr;
    return scene.references->fresh(symbol, *limits().reference_age, now());
  }
};

using Objected = std::optional<Objection>;
const Objected kHolds = std::nullopt;

template <class... Parts>
Objected refuse(const Case& at, const Parts&... parts) {
  if (at.why != nullptr) {
    at.why->clear();
    (at.why->append(parts), ...);
  }
  return Objection{};
}

// A word of the request, for people: only what cannot disturb a log or a terminal, and no more of
// it than a symbol or an account has.
std::string tame(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string out{text.substr(0, kMost)};
  std::replace_if(
      out.begin(), out.end(),
      [](char c) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return !plain && c != '_' && c != '-' && c != '.' && c != ' ';
      },
      '?');
  return '"' + out + '"';
}

template <class List>
bool lists(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Objected members(const Case& at) {
  const std::string_view unknown = at.ask.payload.unknown_member(at.limits().extra_members);
  if (unknown.empty()) return kHolds;
  return refuse(at, "does not allow the member ", tame(unknown), ", which ",
                at.ask.payload.endpoint().path, " does not know");
}

// What limits something that this endpoint does not say cannot allow it.
Objected facts(const Case& at) {
  const auto missing = at.rule.needed & ~at.intent().facts;
  if (missing == 0) return kHolds;
  return refuse(at, "limits the ", name(lowest(missing)), ", which ",
                at.ask.payload.endpoint().path, " does not say");
}

Objected symbols(const Case& at) {
  const auto& allowed = at.limits().symbols;
  if (!allowed || lists(*allowed, at.intent().asset)) return kHolds;
  return refuse(at, "does not allow the symbol ", tame(at.intent().asset));
}

Objected sides(const Case& at) {
  const auto& allowed = at.limits().sides;
  if (!allowed || lists(*allowed, at.intent().side)) return kHolds;
  return refuse(at, "does not allow the side ", tame(at.intent().side));
}

Objected order_types(const Case& at) {
  const auto& allowed = at.limits().order_types;
  if (!allowed || lists(*allowed, at.intent().type)) return kHolds;
  return refuse(at, "does not allow the order type ", tame(at.intent().type));
}

Objected options(const Case& at) {
  const auto& allowed = at.limits().options;
  if (!allowed) return kHolds;
  const auto other = at.ask.payload.text_besides("options", *allowed);
  if (!other) return kHolds;
  return refuse(at, "does not allow the option ", tame(*other));
}

// Whether `value` lies between the entries of `asset`. A table that does not name the asset allows
// nothing of it.
Objected within(const Case& at, std::string_view noun, const std::optional<Decimal>& value,
                const AmountTable& least, const AmountTable& most) {
  const std::string& asset = at.intent().asset;
  for (const bool upper : {false, true}) {
    const AmountTable& table = upper ? most : least;
    const std::string_view prefix = upper ? "max_" : "min_";
    if (table.empty()) continue;
    if (!value) return refuse(at, "limits the ", noun, ", and the request names none");
    const Decimal* bound = table.find(asset);
    if (bound == nullptr) return refuse(at, "names no ", prefix, noun, " of ", tame(asset));
    if (upper ? *value <= *bound : *value >= *bound) continue;
    return refuse(at, "allows ", asset, upper ? " at most " : " at least ", bound->text(), " (",
                  prefix, noun, "), this is ", value->text());
  }
  return kHolds;
}

Objected amounts(const Case& at) {
  if (!at.intent().says(Fact::amount)) return kHolds;
  return within(at, "amount", at.intent().amount, at.limits().min_amount, at.limits().max_amount);
}

Objected prices(const Case& at) {
  if (!at.limits().bounds_price()) return kHolds;
  if (at.intent().pricing == Pricing::market)
    return refuse(at, "bounds the price, and a market order has none");
  if (at.intent().pricing != Pricing::limit)
    return refuse(at, "bounds the price, and of this order none is known");
  return within(at, "price", at.intent().price, at.limits().min_price, at.limits().max_price);
}

// |price − reference| × 100 ≤ reference × band, exactly.
Objected band(const Case& at) {
  if (!at.limits().price_band) return kHolds;
  const Decimal* reference = at.reference(at.intent().asset);
  if (reference == nullptr)
    return refuse(at, "needs a reference price of ", tame(at.intent().asset), " no older than ",
                  duration_text(*at.limits().reference_age));
  const Decimal price = *at.intent().price;
  const Decimal off = price > *reference ? *price.minus(*reference) : *reference->minus(price);
  static const Decimal kHundred = *Decimal::parse_plain("100");
  if (Decimal::compare_products(off, kHundred, *reference, *at.limits().price_band) <= 0)
    return kHolds;
  return refuse(at, "allows ", at.intent().asset, " within ", at.limits().price_band->text(),
                "% of the reference ", reference->text(), ", this is ", price.text());
}

// The price at which an order is counted. Sells at what the market would give, as far as that is
// known; the policy has bounded those of which it is not (check_honest_sells).
std::optional<Decimal> counted_price(const Case& at) {
  const Decimal* reference = at.reference(at.intent().asset);
  if (at.intent().pricing == Pricing::market)
    return reference == nullptr ? std::nullopt : std::optional{*reference};
  if (at.intent().pricing != Pricing::limit) return std::nullopt;
  const Decimal price = *at.intent().price;
  if (at.intent().side == "buy") return price;
  if (at.intent().side != "sell") return std::nullopt;
  if (reference != nullptr) return std::max(price, *reference);
  const bool bounded = !at.limits().min_price.empty() &&
                       std::any_of(at.limits().windows.begin(), at.limits().windows.end(),
                                   [](const WindowLimit& w) { return !w.max_amount.empty(); });
  return bounded ? std::optional{price} : std::nullopt;
}

Objected no_reference(const Case& at, std::string_view symbol) {
  const std::string_view side = at.intent().side;
  if (at.intent().pricing == Pricing::limit && side != "buy" && side != "sell")
    return refuse(at, "limits notional, and the side of this order is neither buy nor sell");
  if (!at.limits().reference_age)
    return refuse(at, "limits notional and has no reference price to count this order with");
  return refuse(at, "needs a reference price of ", tame(symbol), " no older than ",
                duration_text(*at.limits().reference_age));
}

// In the currency that the order is paid in.
Objected order_notional(const Case& at) {
  const std::string& symbol = at.intent().asset;
  const std::string_view quote = at.scene.rules.markets().quote_of(symbol);
  if (quote.empty())
    return refuse(at, "limits notional, and what ", tame(symbol),
                  " is paid in is not known: name it in a [[market]]");
  const std::optional<Decimal> price = counted_price(at);
  if (!price) return no_reference(at, symbol);
  const std::optional<Decimal> notional = at.intent().amount->times_up(*price);
  if (!notional) return refuse(at, "limits notional, and that of this order is beyond counting");
  at.charge.currency = quote;
  at.charge.notional = *notional;
  return kHolds;
}

// In a currency that the rule names: the transfer's own, or the first for which there is a price.
Objected transfer_notional(const Case& at) {
  std::vector<std::string_view> named;
  const auto collect = [&](const AmountTable& table) {
    for (const auto& entry : table.entries()) named.push_back(entry.first);
  };
  collect(at.limits().max_notional);
  for (const WindowLimit& window : at.limits().windows) collect(window.max_notional);
  const std::string& asset = at.intent().asset;
  if (lists(named, asset)) {
    at.charge.currency = asset;
    at.charge.notional = *at.intent().amount;
    return kHolds;
  }
  for (const std::string_view currency : named) {
    const Decimal* reference = at.reference(asset + std::string{currency});
    if (reference == nullptr) continue;
    const std::optional<Decimal> notional = at.intent().amount->times_up(*reference);
    if (!notional) return refuse(at, "limits notional, and that of this is beyond counting");
    at.charge.currency = currency;
    at.charge.notional = *notional;
    return kHolds;
  }
  return no_reference(at, asset + std::string{named.front()});
}

bool counts_amounts(const Conditions& limits) {
  return limits.limits_notional() ||
         std::any_of(limits.windows.begin(), limits.windows.end(), [](const WindowLimit& window) {
           return !window.max_amount.empty() || window.by == By::symbol;
         });
}

Objected notional(const Case& at) {
  const Intent& intent = at.intent();
  if (counts_amounts(at.limits()) && (!intent.amount || intent.asset.empty()))
    return refuse(at, "counts amounts, and the request does not say how much of what");
  at.charge.asset = intent.asset;
  at.charge.amount = intent.amount.value_or(Decimal{});
  if (!at.limits().limits_notional()) return kHolds;
  const Objected counted =
      at.intent().pricing == Pricing::none ? transfer_notional(at) : order_notional(at);
  if (counted || at.limits().max_notional.empty()) return counted;
  const Decimal* most = at.limits().max_notional.find(at.charge.currency);
  if (most == nullptr) return refuse(at, "names no max_notional of ", tame(at.charge.currency));
  if (at.charge.notional <= *most) return kHolds;
  return refuse(at, "allows at most ", most->text(), " ", at.charge.currency,
                " (max_notional), this is ", at.charge.notional.text());
}

Objected addresses(const Case& at) {
  const auto& allowed = at.limits().addresses;
  if (!allowed) return kHolds;
  std::optional<Destination> to = destination_of(at.ask.payload);
  if (!to) return refuse(at, "allows addresses, and the request names none, or a bank account");
  if (to->network.empty()) {
    const auto& networks = at.limits().networks;
    const auto known = std::find_if(networks.begin(), networks.end(),
                                    [&](const auto& one) { return one.first == to->ticker; });
    if (known == networks.end())
      return refuse(at, "does not say which network ", at.ask.payload.endpoint().path,
                    " means for ", tame(to->ticker), " (networks)");
    to->network = known->second;
  }
  if (std::find(allowed->begin(), allowed->end(), *to) != allowed->end()) return kHolds;
  return refuse(at, "does not allow that address for ", tame(to->ticker), " on ", tame(to->network),
                to->memo ? " with that memo" : " without a memo");
}

// Both ends of a transfer have to be named: what the exchange takes for one that is not, no rule
// has looked at.
Objected accounts(const Case& at) {
  const auto& allowed = at.limits().accounts;
  if (!allowed) return kHolds;
  for (const std::string_view member : {"account", "sourceAccount", "targetAccount"}) {
    if (!at.ask.payload.member(member)) {
      if (!at.ask.payload.endpoint().requires_member(member)) continue;
      return refuse(at, "allows accounts, and the request names no ", member);
    }
    const auto account = text_member(at.ask.payload, member);
    if (!account || !lists(*allowed, *account)) return refuse(at, "does not allow that ", member);
  }
  return kHolds;
}

// A clearing order without a counterparty can be taken by whoever hears its id.
Objected counterparties(const Case& at) {
  if (!at.intent().says(Fact::counterparty) || at.limits().open_counterparty) return kHolds;
  const auto& allowed = at.limits().counterparties;
  bool named = false;
  for (const std::string_view member :
       {"counterparty_id", "source_counterparty_id", "target_counterparty_id"}) {
    if (!at.ask.payload.member(member)) continue;
    named = true;
    const auto party = text_member(at.ask.payload, member);
    if (!party || party->empty() || (allowed && !lists(*allowed, *party)))
      return refuse(at, "does not allow that ", member);
  }
  if (named) return kHolds;
  return refuse(at, "does not allow an order that names no counterparty (open_counterparty)");
}

// A cancel passes at any hour: what was placed in time must be possible to take back.
Objected hours(const Case& at) {
  if (!at.limits().hours || at.cancels() || at.limits().hours->open_at(at.scene.now)) return kHolds;
  return refuse(at, "allows this only ", at.limits().hours->text());
}

Objected expires(const Case& at) {
  if (!at.limits().expires || at.scene.now < *at.limits().expires) return kHolds;
  return refuse(at, "expired ", rfc3339(*at.limits().expires));
}

Objected windows(const Case& at) {
  if (at.scene.usage == nullptr || at.cancels()) return kHolds;
  return at.scene.usage->check(at.scene.rules, at.rule, at.charge, at.commits(), at.scene.counted,
                               at.scene.steady, at.why);
}

Objected approvals(const Case& at) {
  const auto& asked = at.limits().approvals;
  if (!asked || at.scene.approved_rule == at.rule.name) return kHolds;
  Objected objection = refuse(at, "needs ", std::to_string(asked->need), " approvals of the group ",
                              tame(asked->group));
  objection->code = Code::approval_required;
  return objection;
}

// Cheap and telling first; `notional` fills the charge that `windows` counts. What limits a
// commitment has nothing to say to a read, a cancel or a heartbeat.
struct Condition {
  Objected (*object)(const Case& at);
  bool of_commitments;
};
constexpr std::array kConditions{
    Condition{expires, false},       Condition{facts, true},       Condition{symbols, true},
    Condition{sides, true},          Condition{order_types, true}, Condition{options, true},
    Condition{members, true},        Condition{accounts, false},   Condition{amounts, true},
    Condition{prices, true},         Condition{band, true},        Condition{addresses, true},
    Condition{counterparties, true}, Condition{hours, false},      Condition{notional, true},
    Condition{windows, false},       Condition{approvals, true}};

}  // namespace

std::optional<Objection> object(const Scene& scene, const Rule& rule, const Ask& ask,
                                Charge& charge, std::string* why) {
  charge.asset.clear();
  charge.currency.clear();
  charge.amount = charge.notional = Decimal{};
  const Case at{scene, rule, ask, charge, why};
  const bool committing = at.commits();
  for (const Condition& condition : kConditions) {
    if (condition.of_commitments && !committing) continue;
    if (Objected objection = condition.object(at)) return objection;
  }
  return std::nullopt;
}

}  // namespace hsm::policy
