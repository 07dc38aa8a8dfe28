// How much was allowed lately: the windows and rates of rules, as they fill and empty. Pure: the
// time is passed in. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/policy/rules.h"
#include "hsm_signer/policy/sliding_total.h"
#include "hsm_signer/policy/token_bucket.h"

namespace hsm::policy {

// Why a rule does not allow a request: the code of the answer, and when it is worth asking again.
struct Objection {
  Code code = Code::denied;
  std::uint32_t retry_after_ms = 0;
};

// What a request takes out of the windows of the rule that allows it.
struct Charge {
  std::string key;
  std::string asset;  // Empty where the request names no amount.
  Decimal amount;
  std::string currency;  // Empty where the rule limits no notional.
  Decimal notional;
  bool operator==(const Charge&) const = default;
};

// Windows of the same `by`, subject and `per` are one count, whichever rules have them: two rules
// that say "by key, 24h" share what the key may do in a day.
class Usage {
 public:
  // Whether `charge` still fits all windows and the rate of `rule`, `counts` saying whether windows
  // count it at all; with `why`, the sentence of what it does not fit.
  std::optional<Objection> check(const Rules& rules, const Rule& rule, const Charge& charge,
                                 bool counts, Clock::Wall now, Clock::Steady steady,
                                 std::string* why);
  void take(const Rules& rules, const Rule& rule, const Charge& charge, bool counts,
            Clock::Wall now, Clock::Steady steady);
  // Of what was taken at `at` and never came to a signature. Rates give nothing back.
  void give_back(const Rules& rules, const Rule& rule, const Charge& charge, Clock::Wall at);
  // What a record of the log says was allowed. Where the policy no longer has that rule, every
  // window that rules of this client share counts it: rather too much than too little.
  void replay(const Rules& rules, std::string_view rule, std::string_view client,
              const Charge& charge, Clock::Wall at);

  // Another policy takes over. Windows go on by what they count. A rate that is not as it was, or
  // that is gone, begins with a whole burst.
  void follow(const Rules& before, const Rules& after);

  std::size_t meters() const { return meters_.size(); }

 private:
  enum class Series : std::uint8_t { count, amount, notional };
  struct Meter {
    By by;
    Series series;
    std::int64_t per;
    std::string_view subject;
    std::string_view item;  // The asset or currency; empty for a count.
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  template <class Each>
  static void each_series(const Rules& rules, const Rule& rule, const WindowLimit& window,
                          const Charge& charge, const Each& each);
  SlidingTotal* find(const Meter& meter);
  SlidingTotal& make(const Meter& meter);
  bool has_room(const Rules& rules, const Rule& rule, const Charge& charge, Clock::Wall now);
  std::optional<Objection> check_window(const Rules& rules, const Rule& rule,
                                        const WindowLimit& window, const Charge& charge,
                                        Clock::Wall now, std::string* why);
  void forget_empty(Clock::Wall now);

  std::unordered_map<std::string, SlidingTotal, Hash, std::equal_to<>> meters_;
  std::unordered_map<std::string, TokenBucket, Hash, std::equal_to<>> buckets_;
  std::string name_;  // Of the meter that is looked for: kept to keep its memory.
};

}  // namespace hsm::policy
