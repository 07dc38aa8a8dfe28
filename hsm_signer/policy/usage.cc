#include "hsm_signer/policy/usage.h"

#include <algorithm>
#include <limits>

#include "hsm_signer/base/duration.h"

namespace hsm::policy {
namespace {

// A meter has some 1.2 kB. A client that is limited by symbol and may name any symbol would
// otherwise fill the memory.
constexpr std::size_t kMostMeters = 16'384;
const Decimal kOne = *Decimal::parse_plain("1");

Decimal from_count(std::uint64_t count) {
  return *Decimal::parse_plain(std::to_string(count));  // At most 10^9 by conditions_toml.
}

std::uint32_t milliseconds_until(Clock::Wall then, Clock::Wall now) {
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(then - now).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(wait, 1, std::numeric_limits<std::uint32_t>::max()));
}

std::string_view subject_of(const Rules& rules, const Rule& rule, const WindowLimit& window,
                            const Charge& charge) {
  switch (window.by) {
    case By::rule:
      return rule.name;
    case By::client:
      return rules.clients()[rule.client].name.value;
    case By::key:
      return charge.key;
    case By::symbol:
      return charge.asset;
  }
  return {};
}

std::string described(const WindowLimit& window) {
  std::string text = "in " + duration_text(window.per);
  if (window.by != By::rule) text.append(" by ").append(name(window.by));
  return text;
}

void tell(std::string* why, std::string sentence) {
  if (why != nullptr) *why = std::move(sentence);
}

}  // namespace

// Calls `each` with every meter that the charge counts in, what it adds there, and the most that
// the window lets the total be: null where it limits nothing of that kind.
template <class Each>
void Usage::each_series(const Rules& rules, const Rule& rule, const WindowLimit& window,
                        const Charge& charge, const Each& each) {
  Meter meter{.by = window.by,
              .series = Series::count,
              .per = window.per.count(),
              .subject = subject_of(rules, rule, window, charge),
              .item = {}};
  each(meter, kOne);
  if (!charge.asset.empty()) {
    meter.series = Series::amount;
    meter.item = charge.asset;
    each(meter, charge.amount);
  }
  if (!charge.currency.empty()) {
    meter.series = Series::notional;
    meter.item = charge.currency;
    each(meter, charge.notional);
  }
}

// The parts cannot run into each other: subjects and items are names, and a rule's name, which may
// hold anything printable, is not followed by more text than the rest of the fixed form.
SlidingTotal* Usage::find(const Meter& meter) {
  name_.clear();
  name_.append(name(meter.by)).append(1, '\n').append(meter.subject).append(1, '\n');
  name_.append(std::to_string(meter.per)).append(1, '\n');
  name_.append(1, static_cast<char>('0' + static_cast<int>(meter.series))).append(meter.item);
  const auto found = meters_.find(std::string_view{name_});
  return found == meters_.end() ? nullptr : &found->second;
}

SlidingTotal& Usage::make(const Meter& meter) {
  if (SlidingTotal* known = find(meter)) return *known;
  return meters_.emplace(name_, SlidingTotal{std::chrono::seconds{meter.per}}).first->second;
}

std::optional<Objection> Usage::check_window(const Rules& rules, const Rule& rule,
                                             const WindowLimit& window, const Charge& charge,
                                             Clock::Wall now, std::string* why) {
  std::optional<Objection> objection;
  each_series(rules, rule, window, charge, [&](const Meter& meter, Decimal adds) {
    if (objection) return;
    const bool counts = meter.series == Series::count;
    if (counts && !window.max_count) return;
    const AmountTable& table =
        meter.series == Series::amount ? window.max_amount : window.max_notional;
    if (!counts && table.empty()) return;
    const Decimal* named = counts ? nullptr : table.find(meter.item);
    if (!counts && named == nullptr) {
      objection = Objection{};
      return tell(why,
                  "names no " +
                      std::string{meter.series == Series::amount ? "max_amount" : "max_notional"} +
                      " of " + std::string{meter.item} + " " + described(window));
    }
    const Decimal most = counts ? from_count(*window.max_count) : *named;
    SlidingTotal* total = find(meter);
    const std::optional<Decimal> after = total == nullptr ? adds : total->total(now).plus(adds);
    if (after && *after <= most) return;
    objection = Objection{.code = Code::rate_limited};
    const std::optional<Decimal> room = most.minus(adds);
    // What never fits is no matter of waiting.
    if (!room) objection->code = Code::denied;
    if (room && total != nullptr)
      objection->retry_after_ms = milliseconds_until(total->falls_to(now, *room), now);
    const std::string_view what = counts                           ? "requests"
                                  : meter.series == Series::amount ? "amount of "
                                                                   : "notional in ";
    tell(why, "allows at most " + most.text() + " " + described(window) + " (" + std::string{what} +
                  std::string{meter.item} + ")");
  });
  return objection;
}

