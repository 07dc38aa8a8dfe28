#include "hsm_signer/nonce/nonce.h"

#include <gtest/gtest.h>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/nonce/durable.h"

namespace hsm::nonce {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

const ApiKeyId kId{"account-AAAAAAAAAAAAAAAAAAAA"};
const ApiKeyId kOther{"account-BBBBBBBBBBBBBBBBBBBB"};
constexpr std::uint64_t kNowMs = 1'800'000'000'000;  // FakeClock's start.

// A book, a clock, and durable state that answers at once.
class NonceBook : public ::testing::Test {
 protected:
  MarkIndex open(Form form, const ApiKeyId& id = kId) {
    const Result<MarkIndex> index = book_.open(id, form);
    EXPECT_THAT(index, Succeeds());
    return *index;
  }
  Now now() const { return now_of(clock_); }
  void reserve(MarkIndex mark, Value at_least) {
    EXPECT_THAT(book_.install(mark, durable_.reserve(book_.api_key_id(mark), at_least)),
                Succeeds());
  }
  // As the service does it: at most two rounds to durable state (the first may only tell the mark).
  template <class Ask>
  Result<Drawn> with_reserve(MarkIndex mark, Ask ask) {
    for (int round = 0; round < 3; ++round) {
      TRY(Outcome outcome, ask());
      if (auto* drawn = std::get_if<Drawn>(&outcome)) {
        if (drawn->want_refill) reserve(mark, drawn->refill_to);
        return *drawn;
      }
      reserve(mark, std::get<NeedsReserve>(outcome).at_least_last);
    }
    return fail(Code::internal, "asked for a reservation three times in a row");
  }
  Result<Drawn> draw(MarkIndex mark) {
    return with_reserve(mark, [&] { return book_.draw(mark, now()); });
  }
  Result<Drawn> admit(MarkIndex mark, std::string_view text) {
    return with_reserve(mark, [&] { return book_.admit(mark, text, now()); });
  }
  // Everything in memory is lost, what was durable is not.
  MarkIndex crash(Form form) {
    durable_.start();
    book_ = Book{now()};
    return open(form);
  }

  FakeClock clock_;
  Durable durable_;
  Book book_{now_of(clock_)};
};

TEST_F(NonceBook, DrawsTheClockInMillisecondsAndThenOneMore) {
  const MarkIndex mark = open(Form::signer_ms);
  EXPECT_EQ(draw(mark)->text, "1800000000000");
  EXPECT_EQ(draw(mark)->text, "1800000000001");
  clock_.advance(milliseconds{5});
  EXPECT_EQ(draw(mark)->text, "1800000000005");
  EXPECT_EQ(book_.mark(mark), Value::whole(kNowMs + 5));
}

TEST_F(NonceBook, DrawsMicroseconds) {
  const MarkIndex mark = open(Form::signer_us);
  clock_.advance(nanoseconds{1'999});
  EXPECT_EQ(draw(mark)->text, "1800000000000001");
}

TEST_F(NonceBook, RefusesAnotherFormOnTheSameApiKey) {
  open(Form::signer_ms);
  EXPECT_THAT(book_.open(kId, Form::caller_ms),
              ErrorIs(Code::denied, AllOf(HasSubstr("never mixed"), HasSubstr("signer-ms"),
                                          HasSubstr("caller-ms"))));
}

TEST_F(NonceBook, NamesThatShareAnApiKeyShareItsMark) {
  const MarkIndex one = open(Form::signer_ms);
  const MarkIndex two = open(Form::signer_ms);
  EXPECT_EQ(one, two);
  EXPECT_NE(open(Form::signer_ms, kOther), one);
}

TEST_F(NonceBook, ApiKeysDoNotDisturbEachOther) {
  const MarkIndex one = open(Form::caller_ms);
  const MarkIndex two = open(Form::caller_ms, kOther);
  EXPECT_THAT(admit(one, "1800000000500"), Succeeds());
  EXPECT_THAT(admit(two, "7"), Succeeds());
}

TEST_F(NonceBook, GivesNothingBeforeAReservation) {
  const MarkIndex mark = open(Form::signer_ms);
  const Result<Outcome> outcome = book_.draw(mark, now());
  ASSERT_THAT(outcome, Succeeds());
  const auto* needs = std::get_if<NeedsReserve>(&*outcome);
  ASSERT_NE(needs, nullptr);
  EXPECT_EQ(needs->at_least_last, Value::whole(kNowMs + 2000));
  EXPECT_FALSE(needs->asked);
}

TEST_F(NonceBook, AsksOnceWhileAReservationIsUnderWay) {
  const MarkIndex mark = open(Form::signer_ms);
  EXPECT_FALSE(std::get<NeedsReserve>(*book_.draw(mark, now())).asked);
  EXPECT_TRUE(std::get<NeedsReserve>(*book_.draw(mark, now())).asked);
  book_.reserve_failed(mark);
  EXPECT_FALSE(std::get<NeedsReserve>(*book_.draw(mark, now())).asked);
}

TEST_F(NonceBook, NeverGoesBeyondTheReservation) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs + 2), 1}), Succeeds());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(std::holds_alternative<Drawn>(*book_.draw(mark, now()))) << i;
  EXPECT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
}

