#include "hsm_signer/policy/sliding_total.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/fake_clock.h"

namespace hsm::policy {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

Decimal value(std::string_view text) { return Decimal::parse_plain(text).value(); }

class Hour : public ::testing::Test {
 protected:
  void add(std::string_view text) { total_.add(clock_.wall(), value(text)); }
  void take_back(std::string_view text) { total_.take_back(clock_.wall(), value(text)); }
  std::string total() { return total_.total(clock_.wall()).text(); }
  nanoseconds falls_in(std::string_view most) {
    return total_.falls_to(clock_.wall(), value(most)) - clock_.wall();
  }

  SlidingTotal total_{1h};
  // At the beginning of a part, so that what a test says to the second holds.
  FakeClock clock_{1h * 500'000};
  static constexpr nanoseconds kPart = nanoseconds{1h} / 64;
};

TEST_F(Hour, IsZeroAtFirst) {
  EXPECT_EQ(total(), "0");
  EXPECT_EQ(falls_in("0"), 0ns);
}

TEST_F(Hour, CountsForAnHourAndLessThanAPartLonger) {
  add("1.5");
  EXPECT_EQ(total(), "1.5");
  clock_.advance(1h);
  EXPECT_EQ(total(), "1.5");
  clock_.advance(kPart - 1ns);
  EXPECT_EQ(total(), "1.5");
  clock_.advance(1ns);
  EXPECT_EQ(total(), "0");
}

TEST_F(Hour, CountsForTheWholeHourAtTheEndOfAPart) {
  clock_.advance(kPart - 1ns);
  add("1");
  clock_.advance(1h);
  EXPECT_EQ(total(), "1");
  clock_.advance(1ns);
  EXPECT_EQ(total(), "0");
}

TEST_F(Hour, AddsUpAndLetsGoOneByOne) {
  add("1");
  clock_.advance(30min);
  add("2");
  clock_.advance(29min);
  add("4");
  EXPECT_EQ(total(), "7");
  clock_.advance(1min + kPart);
  EXPECT_EQ(total(), "6");
  clock_.advance(30min);
  EXPECT_EQ(total(), "4");
  clock_.advance(29min + kPart);
  EXPECT_EQ(total(), "0");
}

TEST_F(Hour, TakesBackWhatWasNotDone) {
  add("1");
  const Clock::Wall then = clock_.wall();
  clock_.advance(20min);
  add("2");
  total_.take_back(then, value("1"));
  EXPECT_EQ(total(), "2");
  take_back("2");
  EXPECT_EQ(total(), "0");
}

TEST_F(Hour, KeepsWhatItDoesNotFindToTakeBack) {
  add("1");
  take_back("1.000000000000000001");
  EXPECT_EQ(total(), "1") << "more than there is";
  total_.take_back(clock_.wall() - kPart, value("1"));
  EXPECT_EQ(total(), "1") << "another time";
  total_.take_back(clock_.wall() + kPart, value("1"));
  EXPECT_EQ(total(), "1") << "a time to come";
  total_.take_back(clock_.wall() - 100h, value("1"));
  EXPECT_EQ(total(), "1") << "long ago";
  // The place of a part is used again after 65 of them.
  total_.take_back(clock_.wall() - 65 * kPart, value("1"));
  EXPECT_EQ(total(), "1") << "the part that stood there before";
}

TEST_F(Hour, TellsWhenItFalls) {
  add("1");
  clock_.advance(10min);
  add("2");
  clock_.advance(10min);
  add("4");
  const nanoseconds first = 1h + kPart - 20min;
  EXPECT_EQ(falls_in("7"), 0ns);
  EXPECT_EQ(falls_in("6.999999999999999999"), first);
  EXPECT_EQ(falls_in("6"), first);
  // The second was in the midst of a part.
  EXPECT_EQ(falls_in("4"), first + 10min / kPart * kPart);
  EXPECT_EQ(falls_in("0"), first + 20min / kPart * kPart);
  clock_.advance(falls_in("6") - 1ns);
  EXPECT_EQ(total(), "7");
  clock_.advance(1ns);
  EXPECT_EQ(total(), "6");
}

TEST_F(Hour, StopsAtTheLargestAndRefusesUntilThatIsTooOld) {
  add("999999999999999999");
  clock_.advance(2 * kPart);
  add("999999999999999999");
  EXPECT_EQ(total(), Decimal::largest().text());
  clock_.advance(1h - kPart);
  EXPECT_EQ(total(), "999999999999999999") << "the sum did not fit, each part did";
  add(Decimal::largest().text());
  add("1");
  const Clock::Wall full = clock_.wall();
  take_back("1");
  EXPECT_EQ(total(), Decimal::largest().text()) << "a part that is not known gives nothing back";
  clock_.advance(1h);
  EXPECT_EQ(total(), Decimal::largest().text());
  EXPECT_EQ(total_.falls_to(full, value("5")), full + 1h + kPart);
  clock_.advance(kPart);
  EXPECT_EQ(total(), "0");
}

TEST_F(Hour, TakesATimeThatGoesBackAsTheNewestSeen) {
  add("1");
  clock_.advance(50min);
  add("2");
  const Clock::Wall newest = clock_.wall();
  clock_.step_wall(-24h);
  EXPECT_EQ(total(), "3");
  add("4");
  EXPECT_EQ(total(), "7");
  EXPECT_EQ(total_.total(newest + 10min + kPart), value("6"));
  EXPECT_EQ(total_.total(newest + 1h), value("6")) << "the third counts from the newest on";
  EXPECT_EQ(total_.total(newest + 1h + kPart), Decimal{});
}

TEST_F(Hour, HasPartsOfOneWidthOnBothSidesOf1970) {
  const Clock::Wall epoch{};
  total_.add(epoch - kPart + 1ns, value("1"));
  EXPECT_EQ(total_.total(epoch + 1h - 1ns), value("1"));
  EXPECT_EQ(total_.total(epoch + 1h), Decimal{});
}

TEST_F(Hour, StandsTheEndsOfTheClock) {
  total_.add(Clock::Wall::min(), value("1"));
  EXPECT_EQ(total_.total(Clock::Wall::min()), value("1"));
  EXPECT_EQ(total(), "0");
  total_.add(Clock::Wall::max(), value("2"));
  EXPECT_EQ(total_.total(Clock::Wall::max()), value("2"));
}

}  // namespace
}  // namespace hsm::policy
