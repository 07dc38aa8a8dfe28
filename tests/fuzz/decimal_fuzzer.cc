// Decimals under any bytes: read, written and computed with as Boost.Multiprecision's unlimited
// integers do.
#include <boost/multiprecision/cpp_int.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/decimal.h"
#include "tests/fuzz/demand.h"

namespace hsm {
namespace {

using boost::multiprecision::cpp_int;
using fuzz::demand;

cpp_int power_of_ten(unsigned exponent) {
  return boost::multiprecision::pow(cpp_int{10}, exponent);
}
const cpp_int kOne = power_of_ten(Decimal::kScale);
const cpp_int kLimit = kOne * kOne;

// The longest run of digits that `text` begins with, taken off it.
std::string_view take_digits(std::string_view& text) {
  const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view run = text.substr(0, count);
  text.remove_prefix(count);
  return run;
}
bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

// value × 10^18 by the grammar of the header, one rule after the other; nothing: refused.
std::optional<cpp_int> second_reading(std::string_view text, bool exponents) {
  const std::string_view whole = take_digits(text);
  std::string_view fraction = "0";
  if (take(text, ".")) fraction = take_digits(text);
  if (whole.empty() || whole.size() > 18 || fraction.empty() || fraction.size() > 18)
    return std::nullopt;
  cpp_int value = 0;
  for (char c : whole) value = value * 10 + (c - '0');
  for (char c : fraction) value = value * 10 + (c - '0');
  unsigned up = 18;
  auto down = static_cast<unsigned>(fraction.size());
  if (exponents && take(text, "eE")) {
    const bool negative = !text.empty() && text.front() == '-';
    take(text, "+-");
    const std::string_view places = take_digits(text);
    if (places.empty() || places.size() > 2) return std::nullopt;
    (negative ? down : up) += static_cast<unsigned>(std::stoul(std::string{places}));
  }
  if (!text.empty()) return std::nullopt;
  value *= power_of_ten(up);
  const cpp_int divisor = power_of_ten(down);
  if (value % divisor != 0 || value / divisor >= kLimit) return std::nullopt;
  return value / divisor;
}

// A Decimal through its text alone.
cpp_int units_of(Decimal value) {
  const auto read = second_reading(value.text(), false);
  demand(read.has_value(), "text() is plain");
  return *read;
}

void is_shortest(const std::string& text) {
  demand(text.size() < 2 || text[0] != '0' || text[1] == '.', "text() has no leading zero");
  demand(text.find('.') == text.npos || text.back() != '0', "text() has no trailing zero");
}

std::optional<Decimal> reads_as(const Result<Decimal>& ours, const std::optional<cpp_int>& theirs) {
  demand(ours.has_value() == theirs.has_value(), "both readings take the same");
  if (!ours) {
    demand(ours.error().code == Code::invalid_payload, "a client's mistake");
    fuzz::demand_sentence(ours.error());
    return std::nullopt;
  }
  const std::string text = ours->text();
  is_shortest(text);
  demand(units_of(*ours) == *theirs, "both readings give the same value");
  demand(Decimal::parse_plain(text).value() == *ours, "text() is read back");
  demand(ours->is_zero() == (*theirs == 0), "zero is zero");
  return *ours;
}

std::optional<Decimal> checked(std::string_view text) {
  const auto plain = reads_as(Decimal::parse_plain(text), second_reading(text, false));
  const auto number = reads_as(Decimal::parse_number(text), second_reading(text, true));
  demand(!plain || plain == number, "what is plain is a number");
  return number;
}

void is(const std::optional<Decimal>& ours, const cpp_int& theirs, const char* property) {
  const bool fits = theirs >= 0 && theirs < kLimit;
  demand(ours.has_value() == fits && (!fits || units_of(*ours) == theirs), property);
}

void computes(Decimal a, Decimal b) {
  const cpp_int x = units_of(a);
  const cpp_int y = units_of(b);
  is(a.plus(b), x + y, "plus() is exact or nothing");
  is(a.minus(b), x - y, "minus() is exact or nothing");
  is(a.times_up(b), (x * y + kOne - 1) / kOne, "times_up() is the product rounded up, or nothing");
  demand((a < b) == (x < y) && (a == b) == (x == y), "ordered by value");
}

// Two numbers, one a line; a single one meets itself and the largest.
void check(std::string_view text) {
  const std::size_t end = text.find('\n');
  const auto a = checked(text.substr(0, end));
  const auto b = end == text.npos ? a : checked(text.substr(end + 1));
  if (!a || !b) return;
  computes(*a, *b);
  computes(*b, *a);
  computes(*a, Decimal::largest());
}

}  // namespace
}  // namespace hsm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::check(hsm::fuzz::text_of(data, size));
  return 0;
}