TEST_F(NonceBook, AsksForARefillAtHalfAndOnlyOnce) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, durable_.reserve(kId, Value::whole(kNowMs + 2000))), Succeeds());
  int asked_at = -1;
  int times = 0;
  for (int i = 0; i <= 2000; ++i) {
    const auto drawn = std::get<Drawn>(*book_.draw(mark, now()));
    if (!drawn.want_refill) continue;
    ++times;
    asked_at = i;
    EXPECT_GT(drawn.refill_to, Value::whole(kNowMs + 2000));
  }
  EXPECT_EQ(times, 1);
  EXPECT_NEAR(asked_at, 1000, 2);
}

TEST_F(NonceBook, ARefillInTimeNeverStopsTheFlow) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_THAT(draw(mark), Succeeds());
  for (int i = 0; i < 20'000; ++i) {
    const auto outcome = book_.draw(mark, now());
    const auto* drawn = std::get_if<Drawn>(&*outcome);
    ASSERT_NE(drawn, nullptr) << i;
    if (drawn->want_refill) reserve(mark, drawn->refill_to);
  }
}

TEST_F(NonceBook, AfterACrashBeginsBehindWhatWasReserved) {
  MarkIndex mark = open(Form::signer_ms);
  ASSERT_THAT(draw(mark), Succeeds());
  mark = crash(Form::signer_ms);
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 2001));
}

TEST_F(NonceBook, AfterACleanStopLosesNothing) {
  MarkIndex mark = open(Form::signer_ms);
  ASSERT_THAT(draw(mark), Succeeds());
  for (const Settlement& settlement : book_.settle()) durable_.settle(settlement);
  mark = crash(Form::signer_ms);
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 1));
}

TEST_F(NonceBook, SettlesOnlyWhatWasReservedAndThenNeedsANewReservation) {
  const MarkIndex mark = open(Form::signer_ms);
  open(Form::signer_ms, kOther);
  ASSERT_THAT(draw(mark), Succeeds());
  const std::vector<Settlement> settled = book_.settle();
  ASSERT_EQ(settled.size(), 1U);
  EXPECT_EQ(settled[0].api_key_id, kId);
  EXPECT_EQ(settled[0].mark, Value::whole(kNowMs));
  EXPECT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
}

TEST_F(NonceBook, RefusesAReservationThatComesAfterTheStop) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  const Reservation late = durable_.reserve(kId, Value::whole(kNowMs + 2000));
  book_.settle();
  EXPECT_THAT(book_.install(mark, late), ErrorIs(Code::internal, HasSubstr("nobody waits")));
}

// Between the two, durable state gave the first one's numbers back.
TEST_F(NonceBook, TakesAReservationFromBeforeTheStopForNoneAskedBehindIt) {
  const MarkIndex mark = open(Form::caller_ms);
  ASSERT_THAT(admit(mark, std::to_string(kNowMs)), Succeeds());
  const std::string ahead = std::to_string(kNowMs + 4000);
  const auto first = std::get<NeedsReserve>(*book_.admit(mark, ahead, now()));
  const Reservation late = durable_.reserve(kId, first.at_least_last);
  for (const Settlement& settlement : book_.settle()) durable_.settle(settlement);
  const auto second = std::get<NeedsReserve>(*book_.overtake(mark, now()));
  EXPECT_FALSE(second.asked);
  const Reservation in_time = durable_.reserve(kId, second.at_least_last);
  EXPECT_THAT(book_.install(mark, late), ErrorIs(Code::internal, HasSubstr("nobody waits")));
  EXPECT_THAT(book_.install(mark, in_time), Succeeds());
  EXPECT_TRUE(std::holds_alternative<NeedsReserve>(*book_.admit(mark, ahead, now())))
      << "above the durable mark, so the next start would give it out again";
}

TEST_F(NonceBook, AReservationFromBeforeTheStopMayFailToo) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  book_.settle();
  const auto needs = std::get<NeedsReserve>(*book_.draw(mark, now()));
  book_.reserve_failed(mark);
  EXPECT_TRUE(std::get<NeedsReserve>(*book_.draw(mark, now())).asked);
  EXPECT_THAT(book_.install(mark, durable_.reserve(kId, needs.at_least_last)), Succeeds());
  EXPECT_THAT(draw(mark), Succeeds());
}

TEST_F(NonceBook, RefusesAReservationOfAnOlderEpoch) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs), 7}), Succeeds());
  clock_.advance(seconds{1});
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  EXPECT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs + 9000), 6}),
              ErrorIs(Code::state_unavailable));
  EXPECT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
}

TEST_F(NonceBook, ANewEpochGivesUpWhatWasLeftOfTheOld) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs + 10), 1}), Succeeds());
  ASSERT_TRUE(std::get<Drawn>(*book_.draw(mark, now())).want_refill);
  // Somebody else went up to +5000 in between.
  ASSERT_THAT(book_.install(mark, {Value{Value::whole(kNowMs + 5000).units + 1},
                                   Value::whole(kNowMs + 9000), 2}),
              Succeeds());
  EXPECT_EQ(std::get<Drawn>(*book_.draw(mark, now())).value, Value::whole(kNowMs + 5001));
}

