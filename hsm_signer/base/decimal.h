// Exact non-negative decimals: prices, amounts, nonces. Never a double.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm {

__extension__ typedef unsigned __int128 Uint128;

// An exact value with up to 18 digits before and 18 after the point, held as value × 10^18.
class Decimal {
 public:
  static constexpr int kScale = 18;
  constexpr Decimal() = default;
  // 999999999999999999.999999999999999999
  static constexpr Decimal largest() { return Decimal{kLimit - 1}; }

  // [0-9]{1,18}(\.[0-9]{1,18})?
  static Result<Decimal> parse_plain(std::string_view text);
  // A JSON number (RFC 8259 section 6) without a minus sign: as above, or with an exponent of at
  // most two digits, expanded exactly. Refuses what does not fit 18 + 18 digits: nothing is
  // rounded.
  static Result<Decimal> parse_number(std::string_view text);

  // Exact; nothing where the sum does not fit 18 + 18 digits.
  std::optional<Decimal> plus(Decimal other) const;
  // Exact; nothing where the difference would be negative.
  std::optional<Decimal> minus(Decimal other) const;
  // The exact product, rounded up to 18 digits after the point: what is compared with a limit is
  // never too small. Nothing where it does not fit.
  std::optional<Decimal> times_up(Decimal other) const;
  // a × b against c × d, exactly: for shares of a price, which need not fit 18 + 18 digits.
  static std::strong_ordering compare_products(Decimal a, Decimal b, Decimal c, Decimal d);

  // Shortest plain form: no exponent, no trailing zeros ("0.5", "30000").
  std::string text() const;
  constexpr bool is_zero() const { return units_ == 0; }
  auto operator<=>(const Decimal&) const = default;

 private:
  static constexpr Uint128 kOne = 1'000'000'000'000'000'000;
  static constexpr Uint128 kLimit = kOne * kOne;

  explicit constexpr Decimal(Uint128 units) : units_{units} {}
  static std::optional<Decimal> fitting(Uint128 units);
  std::optional<Decimal> shifted(int places) const;
  // The product × 10^36 in digits of base 10^18, the highest first; the first may have two.
  static std::array<Uint128, 3> product(Decimal a, Decimal b);

  Uint128 units_ = 0;  // Under kLimit.
};

}  // namespace hsm
