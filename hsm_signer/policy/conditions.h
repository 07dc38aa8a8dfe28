// What a rule asks of a request beyond "may": limits, places, times. Data; judge.h decides with it
// and conditions_toml.h reads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/policy/hours.h"
#include "hsm_signer/policy/intent.h"

namespace hsm::policy {

// { btcusd = "2.5", ethusd = "40" }: by symbol, currency or ticker, in lower case. A few entries,
// so a search from the front.
class AmountTable {
 public:
  void add(std::string asset, Decimal amount) { entries_.emplace_back(std::move(asset), amount); }
  const Decimal* find(std::string_view asset) const {
    for (const auto& [known, amount] : entries_)
      if (known == asset) return &amount;
    return nullptr;
  }
  bool empty() const { return entries_.empty(); }
  const std::vector<std::pair<std::string, Decimal>>& entries() const { return entries_; }
  bool operator==(const AmountTable&) const = default;

 private:
  std::vector<std::pair<std::string, Decimal>> entries_;
};

// Whose doings a window counts: what this rule allowed, what any rule allowed to this client, with
// this key (to any client), or in this symbol or currency (to any client with any key).
enum class By : std::uint8_t { rule, client, key, symbol };
std::string_view name(By by);

// At most so much within any stretch of time of length `per`. What is not limited is empty.
struct WindowLimit {
  std::chrono::seconds per{};
  By by = By::rule;
  std::optional<std::uint64_t> max_count;
  AmountTable max_amount;
  AmountTable max_notional;
  bool operator==(const WindowLimit&) const = default;
};

// So many requests a second, and so many at once after a pause.
struct RateLimit {
  std::uint32_t per_second = 0;
  std::uint32_t burst = 0;
  bool operator==(const RateLimit&) const = default;
};

// Officers who must state that they want this request, and how long the whole affair may take.
struct Approvals {
  std::string group;
  std::uint32_t need = 0;
  std::chrono::seconds within{};
  bool operator==(const Approvals&) const = default;
};

// What is absent is not limited, but for what says otherwise. `trade` below: whatever commits
// (intent.h).
struct Conditions {
  std::optional<std::vector<std::string>> symbols;      // Lower case.
  std::optional<std::vector<std::string>> sides;        // "buy", "sell"
  std::optional<std::vector<std::string>> order_types;  // As the endpoint spells them.
  std::optional<std::vector<std::string>> options;      // Those an order may have.
  AmountTable max_amount, min_amount;                   // By symbol or currency.
  AmountTable min_price, max_price;                     // By symbol.
  std::optional<Decimal> price_band;                    // Per cent of the reference price.
  std::optional<std::chrono::seconds> reference_age;    // The oldest reference that counts.
  AmountTable max_notional;                             // By currency.
  std::optional<std::vector<Destination>> addresses;
  std::vector<std::pair<std::string, std::string>> networks;  // v1: currency → network.
  std::optional<std::vector<std::string>> accounts;
  std::optional<std::vector<std::string>> counterparties;
  bool open_counterparty = false;  // A clearing order may be for anybody who knows its id.
  std::optional<Hours> hours;
  std::optional<Clock::Wall> expires;
  std::vector<WindowLimit> windows;
  std::optional<RateLimit> rate;
  std::vector<std::string> extra_members;
  std::optional<Approvals> approvals;

  bool operator==(const Conditions&) const = default;
  // What an endpoint has to say for this to be judged there.
  Facts needed() const;
  bool limits_notional() const;
  bool bounds_price() const { return !min_price.empty() || !max_price.empty() || price_band; }
};

}  // namespace hsm::policy