bool Usage::has_room(const Rules& rules, const Rule& rule, const Charge& charge, Clock::Wall now) {
  std::size_t fresh = 0;
  for (const WindowLimit& window : rule.conditions.windows)
    each_series(rules, rule, window, charge,
                [&](const Meter& meter, Decimal) { fresh += find(meter) == nullptr ? 1U : 0U; });
  if (meters_.size() + fresh <= kMostMeters) return true;
  forget_empty(now);
  return meters_.size() + fresh <= kMostMeters;
}

void Usage::forget_empty(Clock::Wall now) {
  // Not std::erase_if, which shows its entries as const: a total moves on with time.
  for (auto entry = meters_.begin(); entry != meters_.end();)
    entry = entry->second.total(now).is_zero() ? meters_.erase(entry) : std::next(entry);
}

std::optional<Objection> Usage::check(const Rules& rules, const Rule& rule, const Charge& charge,
                                      bool counts, Clock::Wall now, Clock::Steady steady,
                                      std::string* why) {
  if (counts) {
    for (const WindowLimit& window : rule.conditions.windows)
      if (auto objection = check_window(rules, rule, window, charge, now, why)) return objection;
    if (!rule.conditions.windows.empty() && !has_room(rules, rule, charge, now)) {
      tell(why, "has windows by symbol, and too many symbols are in them");
      return Objection{.code = Code::overloaded};
    }
  }
  if (!rule.conditions.rate) return std::nullopt;
  const auto bucket = buckets_.find(std::string_view{rule.name});
  if (bucket == buckets_.end()) return std::nullopt;
  const std::optional<std::uint32_t> wait = bucket->second.retry_after_ms(steady);
  if (!wait) return std::nullopt;
  tell(why, "allows " + std::to_string(rule.conditions.rate->per_second) + " requests a second");
  return Objection{.code = Code::rate_limited, .retry_after_ms = *wait};
}

void Usage::take(const Rules& rules, const Rule& rule, const Charge& charge, bool counts,
                 Clock::Wall now, Clock::Steady steady) {
  if (counts) {
    for (const WindowLimit& window : rule.conditions.windows)
      each_series(rules, rule, window, charge,
                  [&](const Meter& meter, Decimal adds) { make(meter).add(now, adds); });
  }
  if (const auto& rate = rule.conditions.rate) {
    const auto bucket =
        buckets_.try_emplace(rule.name, TokenBucket{rate->per_second, rate->burst}).first;
    bucket->second.take(steady);
  }
}

void Usage::follow(const Rules& before, const Rules& after) {
  for (const Rule& rule : before.rules()) {
    const auto stays =
        std::find_if(after.rules().begin(), after.rules().end(), [&](const Rule& one) {
          return one.name == rule.name && one.conditions.rate == rule.conditions.rate;
        });
    if (stays == after.rules().end()) buckets_.erase(rule.name);
  }
}

void Usage::give_back(const Rules& rules, const Rule& rule, const Charge& charge, Clock::Wall at) {
  for (const WindowLimit& window : rule.conditions.windows)
    each_series(rules, rule, window, charge, [&](const Meter& meter, Decimal adds) {
      if (SlidingTotal* total = find(meter)) total->take_back(at, adds);
    });
}

void Usage::replay(const Rules& rules, std::string_view rule, std::string_view client,
                   const Charge& charge, Clock::Wall at) {
  const auto count_in = [&](const Rule& one, const WindowLimit& window) {
    each_series(rules, one, window, charge,
                [&](const Meter& meter, Decimal adds) { make(meter).add(at, adds); });
  };
  for (const Rule& one : rules.rules()) {
    if (one.name != rule || rules.clients()[one.client].name.value != client) continue;
    for (const WindowLimit& window : one.conditions.windows) count_in(one, window);
    return;
  }
  std::vector<std::pair<By, std::chrono::seconds>> counted;
  for (const Rule& one : rules.rules()) {
    if (rules.clients()[one.client].name.value != client) continue;
    for (const WindowLimit& window : one.conditions.windows) {
      const std::pair shared{window.by, window.per};
      if (window.by == By::rule ||
          std::find(counted.begin(), counted.end(), shared) != counted.end())
        continue;
      counted.push_back(shared);
      count_in(one, window);
    }
  }
}

}  // namespace hsm::policy