TEST_F(NonceBook, ARestoredBackupVoidsTheReservationItDoesNotKnow) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs + 10), 1}), Succeeds());
  ASSERT_TRUE(std::get<Drawn>(*book_.draw(mark, now())).want_refill);
  ASSERT_THAT(book_.install(mark, {Value::whole(kNowMs - 100), Value::whole(kNowMs + 2), 2}),
              Succeeds());
  EXPECT_EQ(std::get<Drawn>(*book_.draw(mark, now())).value, Value::whole(kNowMs + 1));
  EXPECT_EQ(std::get<Drawn>(*book_.draw(mark, now())).value, Value::whole(kNowMs + 2));
  EXPECT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
}

TEST_F(NonceBook, AGapInTheReservationIsNotUsed) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(mark, {Value{1}, Value::whole(kNowMs), 1}), Succeeds());
  ASSERT_TRUE(std::holds_alternative<Drawn>(*book_.draw(mark, now())));
  ASSERT_THAT(book_.install(
                  mark, {Value{Value::whole(kNowMs + 70).units + 1}, Value::whole(kNowMs + 90), 1}),
              Succeeds());
  EXPECT_EQ(std::get<Drawn>(*book_.draw(mark, now())).value, Value::whole(kNowMs + 71));
}

TEST_F(NonceBook, AnEmptyReservationOnlyTellsTheMark) {
  const MarkIndex mark = open(Form::signer_ms);
  durable_.reserve(kId, Value::whole(kNowMs + 600'000));  // The clock was ten minutes ahead once.
  ASSERT_TRUE(std::holds_alternative<NeedsReserve>(*book_.draw(mark, now())));
  reserve(mark, Value::whole(kNowMs + 2000));
  const auto needs = std::get<NeedsReserve>(*book_.draw(mark, now()));
  EXPECT_EQ(needs.at_least_last, Value::whole(kNowMs + 602'001));
  EXPECT_EQ(draw(mark).has_value(), true);
}

TEST_F(NonceBook, StillRisesWhenTheClockGoesBack) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_THAT(draw(mark), Succeeds());
  clock_.step_wall(-hours{5});
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 1));
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 2));
}

TEST_F(NonceBook, RefusesAStepForwardAndDoesNotBurnIt) {
  const MarkIndex mark = open(Form::signer_ms);
  ASSERT_THAT(draw(mark), Succeeds());
  clock_.step_wall(seconds{3601});
  EXPECT_THAT(draw(mark), ErrorIs(Code::clock_skew, HasSubstr("3601")));
  EXPECT_EQ(book_.mark(mark), Value::whole(kNowMs));
  EXPECT_LE(durable_.mark(kId), Value::whole(kNowMs + 2000));
  clock_.step_wall(-seconds{3601});
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 1));
}

TEST_F(NonceBook, BelievesAStepForwardUpToTheBoundAndTimeThatReallyPassed) {
  const MarkIndex mark = open(Form::signer_ms);
  clock_.step_wall(seconds{3600});
  EXPECT_THAT(draw(mark), Succeeds());
  clock_.advance(hours{24 * 365});
  EXPECT_THAT(draw(mark), Succeeds());
  clock_.step_wall(seconds{1});
  EXPECT_THAT(draw(mark), ErrorIs(Code::clock_skew));  // Small steps add up.
}

TEST_F(NonceBook, BelievesTheClockAgainWhenAnOperatorDoes) {
  const MarkIndex mark = open(Form::signer_ms);
  clock_.step_wall(hours{48});
  ASSERT_THAT(draw(mark), ErrorIs(Code::clock_skew));
  book_.trust_clock(now());
  EXPECT_THAT(draw(mark), Succeeds());
}

TEST_F(NonceBook, RaisesAMarkButNeverLowersIt) {
  const MarkIndex mark = open(Form::signer_ms);
  book_.raise(mark, Value::whole(kNowMs + 77));
  book_.raise(mark, Value::whole(5));
  EXPECT_EQ(draw(mark)->value, Value::whole(kNowMs + 78));
}

TEST_F(NonceBook, RefusesToDrawBeyondTwentyDigits) {
  const MarkIndex mark = open(Form::signer_ms);
  book_.raise(mark, *Value::parse("99999999999999999998"));
  EXPECT_EQ(draw(mark)->text, "99999999999999999999");
  EXPECT_THAT(draw(mark), ErrorIs(Code::nonce_conflict, HasSubstr("used up")));
}

TEST_F(NonceBook, RefusesToDrawOnACallersKeyAndToAdmitOnASigners) {
  EXPECT_THAT(book_.draw(open(Form::caller_ms), now()),
              ErrorIs(Code::nonce_conflict, HasSubstr("sign_verbatim")));
  EXPECT_THAT(book_.admit(open(Form::signer_ms, kOther), "1", now()),
              ErrorIs(Code::nonce_conflict, HasSubstr("sign_request")));
}

}  // namespace
}  // namespace hsm::nonce
