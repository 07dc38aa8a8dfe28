// Keys whose nonces the exchange compares with its clock: seconds, at most 30 s off.
#include <gtest/gtest.h>

#include "hsm_signer/nonce/nonce.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/nonce/durable.h"

namespace hsm::nonce {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

class TimeBased : public ::testing::Test {
 protected:
  TimeBased() { start(); }
  void start() {
    durable_.start();
    book_.emplace(now());
    mark_ = book_->open(ApiKeyId{"account-TTTTTTTTTTTTTTTTTTTT"}, Form::signer_s).value();
  }
  Now now() const { return now_of(clock_); }
  Result<std::string> draw() {
    for (int round = 0; round < 3; ++round) {
      TRY(const Outcome outcome, book_->draw(mark_, now()));
      if (const auto* drawn = std::get_if<Drawn>(&outcome)) {
        if (drawn->want_refill) reserve(drawn->refill_to);
        return drawn->text;
      }
      reserve(std::get<NeedsReserve>(outcome).at_least_last);
    }
    return fail(Code::internal, "asked for a reservation three times in a row");
  }
  // The exchange's clock is so far ahead of ours.
  void exchange_is_ahead(nanoseconds by) {
    ASSERT_THAT(book_->exchange_said(clock_.wall() + by, now()), Succeeds());
  }

  FakeClock clock_;  // Starts at 1,800,000,000 s.
  Durable durable_;
  std::optional<Book> book_;
  MarkIndex mark_ = 0;

 private:
  void reserve(Value at_least) {
    ASSERT_THAT(book_->install(mark_, durable_.reserve(book_->api_key_id(mark_), at_least)),
                Succeeds());
  }
};

TEST_F(TimeBased, DrawsSecondsWithSixDigitsOfFraction) {
  EXPECT_THAT(draw(), Optional(std::string{"1800000000.000000"}));
  EXPECT_THAT(draw(), Optional(std::string{"1800000000.000001"}));
  clock_.advance(milliseconds{1500});
  EXPECT_THAT(draw(), Optional(std::string{"1800000001.500000"}));
  clock_.advance(nanoseconds{1'999});
  EXPECT_THAT(draw(), Optional(std::string{"1800000001.500001"})) << "nothing below a microsecond";
}

TEST_F(TimeBased, TakesNoNonceFromACaller) {
  EXPECT_THAT(book_->admit(mark_, "1800000000", now()), ErrorIs(Code::nonce_conflict));
}

TEST_F(TimeBased, BeginsBehindItsBlockAfterACrashAndStaysNearTheClock) {
  ASSERT_THAT(draw(), Succeeds());
  start();
  EXPECT_THAT(draw(), Optional(std::string{"1800000002.000001"}));
}

TEST_F(TimeBased, RisesOnAFrozenClockAndOnOneThatWasSetBackALittle) {
  ASSERT_THAT(draw(), Succeeds());
  clock_.step_wall(-seconds{24});
  EXPECT_THAT(draw(), Optional(std::string{"1800000000.000001"}));
  EXPECT_THAT(draw(), Optional(std::string{"1800000000.000002"}));
}

// The first to be refused, and the last to be drawn.
TEST_F(TimeBased, RefusesWhatWouldBeTooFarAheadOfAClockThatWasSetBackAndSaysHowLong) {
  ASSERT_THAT(draw(), Succeeds());
  clock_.step_wall(-seconds{60});
  const auto refused = draw();
  EXPECT_THAT(refused,
              ErrorIs(Code::clock_skew, AllOf(HasSubstr("60 s ahead"), HasSubstr("wait"))));
  EXPECT_EQ(refused.error().retry_after_ms, 35'001U);
  EXPECT_EQ(book_->mark(mark_), Value::whole(1'800'000'000)) << "nothing is burnt";
  clock_.advance(seconds{35});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew)) << "by one microsecond";
  clock_.advance(microseconds{1});
  EXPECT_THAT(draw(), Optional(std::string{"1800000000.000001"}));
}

TEST_F(TimeBased, RefusesAStepForwardThatNobodyExplains) {
  ASSERT_THAT(draw(), Succeeds());
  clock_.step_wall(seconds{25});
  EXPECT_THAT(draw(), Optional(std::string{"1800000025.000000"}));
  clock_.step_wall(milliseconds{1});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew, HasSubstr("set forward")));
  EXPECT_EQ(book_->mark(mark_), Value::whole(1'800'000'025)) << "nothing is burnt";
}

TEST_F(TimeBased, BelievesAStepForwardThatTheExchangeConfirms) {
  ASSERT_THAT(draw(), Succeeds());
  clock_.step_wall(seconds{90});
  ASSERT_THAT(draw(), ErrorIs(Code::clock_skew));
  exchange_is_ahead(milliseconds{300});
  EXPECT_THAT(draw(), Optional(std::string{"1800000090.000000"}));
}

TEST_F(TimeBased, SignsUpToTwentyFiveSecondsOffTheExchangesClockAndNotBeyond) {
  for (const seconds off : {seconds{25}, -seconds{25}}) {
    exchange_is_ahead(off);
    clock_.advance(microseconds{1});
    EXPECT_THAT(draw(), Succeeds()) << off.count();
  }
}

TEST_F(TimeBased, RefusesBehindAClockThatIsWrongAndSaysWhichWay) {
  exchange_is_ahead(seconds{26});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew, HasSubstr("it is 26 s behind the exchange's")));
  exchange_is_ahead(-seconds{26});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew, HasSubstr("it is 26 s ahead of the exchange's")));
  EXPECT_EQ(book_->mark(mark_), Value{}) << "nothing is burnt";
  exchange_is_ahead(seconds{0});
  EXPECT_THAT(draw(), Succeeds());
}

