#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

#include "hsm_signer/base/decimal.h"

namespace hsm {
namespace {

const std::string kUnit = "0.000000000000000001";
const std::string kMostWhole(18, '9');
const std::string kLargest = kMostWhole + "." + kMostWhole;

Decimal value(std::string_view text) { return Decimal::parse_plain(text).value(); }
std::string text_of(const std::optional<Decimal>& result) {
  return result ? result->text() : "nothing";
}

using Row = std::array<std::string, 3>;

TEST(Decimal, AddsExactlyAndRefusesWhatDoesNotFit) {
  for (const auto& [a, b, sum] : std::vector<Row>{
           {"0", "0", "0"},
           {"0.1", "0.2", "0.3"},
           {"1", kUnit, "1.000000000000000001"},
           {"0.999999999999999999", kUnit, "1"},
           {"999999999999999998", "1", kMostWhole},
           {kMostWhole, "0.999999999999999999", kLargest},
           {kLargest, "0", kLargest},
           {kLargest, kUnit, "nothing"},
           {kMostWhole, "1", "nothing"},
           {"500000000000000000", "500000000000000000", "nothing"},
           {"500000000000000000", "499999999999999999.999999999999999999", kLargest},
           {kLargest, kLargest, "nothing"},
       }) {
    EXPECT_EQ(text_of(value(a).plus(value(b))), sum) << a << " + " << b;
    EXPECT_EQ(text_of(value(b).plus(value(a))), sum) << b << " + " << a;
  }
}

TEST(Decimal, SubtractsExactlyAndNeverBelowZero) {
  for (const auto& [a, b, difference] : std::vector<Row>{
           {"0", "0", "0"},
           {"0.3", "0.1", "0.2"},
           {"1", kUnit, "0.999999999999999999"},
           {"1", "1", "0"},
           {kLargest, kLargest, "0"},
           {kLargest, "0", kLargest},
           {"0", kUnit, "nothing"},
           {"1", "1.000000000000000001", "nothing"},
           {"999999999999999998", kMostWhole, "nothing"},
           {"0", kLargest, "nothing"},
       })
    EXPECT_EQ(text_of(value(a).minus(value(b))), difference) << a << " - " << b;
}

TEST(Decimal, MultipliesAndRoundsUpWhatIsBehindTheEighteenthDigit) {
  for (const auto& [a, b, product] : std::vector<Row>{
           {"0", kLargest, "0"},
           {"1", kLargest, kLargest},
           {"0.1", "0.2", "0.02"},
           {"61234.56", "2.5", "153086.4"},
           {kUnit, kUnit, kUnit},  // 10^-36: rounded down it would cost nothing.
           {kUnit, "1", kUnit},
           {kUnit, "0.999999999999999999", kUnit},
           {kUnit, "1.000000000000000001", "0.000000000000000002"},
           {"0.000000001", "0.000000001", kUnit},
           {"0.0000000001", "0.00000001", kUnit},
           {"0.0000000001", "0.000000001", kUnit},
           {"0.333333333333333333", "3", "0.999999999999999999"},
           {"0.999999999999999999", "0.999999999999999999", "0.999999999999999999"},
           {"1.000000000000000001", "1.000000000000000001", "1.000000000000000003"},
       }) {
    EXPECT_EQ(text_of(value(a).times_up(value(b))), product) << a << " x " << b;
    EXPECT_EQ(text_of(value(b).times_up(value(a))), product) << b << " x " << a;
  }
}

TEST(Decimal, RefusesAProductThatDoesNotFit) {
  for (const auto& [a, b, product] : std::vector<Row>{
           {"1000000000", "1000000000", "nothing"},
           {"1000000000", "999999999", "999999999000000000"},
           {"1000000000", "999999999.999999999", kMostWhole},
           {"1000000000", "999999999.999999999999999999", "999999999999999999.999999999"},
           // 10^36 - 10^-18 units: fits before it is rounded up, and not after.
           {"999999999.999999999999999999", "1000000000.000000000000000001", "nothing"},
           {kLargest, "1.000000000000000001", "nothing"},
           {kLargest, "0.999999999999999999", kMostWhole},
           {kLargest, "2", "nothing"},
           {kLargest, kLargest, "nothing"},
           {kMostWhole, kMostWhole, "nothing"},
           {"900000000000000", "20000000000000000", "nothing"},  // Modulo 2^128 it would fit.
           {"500000000000000000", "2", "nothing"},
           {"499999999999999999.5", "2", kMostWhole},
       }) {
    EXPECT_EQ(text_of(value(a).times_up(value(b))), product) << a << " x " << b;
    EXPECT_EQ(text_of(value(b).times_up(value(a))), product) << b << " x " << a;
  }
}

TEST(Decimal, KnowsTheLargest) {
  EXPECT_EQ(Decimal::largest().text(), kLargest);
  EXPECT_EQ(Decimal::largest(), value(kLargest));
  EXPECT_GT(Decimal::largest(), value("999999999999999999.999999999999999998"));
}

TEST(DecimalProducts, CompareExactlyBeyondWhatADecimalHolds) {
  const auto compare = [](const char* a, const char* b, const char* c, const char* d) {
    return Decimal::compare_products(*Decimal::parse_plain(a), *Decimal::parse_plain(b),
                                     *Decimal::parse_plain(c), *Decimal::parse_plain(d));
  };
  EXPECT_TRUE(compare("2", "3", "6", "1") == 0);
  EXPECT_TRUE(compare("0", "3", "0", "999999999999999999") == 0);
  EXPECT_TRUE(compare("0.000000000000000001", "0.000000000000000001", "0", "1") > 0);
  EXPECT_TRUE(compare("0.000000000000000001", "0.000000000000000003", "0.000000000000000002",
                      "0.000000000000000002") < 0);
  EXPECT_TRUE(compare("999999999999999999", "999999999999999999", "999999999999999998",
                      "999999999999999999.999999999999999999") > 0);
  EXPECT_TRUE(compare("999999999999999999.999999999999999999",
                      "999999999999999999.999999999999999999",
                      "999999999999999999.999999999999999999",
                      "999999999999999999.999999999999999999") == 0);
}

}  // namespace
}  // namespace hsm
