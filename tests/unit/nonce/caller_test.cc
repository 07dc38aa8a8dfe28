// What callers bring: refused far more often than taken.
#include <gtest/gtest.h>

#include <limits>
#include <ostream>

#include "hsm_signer/nonce/nonce.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/nonce/durable.h"

namespace hsm::nonce {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

// One key, one form, durable state that answers at once. FakeClock starts at 1,800,000,000 s.
class Caller {
 public:
  explicit Caller(Form form) : form_{form} { restart(); }
  void restart() {
    durable_.start();
    book_ = Book{now_of(clock)};
    book_.open(kId, form_).value();
  }
  void stop() {
    for (const Settlement& settlement : book_.settle()) durable_.settle(settlement);
  }
  Result<void> admit(std::string_view text) {
    for (int round = 0; round < 3; ++round) {
      TRY(Outcome outcome, book_.admit(0, text, now_of(clock)));
      if (std::holds_alternative<Drawn>(outcome)) return {};
      TRY_VOID(
          book_.install(0, durable_.reserve(kId, std::get<NeedsReserve>(outcome).at_least_last)));
    }
    return fail(Code::internal, "asked for a reservation three times in a row");
  }
  // The text of a nonce that is the administrator's.
  Result<void> not_overtaken(std::string_view text) const { return book_.not_overtaken(0, text); }
  Result<std::string> overtake() {
    for (int round = 0; round < 3; ++round) {
      TRY(Outcome outcome, book_.overtake(0, now_of(clock)));
      if (const auto* drawn = std::get_if<Drawn>(&outcome)) return drawn->text;
      TRY_VOID(
          book_.install(0, durable_.reserve(kId, std::get<NeedsReserve>(outcome).at_least_last)));
    }
    return fail(Code::internal, "asked for a reservation three times in a row");
  }
  Value mark() const { return book_.mark(0); }

  FakeClock clock;

 private:
  const ApiKeyId kId{"account-CCCCCCCCCCCCCCCCCCCC"};
  Form form_;
  Durable durable_;
  Book book_{now_of(clock)};
};

TEST(CallerNonces, AreOvertakenByTheClockOrByOneWhateverIsHigher) {
  Caller caller{Form::caller_ms};
  EXPECT_EQ(*caller.overtake(), "1800000000000") << "what other hosts did with this key is below";
  EXPECT_EQ(*caller.overtake(), "1800000000001");
  ASSERT_THAT(caller.admit("1800000005000"), Succeeds()) << "as far ahead as a caller may be";
  EXPECT_EQ(*caller.overtake(), "1800000005001");
  for (const char* late : {"1800000000500", "1800000005000", "1800000005001"})
    EXPECT_THAT(caller.admit(late), ErrorIs(Code::nonce_conflict)) << late;
  caller.clock.advance(milliseconds{10});
  EXPECT_THAT(caller.admit("1800000005002"), Succeeds());
}

// Admitted before a panic, and about to be signed behind it.
TEST(CallerNonces, ThatWereAdmittedAreRefusedOnceTheyAreOvertaken) {
  Caller caller{Form::caller_ms};
  ASSERT_THAT(caller.admit("1800000000100"), Succeeds());
  EXPECT_THAT(caller.not_overtaken("1800000000100"), Succeeds());
  ASSERT_EQ(*caller.overtake(), "1800000000101");
  for (const char* late : {"1800000000100", "1800000000101"})
    EXPECT_THAT(caller.not_overtaken(late), ErrorIs(Code::nonce_conflict, HasSubstr("panic")));
  ASSERT_THAT(caller.admit("1800000000102"), Succeeds());
  EXPECT_THAT(caller.not_overtaken("1800000000102"), Succeeds());
}

TEST(CallerNonces, InSecondsAreOvertakenInWholeOnes) {
  Caller caller{Form::caller_s};
  ASSERT_THAT(caller.admit("1800000004.75"), Succeeds());
  EXPECT_EQ(*caller.overtake(), "1800000005");
}

TEST(CallerNonces, AreNotOvertakenTwiceByTheSameOverARestart) {
  Caller caller{Form::caller_ms};
  const std::string before = *caller.overtake();
  caller.restart();
  EXPECT_GT(*caller.overtake(), before);
}

TEST(CallerNonces, AreNotOvertakenByAClockThatJumped) {
  Caller caller{Form::caller_ms};
  caller.clock.step_wall(hours{24 * 365});
  EXPECT_THAT(caller.overtake(), ErrorIs(Code::clock_skew));
}

struct Boundary {
  Form form;
  std::string_view limit;      // now + 5 s in the form's unit.
  std::string_view one_above;  // Its smallest step above.

