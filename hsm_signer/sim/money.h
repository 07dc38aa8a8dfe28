// Exact amounts and what is computed with them: base/decimal.h holds values, the exchange has to
// add them up.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/decimal.h"

namespace hsm::sim {

// A non-negative value in steps of 10^-18, below 3.4 × 10^20.
class Money {
 public:
  constexpr Money() = default;
  explicit constexpr Money(Uint128 units) : units_{units} {}
  // `whole` × 10^-`places`, for constants.
  static constexpr Money of(unsigned whole, int places = 0) {
    Uint128 units = whole;
    for (int i = places; i < Decimal::kScale; ++i) units *= 10;
    return Money{units};
  }
  // What Decimal::parse_number() takes.
  static std::optional<Money> parse(std::string_view text);

  std::optional<Money> plus(Money other) const;   // None on overflow.
  std::optional<Money> minus(Money other) const;  // None below zero.
  std::optional<Money> times(Money other) const;  // Rounded up: what is owed is never held short.
  bool is_multiple_of(Money step) const { return units_ % step.units_ == 0; }
  bool is_zero() const { return units_ == 0; }
  std::string text() const;  // "0.5", "30000".
  auto operator<=>(const Money&) const = default;

 private:
  Uint128 units_ = 0;
};

}  // namespace hsm::sim
