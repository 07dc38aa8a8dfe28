#include "hsm_signer/base/decimal.h"

#include <fmt/format.h>

#include <algorithm>

namespace hsm {
namespace {

constexpr std::size_t kMostDigits = 18;

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

tl::unexpected<Error> not_a_decimal() {
  return fail(Code::invalid_payload,
              "not a decimal of at most 18 digits before and after the point");
}

// Eighteen digits fit 64 bits.
std::optional<std::uint64_t> digits(std::string_view text) {
  if (text.empty() || text.size() > kMostDigits || !all_digits(text)) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) value = value * 10 + static_cast<unsigned>(c - '0');
  return value;
}

}  // namespace

std::optional<Decimal> Decimal::fitting(Uint128 units) {
  if (units >= kLimit) return std::nullopt;
  return Decimal{units};
}

Result<Decimal> Decimal::parse_plain(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = digits(text.substr(0, point));
  if (!whole) return not_a_decimal();
  if (point == std::string_view::npos) return Decimal{*whole * kOne};
  const std::string_view behind = text.substr(point + 1);
  auto fraction = digits(behind);
  if (!fraction) return not_a_decimal();
  for (std::size_t i = behind.size(); i < kMostDigits; ++i) *fraction *= 10;
  return Decimal{*whole * kOne + *fraction};
}

// This × 10^places where that is exact.
std::optional<Decimal> Decimal::shifted(int places) const {
  if (is_zero()) return *this;
  Uint128 units = units_;
  for (; places > 0; --places) {
    units *= 10;
    if (units >= kLimit) return std::nullopt;
  }
  for (; places < 0; ++places) {
    if (units % 10 != 0) return std::nullopt;
    units /= 10;
  }
  return Decimal{units};
}

Result<Decimal> Decimal::parse_number(std::string_view text) {
  const std::size_t mark = text.find_first_of("eE");
  if (mark == std::string_view::npos) return parse_plain(text);
  std::string_view exponent = text.substr(mark + 1);
  const bool negative = exponent.starts_with('-');
  if (negative || exponent.starts_with('+')) exponent.remove_prefix(1);
  if (exponent.size() > 2) return not_a_decimal();
  const auto places = digits(exponent);
  if (!places) return not_a_decimal();
  TRY(const Decimal significand, parse_plain(text.substr(0, mark)));
  const auto value = significand.shifted(static_cast<int>(*places) * (negative ? -1 : 1));
  if (!value) return not_a_decimal();
  return *value;
}

std::optional<Decimal> Decimal::plus(Decimal other) const { return fitting(units_ + other.units_); }

std::optional<Decimal> Decimal::minus(Decimal other) const {
  if (other > *this) return std::nullopt;
  return Decimal{units_ - other.units_};
}

// Multiplied as two digits of base 10^18 each, for the product has up to 240 bits. Every term below
// is under 10^36, so their sum is far from 2^128.
std::array<Uint128, 3> Decimal::product(Decimal a, Decimal b) {
  const Uint128 whole = a.units_ / kOne;
  const Uint128 part = a.units_ % kOne;
  const Uint128 other_whole = b.units_ / kOne;
  const Uint128 other_part = b.units_ % kOne;
  const Uint128 low = part * other_part;
  const Uint128 middle = whole * other_part + part * other_whole + low / kOne;
  return {whole * other_whole + middle / kOne, middle % kOne, low % kOne};
}

std::optional<Decimal> Decimal::times_up(Decimal other) const {
  const auto [high, middle, low] = product(*this, other);
  if (high >= kOne) return std::nullopt;
  return fitting(high * kOne + middle + (low == 0 ? 0U : 1U));
}

std::strong_ordering Decimal::compare_products(Decimal a, Decimal b, Decimal c, Decimal d) {
  return product(a, b) <=> product(c, d);
}

std::string Decimal::text() const {
  std::string text = fmt::format("{}.{:018}", static_cast<std::uint64_t>(units_ / kOne),
                                 static_cast<std::uint64_t>(units_ % kOne));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace hsm
