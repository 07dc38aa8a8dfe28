#include "hsm_signer/sim/market.h"

#include <algorithm>
#include <array>

#include "hsm_signer/sim/text.h"

namespace hsm::sim {
namespace {

constexpr std::array kSymbols{
    Symbol{"btcusd", "BTC", "USD", Money::of(1, 5), Money::of(1, 8), Money::of(1, 2)},
    Symbol{"ethusd", "ETH", "USD", Money::of(1, 3), Money::of(1, 6), Money::of(1, 2)},
    Symbol{"ethbtc", "ETH", "BTC", Money::of(1, 3), Money::of(1, 6), Money::of(1, 5)},
    Symbol{"solusd", "SOL", "USD", Money::of(1, 2), Money::of(1, 6), Money::of(1, 3)},
};

constexpr std::array kCurrencies{
    Currency{"BTC", "Bitcoin", "bitcoin", Memo::never},
    Currency{"ETH", "Ether", "ethereum", Memo::never},
    // "Required for certain networks that use memos (e.g., Solana, XRP, Cosmos)", says the
    // documentation, and shows a withdrawal on Solana without.
    Currency{"SOL", "Solana", "solana", Memo::may},
    Currency{"USD", "Dollar", "", Memo::never},
    Currency{"XRP", "XRP", "xrpl", Memo::must},
};

struct Start {
  std::string_view currency;
  Money amount;
};
constexpr std::array kStart{Start{"BTC", Money::of(1'000)}, Start{"ETH", Money::of(20'000)},
                            Start{"SOL", Money::of(500'000)}, Start{"USD", Money::of(100'000'000)},
                            Start{"XRP", Money::of(1'000'000)}};

}  // namespace

std::span<const Symbol> symbols() { return kSymbols; }

const Symbol* find_symbol(std::string_view name) {
  const auto* found = std::find_if(kSymbols.begin(), kSymbols.end(),
                                   [&](const Symbol& symbol) { return symbol.name == name; });
  return found == kSymbols.end() ? nullptr : found;
}

const Currency* find_currency(std::string_view name) {
  const std::string text = upper(name);
  const auto* found = std::find_if(kCurrencies.begin(), kCurrencies.end(),
                                   [&](const Currency& currency) { return currency.name == text; });
  return found == kCurrencies.end() ? nullptr : found;
}

bool is_network(std::string_view name) {
  return !name.empty() &&
         std::any_of(kCurrencies.begin(), kCurrencies.end(),
                     [&](const Currency& currency) { return currency.network == name; });
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

void Wallet::spend(std::string_view currency, Money amount) {
  Balance& balance = balances_.find(currency)->second;
  balance.held = balance.held.minus(amount).value();
  balance.amount = balance.amount.minus(amount).value();
}

bool Wallet::take(std::string_view currency, Money amount) {
  const auto found = balances_.find(currency);
  if (found == balances_.end() || found->second.available() < amount) return false;
  found->second.amount = found->second.amount.minus(amount).value();
  return true;
}

bool Wallet::receive(std::string_view currency, Money amount) {
  const auto found = balances_.find(currency);
  if (found == balances_.end()) return false;
  const std::optional<Money> sum = found->second.amount.plus(amount);
  if (!sum) return false;
  found->second.amount = *sum;
  return true;
}

}  // namespace hsm::sim
