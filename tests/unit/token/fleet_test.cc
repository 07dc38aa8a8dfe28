#include "hsm_signer/token/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Slot = Fleet::Slot;

class FleetTest : public ::testing::Test {
 protected:
  std::optional<Slot> next() { return fleet_.next(clock_.steady()); }
  void start_ready(Slot slot) {
    ASSERT_EQ(next(), slot);
    fleet_.started(slot);
    fleet_.ready(slot);
  }
  void die(Slot slot) { fleet_.ended(slot, Fleet::Ending::died, clock_.steady()); }
  void start_all() {
    for (Slot slot = 0; slot < fleet_.size(); ++slot) start_ready(slot);
  }
  FakeClock clock_;
  Fleet fleet_{3, 0ms};
};

TEST_F(FleetTest, StartsTheAdminWorkerFirstAndAlone) {
  ASSERT_EQ(next(), Fleet::kAdmin);
  fleet_.started(Fleet::kAdmin);
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(fleet_.wake_at(), std::nullopt);
  fleet_.ready(Fleet::kAdmin);
  EXPECT_EQ(next(), Slot{1});
}

TEST_F(FleetTest, StartsOneSigningWorkerAtATime) {
  start_ready(0);
  fleet_.started(1);
  EXPECT_EQ(next(), std::nullopt);
  fleet_.ready(1);
  EXPECT_EQ(next(), Slot{2});
}

TEST_F(FleetTest, StartsNoSigningWorkerUntilTheAdminWorkerWasReadyOnce) {
  fleet_.started(0);
  fleet_.failed(0, "no module");
  die(0);
  EXPECT_EQ(next(), std::nullopt);
  clock_.advance(250ms);
  EXPECT_EQ(next(), Fleet::kAdmin);
}

TEST_F(FleetTest, ReplacesAWorkerThatServedAtOnce) {
  start_all();
  EXPECT_TRUE(fleet_.all_ready());
  EXPECT_EQ(next(), std::nullopt);
  fleet_.ended(2, Fleet::Ending::served, clock_.steady());
  EXPECT_EQ(next(), Slot{2});
}

TEST_F(FleetTest, DoublesThePauseUpToThirtySecondsUntilOneHasSigned) {
  start_all();
  die(1);
  for (const auto pause :
       {250ms, 500ms, 1'000ms, 2'000ms, 4'000ms, 8'000ms, 16'000ms, 30'000ms, 30'000ms}) {
    EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + pause);
    clock_.advance(pause - 1ms);
    EXPECT_EQ(next(), std::nullopt) << pause.count();
    clock_.advance(1ms);
    ASSERT_EQ(next(), Slot{1}) << pause.count();
    fleet_.started(1);
    die(1);
  }
  clock_.advance(30s);
  start_ready(1);
  die(1);
  EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + 30s) << "it got ready, and signed nothing";
  clock_.advance(30s);
  start_ready(1);
  fleet_.has_signed(1);
  die(1);
  EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + 250ms);
}

TEST_F(FleetTest, BeginsWithTheShortestPauseAgainAfterAConnectionWasServed) {
  start_all();
  die(1);
  clock_.advance(250ms);
  start_ready(1);
  fleet_.ended(1, Fleet::Ending::served, clock_.steady());
  start_ready(1);
  die(1);
  EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + 250ms);
}

TEST_F(FleetTest, WaitsForTheDevicesSessionOfADeadWorkerToExpire) {
  fleet_ = Fleet{1, 31s};
  start_all();
  die(1);
  EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + 31s);
}

TEST_F(FleetTest, WaitsForNoDeviceSessionThatWasGivenBack) {
  fleet_ = Fleet{1, 31s};
  start_all();
  fleet_.ended(1, Fleet::Ending::logged_out, clock_.steady());
  EXPECT_EQ(*fleet_.wake_at(), clock_.steady() + 250ms);
}

TEST_F(FleetTest, StartsNobodyOnATokenThatSignsWrongly) {
  start_all();
  fleet_.taken_out("a key check failed");
  for (const Slot slot : {0U, 1U, 2U, 3U})
    fleet_.ended(slot, Fleet::Ending::served, clock_.steady());
  clock_.advance(24h);
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(fleet_.wake_at(), std::nullopt);
  for (const Role role : {Role::signing, Role::admin})
    EXPECT_THAT(fleet_.refusal(role)->sentence(),
                ::testing::AllOf(HasSubstr("signs wrongly"), HasSubstr("a key check failed"),
                                 HasSubstr("restart")));
}

TEST_F(FleetTest, StartsNobodyAfterARefusedPin) {
  start_ready(0);
  fleet_.started(1);
  fleet_.pin_refused(1, "CKR_PIN_INCORRECT");
  die(1);
  clock_.advance(24h);
  EXPECT_TRUE(fleet_.latched());
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(fleet_.wake_at(), std::nullopt);
  fleet_.ended(0, Fleet::Ending::served, clock_.steady());
  EXPECT_EQ(next(), std::nullopt) << "not even after a clean end";
}

TEST_F(FleetTest, KeepsTheSentenceOfARefusedPinOverLaterFailures) {
  start_all();
  fleet_.ended(1, Fleet::Ending::served, clock_.steady());
  fleet_.started(1);
  fleet_.pin_refused(1, "CKR_PIN_INCORRECT");
  die(1);
  fleet_.failed(2, "something else");
  die(2);
  EXPECT_EQ(fleet_.refusal(Role::signing), std::nullopt) << "worker 3 still serves";
  die(3);
  const auto refusal = fleet_.refusal(Role::signing);
  ASSERT_TRUE(refusal);
  EXPECT_THAT(
      refusal->sentence(),
      ::testing::AllOf(HasSubstr("PIN"), HasSubstr("CKR_PIN_INCORRECT"), HasSubstr("restart")));
  EXPECT_EQ(fleet_.refusal(Role::admin), std::nullopt);
}

TEST_F(FleetTest, RefusesConnectionsOnlyWhileNobodyIsThereOrComing) {
  EXPECT_EQ(fleet_.refusal(Role::signing), std::nullopt) << "nothing has failed yet";
  fleet_.started(0);
  EXPECT_EQ(fleet_.refusal(Role::admin), std::nullopt);
  fleet_.failed(0, "no module");
  die(0);
  EXPECT_THAT(fleet_.refusal(Role::admin)->sentence(), HasSubstr("no module"));
  EXPECT_THAT(fleet_.refusal(Role::signing)->sentence(), HasSubstr("no module"));
  EXPECT_EQ(fleet_.refusal(Role::signing)->code, Code::token_unavailable);
  clock_.advance(250ms);
  start_all();
  EXPECT_EQ(fleet_.refusal(Role::signing), std::nullopt);
}

TEST_F(FleetTest, IsSettledOnceAllAreReadyOrSomebodyFailed) {
  EXPECT_FALSE(fleet_.settled());
  start_ready(0);
  EXPECT_FALSE(fleet_.settled());
  fleet_.started(1);
  die(1);
  EXPECT_TRUE(fleet_.settled());
  EXPECT_FALSE(fleet_.all_ready());
}

}  // namespace
}  // namespace hsm::token
