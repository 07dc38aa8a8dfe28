// The small market that the simulator knows: symbols, currencies, networks, what an account starts
// with.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "hsm_signer/sim/money.h"

namespace hsm::sim {

struct Symbol {
  std::string_view name;   // "btcusd"
  std::string_view base;   // "BTC"
  std::string_view quote;  // "USD"
  Money least;             // Smallest order, in base.
  Money lot;               // Quantities are multiples of it, in base.
  Money tick;              // Prices are multiples of it, in quote.
};

std::span<const Symbol> symbols();
const Symbol* find_symbol(std::string_view name);  // Null where there is none; lower case only.

// Whether a withdrawal names a memo (destination tag) beside the address.
enum class Memo : std::uint8_t { never, may, must };

struct Currency {
  std::string_view name;     // "BTC"
  std::string_view title;    // "Bitcoin", as transfers show it.
  std::string_view network;  // "bitcoin"; empty for money that no network carries.
  Memo memo;
};

const Currency* find_currency(std::string_view name);  // In any case: clients write btc and BTC.
bool is_network(std::string_view name);                // Lower case only.

struct Balance {
  Money amount;
  Money held;  // By live orders; never above `amount`.
  Money available() const { return amount.minus(held).value_or(Money{}); }
};

// One account's money. Every account starts with the same balances (docs/gemini-sim.md).
class Wallet {
 public:
  Wallet();
  // False, and nothing changed, where less is available.
  bool hold(std::string_view currency, Money amount);
  void release(std::string_view currency, Money amount);
  // What was held goes away for good. At most what is held.
  void spend(std::string_view currency, Money amount);
  // Takes what is available; false, and nothing changed, where that is less.
  bool take(std::string_view currency, Money amount);
  // False, and nothing changed, where the sum would be more than Money holds.
  bool receive(std::string_view currency, Money amount);
  const std::map<std::string, Balance, std::less<>>& balances() const { return balances_; }

 private:
  std::map<std::string, Balance, std::less<>> balances_;
};

}  // namespace hsm::sim
