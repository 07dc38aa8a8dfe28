#include "hsm_signer/base/decimal.h"

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

// The digits of a number as if the point stood behind `point` of them.
struct Digits {
  std::string all;
  int point;
};

Result<Uint128> to_units(Digits digits) {
  // Zeros at either end carry no value.
  while (!digits.all.empty() && static_cast<int>(digits.all.size()) > digits.point &&
         digits.all.back() == '0')
    digits.all.pop_back();
  const std::size_t zeros = std::min(digits.all.find_first_not_of('0'), digits.all.size());
  digits.all.erase(0, zeros);
  digits.point -= static_cast<int>(zeros);
  if (digits.all.empty()) return Uint128{0};
  const int fraction = static_cast<int>(digits.all.size()) - digits.point;
  if (digits.point > static_cast<int>(kMostDigits) || fraction > static_cast<int>(kMostDigits))
    return not_a_decimal();
  Uint128 units = 0;
  for (char c : digits.all) units = units * 10 + static_cast<unsigned>(c - '0');
  for (int i = fraction; i < Decimal::kScale; ++i) units *= 10;
  return units;
}

}  // namespace

Result<Decimal> Decimal::parse_plain(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (whole.empty() || whole.size() > kMostDigits || !all_digits(whole)) return not_a_decimal();
  std::string_view fraction;
  if (point != std::string_view::npos) {
    fraction = text.substr(point + 1);
    if (fraction.empty() || fraction.size() > kMostDigits || !all_digits(fraction))
      return not_a_decimal();
  }
  TRY(const Uint128 units,
      to_units({std::string{whole}.append(fraction), static_cast<int>(whole.size())}));
  return Decimal{units};
}

Result<Decimal> Decimal::parse_number(std::string_view text) {
  const std::size_t mark = text.find_first_of("eE");
  if (mark == std::string_view::npos) return parse_plain(text);
  std::string_view exponent = text.substr(mark + 1);
  const bool negative = exponent.starts_with('-');
  if (negative || exponent.starts_with('+')) exponent.remove_prefix(1);
  if (exponent.empty() || exponent.size() > 2 || !all_digits(exponent)) return not_a_decimal();
  int shift = 0;
  for (char c : exponent) shift = shift * 10 + (c - '0');

  const std::string_view significand = text.substr(0, mark);
  TRY_VOID(parse_plain(significand));
  const std::size_t point = significand.find('.');
  Digits digits{std::string{significand.substr(0, point)}, 0};
  digits.point = static_cast<int>(digits.all.size()) + (negative ? -shift : shift);
  if (point != std::string_view::npos) digits.all.append(significand.substr(point + 1));
  TRY(const Uint128 units, to_units(std::move(digits)));
  return Decimal{units};
}

std::string Decimal::text() const {
  std::string digits;
  for (Uint128 rest = units_; rest != 0; rest /= 10)
    digits.insert(0, 1, static_cast<char>('0' + static_cast<int>(rest % 10)));
  if (digits.size() <= kScale) digits.insert(0, kScale + 1 - digits.size(), '0');
  digits.insert(digits.size() - kScale, 1, '.');
  while (digits.back() == '0') digits.pop_back();
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

}  // namespace hsm
