// The same sums, differences and products by python3's fractions.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "tests/support/python3.h"

namespace hsm {
namespace {

constexpr std::size_t kPairs = 20'000;

constexpr const char* kProgram = R"(
import math, sys
from fractions import Fraction
ONE = 10 ** 18
def plain(units):
    if not 0 <= units < ONE * ONE: return 'nothing'
    text = '%d.%018d' % divmod(units, ONE)
    return text.rstrip('0').rstrip('.')
for line in sys.stdin:
    a, b = (Fraction(x) for x in line.split())
    print(plain(math.ceil((a + b) * ONE)), plain(math.ceil((a - b) * ONE)), plain(math.ceil(a * b * ONE)))
)";

// Digits of every length, with runs of 0 and 9 at either end: where carries and limits are.
class Numbers {
 public:
  std::string next() {
    std::string text = digits(1 + random_() % 18);
    if (random_() % 3 != 0) text.append(".").append(digits(1 + random_() % 18));
    return text;
  }

 private:
  std::string digits(std::size_t count) {
    std::string text(count, random_() % 2 == 0 ? '0' : '9');
    const std::size_t from = random_() % (count + 1);
    const std::size_t to = from + random_() % (count + 1 - from);
    for (std::size_t i = from; i < to; ++i) text[i] = static_cast<char>('0' + random_() % 10);
    return text;
  }
  std::mt19937 random_{20261129};
};

std::string text_of(const std::optional<Decimal>& result) {
  return result ? result->text() : "nothing";
}

TEST(DecimalDifferential, SumsDifferencesAndProductsAreThoseOfFractions) {
  Numbers numbers;
  std::vector<std::string> questions;
  std::vector<std::string> ours;
  for (std::size_t i = 0; i < kPairs; ++i) {
    const std::string a = numbers.next();
    const std::string b = i % 10 == 0 ? a : numbers.next();
    const Decimal x = Decimal::parse_plain(a).value();
    const Decimal y = Decimal::parse_plain(b).value();
    questions.push_back(a + " " + b);
    ours.push_back(text_of(x.plus(y)) + " " + text_of(x.minus(y)) + " " + text_of(x.times_up(y)));
  }
  const auto theirs = python3(kProgram, questions);
  ASSERT_EQ(theirs.size(), questions.size()) << "python3 did not finish";
  std::size_t differences = 0;
  std::size_t products = 0;
  for (std::size_t i = 0; i < kPairs; ++i) {
    products += ours[i].ends_with("nothing") ? 0 : 1;
    if (ours[i] != theirs[i] && ++differences <= 10)
      ADD_FAILURE() << questions[i] << ": " << ours[i] << " here, by python3 " << theirs[i];
  }
  EXPECT_EQ(differences, 0U);
  EXPECT_GT(products, kPairs / 4) << "too few products fit";
  EXPECT_LT(products, kPairs * 3 / 4) << "too few products do not fit";
}

}  // namespace
}  // namespace hsm
