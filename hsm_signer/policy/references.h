// Reference prices: what a market is worth by the word of a feed, for bands and notional.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::policy {

class References {
 public:
  // Both clocks, read together: a reference ages by whichever makes it older, so that neither a
  // clock that was set back nor a feed that stamps ahead keeps a price alive.
  struct Now {
    Clock::Wall wall{};
    Clock::Steady steady{};
  };

  // `time`: when the price was so, by the feed. invalid_payload: a symbol out of form, a price of
  // zero, a time more than 5 s ahead, or not later than that of the price before; overloaded: more
  // than 4,096 symbols.
  Result<void> push(std::string_view symbol, Decimal price, Clock::Wall time, const Now& now);
  // Null where there is none, or none that is at most `max_age` old. `symbol` in lower case.
  const Decimal* fresh(std::string_view symbol, std::chrono::seconds max_age, const Now& now) const;

 private:
  struct Price {
    Decimal value;
    Clock::Wall time{};
    Clock::Steady came{};
  };
  std::map<std::string, Price, std::less<>> prices_;
};

}  // namespace hsm::policy
