#include "tests/bench/report.h"

#include <gmock/gmock.h>

namespace hsm::bench {
namespace {

using ::testing::HasSubstr;

Row row(const char* contender, Load load, std::vector<Figures> rounds) {
  return {.contender = contender, .load = load, .rounds = std::move(rounds)};
}

Figures figures(double p50, double rate) {
  return {.p50_us = p50, .p99_us = 2 * p50, .per_second = rate, .samples = 1000};
}

// The machine was half as fast in the second round.
Report report() {
  return {.machine = {},
          .seconds = 1,
          .rows = {row(kP11Kit, {1, 1}, {figures(100, 10'000), figures(200, 5'000)}),
                   row(kP11Kit, {2, 2}, {figures(110, 18'000), figures(220, 9'000)}),
                   row(kP11Kit, {4, 1}, {figures(300, 12'000), figures(600, 6'000)}),
                   row(kFloor, {64, 2}, {figures(700, 90'000), figures(1'400, 45'000)}),
                   row(kSignerOs, {1, 1}, {figures(70, 14'000), figures(140, 7'000)}),
                   row(kSignerOs, {64, 1}, {figures(2'000, 27'000), figures(4'000, 13'500)}),
                   row(kSignerOs, {64, 2}, {figures(1'400, 45'000), figures(2'800, 22'500)})}};
}

TEST(Report, TakesRatiosWithinARoundSoThatASlowMachineDoesNotShow) {
  const Report all = report();
  const Spread p50 =
      ratio(find_row(all, kSignerOs, {1, 1}), find_row(all, kP11Kit, {1, 1}), &Figures::p50_us);
  EXPECT_DOUBLE_EQ(p50.least, 0.7);
  EXPECT_DOUBLE_EQ(p50.most, 0.7);
}

TEST(Report, ComparesRatesWithTheBestThatP11KitReaches) {
  const Report all = report();
  EXPECT_EQ(best_of_p11_kit(all), find_row(all, kP11Kit, {2, 2}));
  EXPECT_EQ(best_of_p11_kit(all, Clients::one), find_row(all, kP11Kit, {4, 1}));
}

TEST(Report, SaysWhichAimsAreMet) {
  const std::vector<Aim> all = aims(report());
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(all[0].met());
  EXPECT_DOUBLE_EQ(all[1].measured.median, 2.25) << all[1].what;
  EXPECT_TRUE(all[1].met());
  EXPECT_DOUBLE_EQ(all[3].measured.median, 1.5) << all[3].what;
  EXPECT_FALSE(all[3].met());
  EXPECT_DOUBLE_EQ(all[4].measured.median, 2.5) << all[4].what;
  EXPECT_TRUE(all[4].met());
}

TEST(Report, HasNoAimsWithoutBothSides) {
  Report alone = report();
  std::erase_if(alone.rows, [](const Row& one) { return one.contender == kP11Kit; });
  EXPECT_TRUE(aims(alone).empty());
  EXPECT_EQ(best_of_p11_kit(alone), nullptr);
  EXPECT_EQ(ratio(&alone.rows[0], nullptr, &Figures::p50_us).median, 0);
}

TEST(Report, TableAndJsonHaveTheMediansAndTheSpread) {
  EXPECT_THAT(as_table(report()), HasSubstr(" 150.0     100.0…200.0 "));
  EXPECT_THAT(as_json(report()), HasSubstr(R"("met":true)"));
}

}  // namespace
}  // namespace hsm::bench
