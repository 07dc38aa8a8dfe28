#include "hsm_signer/sim/market.h"

#include <algorithm>
#include <array>

namespace hsm::sim {
namespace {

constexpr std::array kSymbols{
    Symbol{"btcusd", "BTC", "USD", Money::of(1, 5), Money::of(1, 8), Money::of(1, 2)},
    Symbol{"ethusd", "ETH", "USD", Money::of(1, 3), Money::of(1, 6), Money::of(1, 2)},
    Symbol{"ethbtc", "ETH", "BTC", Money::of(1, 3), Money::of(1, 6), Money::of(1, 5)},
    Symbol{"solusd", "SOL", "USD", Money::of(1, 2), Money::of(1, 6), Money::of(1, 3)},
};

struct Start {
  std::string_view currency;
  Money amount;
};
constexpr std::array kStart{Start{"BTC", Money::of(1'000)}, Start{"ETH", Money::of(20'000)},
                            Start{"SOL", Money::of(500'000)}, Start{"USD", Money::of(100'000'000)}};

}  // namespace

std::span<const Symbol> symbols() { return kSymbols; }

const Symbol* find_symbol(std::string_view name) {
  const auto* found = std::find_if(kSymbols.begin(), kSymbols.end(),
                                   [&](const Symbol& symbol) { return symbol.name == name; });
  return found == kSymbols.end() ? nullptr : found;
}

Wallet::Wallet() {
  for (const Start& start : kStart) balances_[std::string{start.currency}].amount = start.amount;
}

bool Wallet::hold(std::string_view currency, Money amount) {
  const auto found = balances_.find(currency);
  if (found == balances_.end() || found->second.available() < amount) return false;
  found->second.held = found->second.held.plus(amount).value();  // At most `amount` of the balance.
  return true;
}

void Wallet::release(std::string_view currency, Money amount) {
  Balance& balance = balances_.find(currency)->second;
  balance.held = balance.held.minus(amount).value();
}

}  // namespace hsm::sim
