#include "hsm_signer/policy/references.h"

#include "hsm_signer/policy/intent.h"

namespace hsm::policy {
namespace {

constexpr std::size_t kMostSymbols = 4'096;
constexpr std::size_t kLongestSymbol = 32;
constexpr std::chrono::seconds kMostAhead{5};

}  // namespace

Result<void> References::push(std::string_view symbol, Decimal price, Clock::Wall time,
                              const Now& now) {
  if (symbol.empty() || symbol.size() > kLongestSymbol)
    return fail(Code::invalid_payload, "a symbol has 1 to 32 characters");
  if (price.is_zero()) return fail(Code::invalid_payload, "a reference price of zero");
  if (time > now.wall + kMostAhead)
    return fail(Code::invalid_payload, "a reference price of the future",
                "more than 5 s ahead of this machine's clock");
  const std::string name = lower_case(symbol);
  const auto known = prices_.find(name);
  if (known == prices_.end() && prices_.size() >= kMostSymbols)
    return fail(Code::overloaded, "reference prices of 4096 symbols are kept, no more");
  // An older price that comes late would bring back what is over.
  if (known != prices_.end() && time <= known->second.time)
    return fail(Code::invalid_payload, "not later than the reference price before");
  prices_.insert_or_assign(name, Price{.value = price, .time = time, .came = now.steady});
  return {};
}

const Decimal* References::fresh(std::string_view symbol, std::chrono::seconds max_age,
                                 const Now& now) const {
  const auto known = prices_.find(symbol);
  if (known == prices_.end()) return nullptr;
  const Price& price = known->second;
  if (now.steady - price.came > max_age || now.wall - price.time > max_age) return nullptr;
  return &price.value;
}

}  // namespace hsm::policy
