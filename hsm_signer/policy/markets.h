// What a symbol is made of: "btcusd" is btc paid in usd. The exchange joins the two without a sign
// between.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hsm::policy {

class Markets {
 public:
  // Where the ending misleads ("stgusd" is stg in usd, not st in gusd). False: known already.
  bool add(std::string symbol, std::string quote) {
    return quotes_.emplace(std::move(symbol), std::move(quote)).second;
  }
  // The currency that a symbol (lower case) is paid in: as added, else by its ending, the longest
  // of the exchange's quote currencies; a perpetual's "perp" is none. Empty: unknown.
  std::string_view quote_of(std::string_view symbol) const;
  const std::map<std::string, std::string, std::less<>>& added() const { return quotes_; }

 private:
  std::map<std::string, std::string, std::less<>> quotes_;
};

}  // namespace hsm::policy
