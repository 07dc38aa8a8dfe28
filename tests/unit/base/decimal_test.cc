#include "hsm_signer/base/decimal.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_is.h"

namespace hsm {
namespace {

using ::testing::HasSubstr;

std::string plain(std::string_view text) {
  const auto value = Decimal::parse_plain(text);
  return value ? value->text() : "refused";
}
std::string number(std::string_view text) {
  const auto value = Decimal::parse_number(text);
  return value ? value->text() : "refused";
}

const std::string k18Nines(18, '9');
const std::string k19Nines(19, '9');

TEST(Decimal, ReadsPlainFormsExactly) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"0", "0"},
      {"0.0", "0"},
      {"000000000000000000", "0"},
      {"0.000000000000000000", "0"},
      {"1", "1"},
      {"0.5", "0.5"},
      {"0.50", "0.5"},
      {"007", "7"},
      {"30000", "30000"},
      {"1000.00", "1000"},
      {"0.1", "0.1"},
      {"0.000000000000000001", "0.000000000000000001"},
      {"100000000000000000.000000000000000001", "100000000000000000.000000000000000001"},
      {k18Nines, k18Nines},
      {k18Nines + "." + k18Nines, k18Nines + "." + k18Nines},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(plain(text), expected) << text;
    EXPECT_EQ(number(text), expected) << text;
  }
}

TEST(Decimal, RefusesWhatIsNotPlain) {
  for (const std::string& text : {std::string{},
                                  std::string{"."},
                                  std::string{"1."},
                                  std::string{".5"},
                                  std::string{"-1"},
                                  std::string{"+1"},
                                  std::string{"-0"},
                                  std::string{" 1"},
                                  std::string{"1 "},
                                  std::string{"1,5"},
                                  std::string{"1.2.3"},
                                  std::string{"1e3"},
                                  std::string{"0x10"},
                                  std::string{"NaN"},
                                  std::string{"inf"},
                                  std::string{"1_000"},
                                  std::string{"\xD9\xA1"},
                                  std::string{"1\0", 2},
                                  k19Nines,
                                  "0" + k18Nines,
                                  "0." + k19Nines,
                                  "0." + std::string(19, '0')})
    EXPECT_THAT(Decimal::parse_plain(text), ErrorIs(Code::invalid_payload, HasSubstr("18 digits")))
        << text;
}

TEST(Decimal, ExpandsExponentsExactly) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"1e0", "1"},
      {"1E3", "1000"},
      {"1e+3", "1000"},
      {"1e03", "1000"},
      {"1.5e2", "150"},
      {"1.5e1", "15"},
      {"1.5e0", "1.5"},
      {"1e-7", "0.0000001"},
      {"12.5e-1", "1.25"},
      {"1e17", "100000000000000000"},
      {"9.99e17", "999000000000000000"},
      {"1e-18", "0.000000000000000001"},
      {"1000e-21", "0.000000000000000001"},
      {"100e-20", "0.000000000000000001"},
      {"0.001e20", "100000000000000000"},
      {"0e99", "0"},
      {"0.0e-99", "0"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(number(text), expected) << text;
}

TEST(Decimal, RefusesExponentsThatWouldRoundOrOverflow) {
  for (const char* text :
       {"1e18",  "10e17",  "1e99",  "1e-19", "15e-19", "1.1e-18", "0.000000000000000001e-1",
        "1e100", "1e-100", "1e007", "1e",    "1e+",    "1e-",     "1ee1",
        "1e1.5", "1e1e1",  "e1",    ".e1",   "1.e1",   "-1e1",    "1e 1",
        "0e100"})
    EXPECT_THAT(Decimal::parse_number(text), ErrorIs(Code::invalid_payload)) << text;
}

TEST(Decimal, OrdersByValueAndNotBySpelling) {
  const auto value = [](std::string_view text) { return *Decimal::parse_number(text); };
  EXPECT_EQ(value("1.50"), value("1.5"));
  EXPECT_EQ(value("15e-1"), value("1.5"));
  EXPECT_LT(value("2"), value("10"));
  EXPECT_LT(value("0.3"), value("0.30000000000000004"));  // Equal as doubles would be of 0.1 + 0.2.
  EXPECT_LT(value("999999999999999999"), value("999999999999999999.000000000000000001"));
  EXPECT_GT(value("0.1"), value("0.099999999999999999"));
}

TEST(Decimal, KnowsZero) {
  EXPECT_TRUE(Decimal{}.is_zero());
  EXPECT_TRUE(Decimal::parse_plain("0.000")->is_zero());
  EXPECT_FALSE(Decimal::parse_plain("0.000000000000000001")->is_zero());
  EXPECT_EQ(Decimal{}.text(), "0");
}

TEST(Decimal, ReadsItsOwnTextBack) {
  for (const char* text :
       {"0", "0.5", "123456789.000000001", "99999999999999999", "1e-18", "7.25e3"}) {
    const Decimal value = *Decimal::parse_number(text);
    EXPECT_EQ(*Decimal::parse_plain(value.text()), value) << text;
  }
}

}  // namespace
}  // namespace hsm
