#include "hsm_signer/nonce/gates.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"

namespace hsm::nonce {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ApiKeyId kGate{"account-GGGG"};
const ApiKeyId kOtherGate{"account-HHHH"};

class GatesTest : public ::testing::Test {
 protected:
  GatesTest() { clock_.advance(Gates::kHeld); }
  void enter(Gates::Who who, bool urgent = false, const ApiKeyId& key = kGate,
             seconds patience = seconds{60}) {
    gates_.enter(key, who, urgent, clock_.steady() + patience, clock_.steady(),
                 [this, who](Result<std::uint64_t> place) {
                   if (place)
                     in_.push_back(who);
                   else
                     refused_.push_back(std::move(place).error());
                   place_ = place.value_or(0);
                 });
  }
  Result<void> leave(Gates::Who who, const ApiKeyId& key = kGate) {
    return gates_.leave(key, who, clock_.steady());
  }

  FakeClock clock_;
  Gates gates_{clock_.steady()};
  std::vector<Gates::Who> in_;
  std::vector<Error> refused_;
  std::uint64_t place_ = 0;
};

TEST_F(GatesTest, LetsOneInAtATimeInTheOrderOfComing) {
  for (const Gates::Who who : {7U, 3U, 9U}) enter(who);
  EXPECT_THAT(in_, ElementsAre(7));
  EXPECT_THAT(leave(7), Succeeds());
  EXPECT_THAT(in_, ElementsAre(7, 3));
  EXPECT_THAT(leave(3), Succeeds());
  EXPECT_THAT(leave(9), Succeeds());
  EXPECT_THAT(in_, ElementsAre(7, 3, 9));
  EXPECT_FALSE(gates_.busy());
}

TEST_F(GatesTest, CountsThePlaceInTheKeysOrder) {
  enter(1);
  EXPECT_EQ(place_, 1U);
  EXPECT_THAT(leave(1), Succeeds());
  enter(1);
  EXPECT_EQ(place_, 2U);
  enter(2, false, kOtherGate);
  EXPECT_EQ(place_, 1U) << "each key has its own";
}

TEST_F(GatesTest, KeysDoNotWaitForEachOther) {
  enter(1);
  enter(2, false, kOtherGate);
  EXPECT_THAT(in_, ElementsAre(1, 2));
}

TEST_F(GatesTest, LetsCancelsInFirstAndNeverBeforeTheHolder) {
  enter(1);
  enter(2);
  enter(3, true);
  enter(4, true);
  EXPECT_THAT(in_, ElementsAre(1));
  for (const Gates::Who who : {1U, 3U, 4U}) EXPECT_THAT(leave(who), Succeeds());
  EXPECT_THAT(in_, ElementsAre(1, 3, 4, 2));
}

TEST_F(GatesTest, PassesOnAfterTwoSecondsAndTellsWhoLeavesLater) {
  enter(1);
  enter(2);
  clock_.advance(Gates::kHeld - nanoseconds{1});
  gates_.pass(clock_.steady());
  EXPECT_THAT(in_, ElementsAre(1));
  clock_.advance(nanoseconds{1});
  gates_.pass(clock_.steady());
  EXPECT_THAT(in_, ElementsAre(1, 2));
  EXPECT_THAT(leave(1), ErrorIs(Code::deadline_exceeded, HasSubstr("passed on")));
  EXPECT_THAT(leave(2), Succeeds()) << "the late one has taken nothing from the next";
}

TEST_F(GatesTest, IsNotHeldLongerWhereNobodyWaits) {
  enter(1);
  clock_.advance(Gates::kHeld);
  EXPECT_THAT(leave(1), ErrorIs(Code::deadline_exceeded));
  EXPECT_FALSE(gates_.busy());
}

TEST_F(GatesTest, OpensTwoSecondsAfterTheStart) {
  gates_ = Gates{clock_.steady()};
  enter(1);
  clock_.advance(Gates::kHeld - nanoseconds{1});
  gates_.pass(clock_.steady());
  EXPECT_THAT(in_, IsEmpty());
  EXPECT_TRUE(gates_.busy());
  clock_.advance(nanoseconds{1});
  gates_.pass(clock_.steady());
  EXPECT_THAT(in_, ElementsAre(1));
}

TEST_F(GatesTest, AnEndedConnectionHoldsNothingAndWaitsNowhere) {
  enter(1);
  enter(2);
  enter(3, true);
  enter(4);
  gates_.gone(3, clock_.steady());
  gates_.gone(1, clock_.steady());
  EXPECT_THAT(in_, ElementsAre(1, 2));
  gates_.gone(2, clock_.steady());
  EXPECT_THAT(in_, ElementsAre(1, 2, 4));
  gates_.gone(4, clock_.steady());
  EXPECT_THAT(refused_, IsEmpty()) << "there is nobody to tell";
  EXPECT_FALSE(gates_.busy());
}

TEST_F(GatesTest, RefusesWhoWaitsLongerThanHeWants) {
  enter(1);
  enter(2, false, kGate, seconds{1});
  enter(3, true, kGate, seconds{1});
  enter(4);
  clock_.advance(seconds{1});
  gates_.pass(clock_.steady());
  ASSERT_EQ(refused_.size(), 2U);
  EXPECT_EQ(refused_[0].code, Code::deadline_exceeded);
  EXPECT_THAT(leave(1), Succeeds());
  EXPECT_THAT(in_, ElementsAre(1, 4));
}

TEST_F(GatesTest, RefusesAConnectionThatIsThereAlready) {
  enter(1);
  enter(1);
  enter(2);
  enter(2, true);
  ASSERT_EQ(refused_.size(), 2U);
  EXPECT_EQ(refused_[0].code, Code::denied);
  EXPECT_EQ(refused_[1].code, Code::denied);
  EXPECT_THAT(leave(1), Succeeds());
  EXPECT_THAT(in_, ElementsAre(1, 2));
}

TEST_F(GatesTest, RefusesToLetOutWhoIsNotIn) {
  EXPECT_THAT(leave(1), ErrorIs(Code::deadline_exceeded));
  enter(1);
  enter(2);
  EXPECT_THAT(leave(2), ErrorIs(Code::deadline_exceeded)) << "it waits";
  EXPECT_THAT(leave(1, kOtherGate), ErrorIs(Code::deadline_exceeded));
  EXPECT_THAT(in_, ElementsAre(1));
}

TEST_F(GatesTest, TellsAllWhoWaitOfAStopAndLetsTheHolderLeave) {
  enter(1);
  enter(2);
  enter(3, true);
  gates_.close({.code = Code::overloaded, .what = "the signer is stopping"});
  ASSERT_EQ(refused_.size(), 2U);
  EXPECT_EQ(refused_[0].code, Code::overloaded);
  enter(4, true);
  EXPECT_EQ(refused_.size(), 3U);
  EXPECT_THAT(leave(1), Succeeds());
  EXPECT_THAT(in_, ElementsAre(1));
  EXPECT_FALSE(gates_.busy()) << "nothing keeps the stop waiting";
}

TEST_F(GatesTest, RefusesMoreThanAThousandWhoWait) {
  for (Gates::Who who = 0; who <= Gates::kMostWaiting; ++who) enter(who, who % 2 == 0);
  EXPECT_THAT(refused_, IsEmpty());
  enter(99'999, true);
  ASSERT_EQ(refused_.size(), 1U);
  EXPECT_EQ(refused_[0].code, Code::overloaded);
}

}  // namespace
}  // namespace hsm::nonce
