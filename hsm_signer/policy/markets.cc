#include "hsm_signer/policy/markets.h"

#include <array>

namespace hsm::policy {
namespace {

// Longest first.
constexpr std::array<std::string_view, 14> kQuotes{"rlusd", "gusd", "usdc", "usdt", "usd",
                                                   "eur",   "gbp",  "sgd",  "dai",  "btc",
                                                   "eth",   "bch",  "ltc",  "fil"};
constexpr std::string_view kPerpetual = "perp";

}  // namespace

std::string_view Markets::quote_of(std::string_view symbol) const {
  const auto known = quotes_.find(symbol);
  if (known != quotes_.end()) return known->second;
  if (symbol.ends_with(kPerpetual)) symbol.remove_suffix(kPerpetual.size());
  for (const std::string_view quote : kQuotes) {
    if (symbol.size() > quote.size() && symbol.ends_with(quote))
      return symbol.substr(symbol.size() - quote.size());
  }
  return {};
}

}  // namespace hsm::policy