  friend void PrintTo(const Boundary& row, std::ostream* out) { *out << row.limit; }
};

class CallerForm : public ::testing::TestWithParam<Boundary> {};

TEST_P(CallerForm, TakesUpToFiveSecondsAheadAndNothingAbove) {
  Caller caller{GetParam().form};
  EXPECT_THAT(caller.admit(GetParam().one_above),
              ErrorIs(Code::nonce_conflict, HasSubstr("too far ahead")));
  EXPECT_EQ(caller.mark(), Value{});
  EXPECT_THAT(caller.admit(GetParam().limit), Succeeds());
  EXPECT_EQ(caller.mark(), *Value::parse(GetParam().limit));
}

TEST_P(CallerForm, RefusesTheSameNonceAgainAndALowerOne) {
  Caller caller{GetParam().form};
  ASSERT_THAT(caller.admit("1000"), Succeeds());
  EXPECT_THAT(caller.admit("1000"), ErrorIs(Code::nonce_conflict, HasSubstr("must be above 1000")));
  EXPECT_THAT(caller.admit("999"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(caller.admit("0"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(caller.admit("1001"), Succeeds());
}

TEST_P(CallerForm, RefusesZeroOnANewKey) {
  EXPECT_THAT(Caller{GetParam().form}.admit("0"), ErrorIs(Code::nonce_conflict));
}

TEST_P(CallerForm, NobodyCanPoisonTheKey) {
  Caller caller{GetParam().form};
  EXPECT_THAT(caller.admit("99999999999999999999"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(caller.admit("123456"), Succeeds());
}

TEST_P(CallerForm, RefusesWhatIsNoNonce) {
  Caller caller{GetParam().form};
  for (std::string_view text : {"", "-1", "1e9", "1.", "0x1", "123456789012345678901"})
    EXPECT_THAT(caller.admit(text), ErrorIs(Code::invalid_payload)) << text;
}

TEST_P(CallerForm, WaitsAboutASecondAfterACrash) {
  Caller caller{GetParam().form};
  const Uint128 second = per_second(GetParam().form);
  const auto at = [&](Uint128 s) { return Value::whole(second * s).text(); };
  ASSERT_THAT(caller.admit(at(1'799'999'000)), Succeeds());
  caller.restart();
  EXPECT_THAT(caller.admit(at(1'799'999'001)), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(caller.admit(Value::whole(second * 1'799'999'001 + 1).text()), Succeeds());
}

TEST_P(CallerForm, WaitsNotAtAllAfterACleanStop) {
  Caller caller{GetParam().form};
  ASSERT_THAT(caller.admit("1000"), Succeeds());
  caller.stop();
  caller.restart();
  EXPECT_THAT(caller.admit("1000"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(caller.admit("1001"), Succeeds());
}

TEST_P(CallerForm, AStepForwardOfTheClockOpensNothing) {
  Caller caller{GetParam().form};
  ASSERT_THAT(caller.admit("1000"), Succeeds());
  caller.clock.step_wall(hours{24 * 400});
  EXPECT_THAT(caller.admit("1001"), ErrorIs(Code::clock_skew));
  EXPECT_EQ(caller.mark(), Value::whole(1000));
}

INSTANTIATE_TEST_SUITE_P(
    Forms, CallerForm,
    ::testing::Values(Boundary{Form::caller_s, "1800000005", "1800000005.000000001"},
                      Boundary{Form::caller_ms, "1800000005000", "1800000005001"},
                      Boundary{Form::caller_us, "1800000005000000", "1800000005000001"},
                      Boundary{Form::caller_ns, "1800000005000000000", "1800000005000000001"}),
    [](const auto& row) { return std::to_string(per_second(row.param.form)) + "PerSecond"; });

TEST(CallerNonce, ANanosecondClientOnAMillisecondKeyIsToldSo) {
  Caller caller{Form::caller_ms};
  EXPECT_THAT(caller.admit("1800000000000000000"),
              ErrorIs(Code::nonce_conflict,
                      AllOf(HasSubstr("caller-ms key"), HasSubstr("looks like caller-ns"))));
  EXPECT_THAT(caller.admit("1800000000000000"),
              ErrorIs(Code::nonce_conflict, HasSubstr("looks like caller-us")));
}

TEST(CallerNonce, ASecondsClientOnAMillisecondKeyIsBelowTheMark) {
  Caller caller{Form::caller_ms};
  ASSERT_THAT(caller.admit("1800000000000"), Succeeds());
  EXPECT_THAT(caller.admit("1800000000"),
              ErrorIs(Code::nonce_conflict, HasSubstr("must be above 1800000000000")));
}

TEST(CallerNonce, OnlySecondsTakeAFraction) {
  for (Form form : {Form::caller_ms, Form::caller_us, Form::caller_ns}) {
    Caller caller{form};
    EXPECT_THAT(caller.admit("1000.5"),
                ErrorIs(Code::invalid_payload, HasSubstr("only nonces in seconds")));
    EXPECT_THAT(caller.admit("1000.0"), ErrorIs(Code::invalid_payload)) << name(form);
  }
  Caller caller{Form::caller_s};
  EXPECT_THAT(caller.admit("1700000000.000001"), Succeeds());
  EXPECT_THAT(caller.admit("1700000000.000001000"),
              ErrorIs(Code::nonce_conflict));  // The same number.
  EXPECT_THAT(caller.admit("1700000000.000001001"), Succeeds());
  EXPECT_THAT(caller.admit("1700000000.0000010011"), ErrorIs(Code::invalid_payload));
}

TEST(CallerNonce, ManyCrashesCostAboutASecondEachAndNeverAddUp) {
  Caller caller{Form::caller_ms};
  // A client that uses its clock, against a signer that dies after each request, one every 1.1 s.
  for (int i = 0; i < 50; ++i) {
    const auto ms =
        std::chrono::duration_cast<milliseconds>(caller.clock.wall().time_since_epoch()).count();
    ASSERT_THAT(caller.admit(std::to_string(ms)), Succeeds()) << i;
    caller.restart();
    caller.clock.advance(milliseconds{1100});
  }
}

TEST(CallerNonce, TheLimitFollowsTheClock) {
  Caller caller{Form::caller_ms};
  EXPECT_THAT(caller.admit("1800000005001"), ErrorIs(Code::nonce_conflict));
  caller.clock.advance(nanoseconds{1'000'000});
  EXPECT_THAT(caller.admit("1800000005001"), Succeeds());
}

}  // namespace
}  // namespace hsm::nonce