TEST_F(TimeBased, NoticesAStepOfItsOwnClockWithoutBeingToldAgain) {
  exchange_is_ahead(seconds{0});
  ASSERT_THAT(draw(), Succeeds());
  clock_.step_wall(seconds{40});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew, HasSubstr("ahead of the exchange's")));
  clock_.step_wall(-seconds{40});
  EXPECT_THAT(draw(), Succeeds());
}

TEST_F(TimeBased, BelievesTheExchangeForAnHour) {
  exchange_is_ahead(seconds{26});
  clock_.advance(hours{1});
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew));
  clock_.advance(nanoseconds{1});
  EXPECT_THAT(draw(), Succeeds());
  EXPECT_FALSE(book_->exchange_ahead(now()));
}

TEST_F(TimeBased, RefusesTimesThatNoClockShows) {
  for (const Clock::Wall time :
       {Clock::Wall{}, Clock::Wall{seconds{946'684'799}}, Clock::Wall{seconds{7'258'118'400}}})
    EXPECT_THAT(book_->exchange_said(time, now()), ErrorIs(Code::invalid_payload));
  EXPECT_FALSE(book_->exchange_ahead(now()));
  EXPECT_THAT(book_->exchange_said(Clock::Wall{seconds{946'684'800}}, now()), Succeeds());
}

// A log of this API key in another form, or a nonce of nanoseconds that somebody sent by hand.
TEST_F(TimeBased, RefusesAKeyWhoseMarkIsBeyondAnyTime) {
  book_->raise(mark_, Value::whole(Uint128{1'800'000'000} * 1'000'000'000));
  EXPECT_THAT(draw(), ErrorIs(Code::clock_skew, HasSubstr("ahead of")));
}

TEST_F(TimeBased, OtherFormsDoNotAskTheExchangesClock) {
  const MarkIndex other =
      book_->open(ApiKeyId{"account-UUUUUUUUUUUUUUUUUUUU"}, Form::signer_ms).value();
  exchange_is_ahead(minutes{10});
  EXPECT_THAT(book_->draw(other, now()), Succeeds());
}

}  // namespace
}  // namespace hsm::nonce
