#include "tests/bench/statistics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace hsm::bench {
namespace {

std::vector<std::uint32_t> one_to(std::uint32_t last) {
  std::vector<std::uint32_t> values(last);
  std::iota(values.rbegin(), values.rend(), 1U);
  return values;
}

TEST(Percentile, IsTheSmallestValueThatSoManyDoNotExceed) {
  auto hundred = one_to(100);
  EXPECT_EQ(percentile(hundred, 50), 50);
  EXPECT_EQ(percentile(hundred, 99), 99);
  EXPECT_EQ(percentile(hundred, 100), 100);
  auto thousand = one_to(1000);
  EXPECT_EQ(percentile(thousand, 99), 990);
}

TEST(Percentile, OfFewValuesIsOneOfThem) {
  std::vector<std::uint32_t> one{7};
  EXPECT_EQ(percentile(one, 50), 7);
  EXPECT_EQ(percentile(one, 99), 7);
  std::vector<std::uint32_t> three{30, 10, 20};
  EXPECT_EQ(percentile(three, 50), 20);
  EXPECT_EQ(percentile(three, 99), 30);
}

TEST(Percentile, OfNothingIsNothing) {
  std::vector<std::uint32_t> none;
  EXPECT_EQ(percentile(none, 50), 0);
}

TEST(Samples, OfClientsAtTheSameTimeAddTheirRates) {
  Samples both{.latencies_ns = {1000}, .per_second = 10};
  both.join({.latencies_ns = {3000, 5000}, .per_second = 20});
  const Figures figures = figures_of(both);
  EXPECT_EQ(figures.samples, 3U);
  EXPECT_EQ(figures.per_second, 30);
  EXPECT_EQ(figures.p50_us, 3);
  EXPECT_EQ(figures.p99_us, 5);
}

TEST(Spread, HasTheMedianBetweenLeastAndMost) {
  const Spread odd = spread_of({5, 1, 9});
  EXPECT_EQ(odd.median, 5);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 9);
  EXPECT_EQ(spread_of({4, 2, 8, 6}).median, 5);
}

}  // namespace
}  // namespace hsm::bench
