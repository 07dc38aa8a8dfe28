#include "hsm_signer/policy/token_bucket.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/fake_clock.h"

namespace hsm::policy {
namespace {

using namespace std::chrono_literals;

// How many are let through at one instant.
int burst(TokenBucket& bucket, const Clock& clock) {
  int taken = 0;
  for (; taken < 5'000 && !bucket.retry_after_ms(clock.steady()); ++taken)
    bucket.take(clock.steady());
  return taken;
}

TEST(TokenBucket, AllowsABurstAndThenTheRate) {
  FakeClock clock;
  TokenBucket bucket{20, 5};
  EXPECT_EQ(burst(bucket, clock), 5);
  clock.advance(49'999'999ns);
  EXPECT_EQ(burst(bucket, clock), 0);
  clock.advance(1ns);
  EXPECT_EQ(burst(bucket, clock), 1);
  clock.advance(100ms);
  EXPECT_EQ(burst(bucket, clock), 2);
  clock.advance(10h);
  EXPECT_EQ(burst(bucket, clock), 5);
}

TEST(TokenBucket, SaysWhenToComeBack) {
  FakeClock clock;
  TokenBucket bucket{4, 1};
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), std::nullopt);
  bucket.take(clock.steady());
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), 250U);
  clock.advance(249ms);
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), 1U);
  clock.advance(999'999ns);
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), 1U) << "never 0 where it refuses";
  clock.advance(1ns);
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), std::nullopt);
}

TEST(TokenBucket, GivesBackWhatWasNotUsedAndNeverMoreThanItsBurst) {
  FakeClock clock;
  TokenBucket bucket{10, 3};
  ASSERT_EQ(burst(bucket, clock), 3);
  bucket.give_back();
  EXPECT_EQ(burst(bucket, clock), 1);
  clock.advance(1h);
  for (int i = 0; i < 100; ++i) bucket.give_back();
  EXPECT_EQ(burst(bucket, clock), 3);
}

TEST(TokenBucket, TakesAlsoWhereThereIsNone) {
  FakeClock clock;
  TokenBucket bucket{10, 1};
  bucket.take(clock.steady());
  bucket.take(clock.steady());
  EXPECT_EQ(bucket.retry_after_ms(clock.steady()), 200U);
}

TEST(TokenBucket, RoundsItsStepUp) {
  FakeClock clock;
  TokenBucket bucket{600'000'000, 1};  // One each 1.67 ns.
  bucket.take(clock.steady());
  clock.advance(1ns);
  EXPECT_EQ(burst(bucket, clock), 0);
  clock.advance(1ns);
  EXPECT_EQ(burst(bucket, clock), 1);
}

TEST(TokenBucket, StandsTheLargestAndTheSmallest) {
  FakeClock clock;
  TokenBucket slow{1, 4'294'967'295};
  EXPECT_EQ(burst(slow, clock), 5'000);
  TokenBucket fast{1'000'000'000, 1};
  EXPECT_EQ(burst(fast, clock), 1);
  clock.advance(1ns);
  EXPECT_EQ(burst(fast, clock), 1);
}

TEST(TokenBucket, LetsThroughNeverMoreThanBurstAndRateInAnyStretch) {
  std::mt19937 random{5};
  for (const auto& [per_second, most] :
       {std::pair{7U, 3U}, std::pair{1U, 1U}, std::pair{50U, 50U}, std::pair{999U, 10U}}) {
    FakeClock clock;
    TokenBucket bucket{per_second, most};
    std::vector<Clock::Steady> taken;
    for (int i = 0; i < 3'000; ++i) {
      clock.advance(std::chrono::nanoseconds{random() % (2'000'000'000U / per_second)});
      if (bucket.retry_after_ms(clock.steady())) continue;
      bucket.take(clock.steady());
      taken.push_back(clock.steady());
    }
    ASSERT_GT(taken.size(), 1'000U);
    for (std::size_t i = 0; i < taken.size(); ++i) {
      for (std::size_t j = i; j < std::min(taken.size(), i + 200); ++j) {
        const auto stretch = static_cast<double>((taken[j] - taken[i]).count()) * 1e-9;
        ASSERT_LE(static_cast<double>(j - i + 1), most + stretch * per_second + 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace hsm::policy
