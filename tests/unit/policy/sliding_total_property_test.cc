// Against a model that keeps every amount with its time.
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <random>

#include "hsm_signer/policy/sliding_total.h"

namespace hsm::policy {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

struct Amount {
  Clock::Wall dated;
  Decimal value;
};

class World {
 public:
  World(nanoseconds per, std::uint32_t seed) : per_{per}, total_{per}, random_{seed} {}

  std::int64_t roll(std::int64_t sides) {
    return std::uniform_int_distribution<std::int64_t>{0, sides - 1}(random_);
  }
  nanoseconds upto(nanoseconds most) { return nanoseconds{roll(most.count() + 1)}; }
  // Half the edge cases are at the edges of parts.
  void advance(nanoseconds by) {
    const nanoseconds width = per_ / 64;
    if (roll(2) == 0 && by > width) {
      const auto into = (now_ + by).time_since_epoch() % width;
      by -= into + nanoseconds{roll(3) - 1};
    }
    now_ += std::max(by, 0ns);
  }

  void act() {
    const auto dice = roll(10);
    if (dice < 6) return add();
    if (dice < 8) return take_back();
  }
  void check_exact() {
    const Decimal total = total_.total(now_);
    const nanoseconds most = per_ + per_ / 64;
    EXPECT_GE(total, sum([this](const Amount& a) { return a.dated >= now_ - per_; }));
    EXPECT_LE(total, sum([&](const Amount& a) { return a.dated > now_ - most; }));
  }

  void check_falls_to() {
    const Decimal most = Decimal::parse_number(std::to_string(roll(5'000'000)) + "e-6").value();
    const Clock::Wall falls = total_.falls_to(now_, most);
    ASSERT_GE(falls, now_);
    SlidingTotal then = total_;
    EXPECT_LE(then.total(falls), most);
    if (falls == now_) return;
    SlidingTotal before = total_;
    EXPECT_GT(before.total(falls - 1ns), most);
  }

 private:
  template <class Predicate>
  Decimal sum(Predicate predicate) const {
    Decimal sum;
    for (const Amount& amount : amounts_)
      if (predicate(amount)) sum = sum.plus(amount.value).value();
    return sum;
  }
  void add() {
    const Decimal value =
        Decimal::parse_number(std::to_string(1 + roll(1'000'000)) + "e-6").value();
    total_.add(now_, value);
    amounts_.push_back({now_, value});
    if (amounts_.size() > 300) amounts_.pop_front();
  }
  void take_back() {
    if (amounts_.empty()) return;
    const auto i = amounts_.size() - 1 -
                   static_cast<std::size_t>(
                       roll(std::min<std::int64_t>(3, static_cast<std::int64_t>(amounts_.size()))));
    total_.take_back(amounts_[i].dated, amounts_[i].value);
    amounts_.erase(amounts_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  nanoseconds per_;
  SlidingTotal total_;
  std::mt19937 random_;
  Clock::Wall now_{1'800'000'000s};
  std::deque<Amount> amounts_;
};

constexpr nanoseconds kPeriods[] = {1s, 7s, 60s, 1h, 24h, 31 * 24h};

TEST(SlidingTotalProperty, IsNeitherLessThanTheWindowNorMoreThanOnePartBeyondIt) {
  for (const nanoseconds per : kPeriods) {
    World world{per, static_cast<std::uint32_t>(per.count() % 1'000'003)};
    for (int i = 0; i < 8'000 && !::testing::Test::HasFailure(); ++i) {
      const auto dice = world.roll(40);
      if (dice < 24) world.advance(world.upto(per / 50));
      if (dice == 24) world.advance(world.upto(per * 2));
      world.act();
      world.check_exact();
      if (dice > 36) world.check_falls_to();
    }
  }
}

}  // namespace
}  // namespace hsm::policy
