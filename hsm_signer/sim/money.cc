#include "hsm_signer/sim/money.h"

#include <boost/multiprecision/cpp_int.hpp>

namespace hsm::sim {
namespace {

using Wide = boost::multiprecision::uint256_t;

constexpr Uint128 kOne = 1'000'000'000'000'000'000U;
constexpr Uint128 kMost = ~Uint128{0};

std::string digits(Uint128 value) {
  std::string text;
  for (; value != 0; value /= 10)
    text.insert(0, 1, static_cast<char>('0' + static_cast<int>(value % 10)));
  return text.empty() ? "0" : text;
}

}  // namespace

std::optional<Money> Money::parse(std::string_view text) {
  const Result<Decimal> decimal = Decimal::parse_number(text);
  if (!decimal) return {};
  const std::string plain = decimal->text();
  const std::size_t point = plain.find('.');
  std::string all = plain.substr(0, point);
  const std::string fraction = point == std::string::npos ? "" : plain.substr(point + 1);
  all.append(fraction).append(Decimal::kScale - fraction.size(), '0');
  Uint128 units = 0;
  for (char c : all) units = units * 10 + static_cast<unsigned>(c - '0');
  return Money{units};
}

std::optional<Money> Money::plus(Money other) const {
  if (other.units_ > kMost - units_) return {};
  return Money{units_ + other.units_};
}

std::optional<Money> Money::minus(Money other) const {
  if (other.units_ > units_) return {};
  return Money{units_ - other.units_};
}

std::optional<Money> Money::times(Money other) const {
  const Wide product = (Wide{units_} * Wide{other.units_} + Wide{kOne - 1}) / Wide{kOne};
  if (product > Wide{kMost}) return {};
  return Money{static_cast<Uint128>(product)};
}

std::string Money::text() const {
  const std::string whole = digits(units_ / kOne);
  std::string fraction = digits(units_ % kOne);
  fraction.insert(0, Decimal::kScale - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return fraction.empty() ? whole : whole + "." + fraction;
}

}  // namespace hsm::sim
