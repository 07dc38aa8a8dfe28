#include "hsm_signer/keystore/lanes.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/error_is.h"

namespace hsm::keystore {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr TokenIndex kToken = 0;
constexpr ClientIndex kBot = 0;
constexpr ClientIndex kOther = 1;

class LanesOfOneToken : public ::testing::Test {
 protected:
  Job job(KeyIndex key, Urgency urgency = Urgency::trade, ClientIndex client = kBot) {
    return {.id = next_id_++,
            .key = key,
            .client = client,
            .token = kToken,
            .urgency = urgency,
            .deadline = now_ + seconds{5},
            .in_order = false};
  }
  JobId enter(const Job& job) {
    EXPECT_THAT(lanes_.enter(job, now_), Succeeds());
    return job.id;
  }
  std::optional<Turn> next() { return lanes_.next(kToken, now_, expired_); }
  // The job handed out next, which the worker answers at once; 0 for none.
  JobId serve() {
    const std::optional<Turn> turn = next();
    if (!turn) return 0;
    EXPECT_TRUE(lanes_.done(turn->worker, turn->job, now_));
    return turn->job;
  }

  Clock::Steady now_{seconds{1000}};
  JobId next_id_ = 1;
  Lanes lanes_;
  std::vector<JobId> expired_;
};

TEST_F(LanesOfOneToken, NothingGoesWithoutAWorker) {
  enter(job(1));
  EXPECT_FALSE(next().has_value());
  lanes_.worker_up(kToken, 0, 1);
  EXPECT_TRUE(next().has_value());
}

// A request that had to wait for a nonce comes in a second time, behind others that came after it.
TEST_F(LanesOfOneToken, WhatComesInAgainTakesThePlaceThatItsArrivalGivesIt) {
  lanes_.worker_up(kToken, 0, 1);
  std::vector<Job> jobs;
  for (int i = 0; i < 6; ++i) {
    jobs.push_back(job(1));
    jobs.back().arrived = now_ + milliseconds{i};
  }
  for (const int later : {4, 5, 0, 1, 2, 3}) enter(jobs[static_cast<std::size_t>(later)]);
  for (const Job& each : jobs) EXPECT_EQ(serve(), each.id);
}

TEST_F(LanesOfOneToken, WhatIsInOrderLeavesAsItCameInWhateverItsArrival) {
  lanes_.worker_up(kToken, 0, 1);
  Job first = job(1);
  Job second = job(1);
  first.in_order = second.in_order = true;
  first.arrived = now_ + milliseconds{1};
  second.arrived = now_;
  enter(first);
  enter(second);
  EXPECT_EQ(serve(), first.id);
  EXPECT_EQ(serve(), second.id);
}

TEST_F(LanesOfOneToken, CancelsOvertakeTradesAndTradesTheRest) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId checkpoint = enter(job(1, Urgency::checkpoint, kNoClient));
  const JobId read = enter(job(2, Urgency::other));
  const JobId trade = enter(job(3, Urgency::trade));
  const JobId cancel = enter(job(4, Urgency::cancel));
  EXPECT_EQ(serve(), cancel);
  EXPECT_EQ(serve(), trade);
  EXPECT_EQ(serve(), read);
  EXPECT_EQ(serve(), checkpoint);
  EXPECT_EQ(serve(), 0U);
}

TEST_F(LanesOfOneToken, ClassesHaveTheirUrgency) {
  using venue::Class;
  const std::map<Class, Urgency> expected{
      {Class::read, Urgency::other},    {Class::cancel, Urgency::cancel},
      {Class::trade, Urgency::trade},   {Class::move, Urgency::other},
      {Class::widen, Urgency::other},   {Class::admin, Urgency::other},
      {Class::session, Urgency::cancel}};
  for (const auto& [cls, urgency] : expected)
    EXPECT_EQ(urgency_of(cls), urgency) << venue::name(cls);
}

TEST_F(LanesOfOneToken, ACheckpointThatHasWaitedGoesBeforeTradesButNotBeforeCancels) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId checkpoint = enter(job(1, Urgency::checkpoint, kNoClient));
  const JobId first = enter(job(2));
  const JobId second = enter(job(2));
  EXPECT_EQ(serve(), first);
  now_ += milliseconds{500};
  const JobId cancel = enter(job(3, Urgency::cancel));
  EXPECT_EQ(serve(), cancel);
  EXPECT_EQ(serve(), checkpoint);
  EXPECT_EQ(serve(), second);
}

TEST_F(LanesOfOneToken, AWorkerHoldsAtMostItsDepth) {
  lanes_.worker_up(kToken, 0, 2);
  for (int i = 0; i < 3; ++i) enter(job(1));
  const auto first = next();
  ASSERT_TRUE(first && next());
  EXPECT_EQ(lanes_.in_flight(0), 2U);
  EXPECT_FALSE(next().has_value());
  EXPECT_TRUE(lanes_.done(0, first->job, now_));
  EXPECT_TRUE(next().has_value());
}

// What one client has in a worker all others wait behind.
TEST_F(LanesOfOneToken, AClientAloneFillsAWorkerAndSeveralLeaveItNearlyEmpty) {
  const auto handed_out = [&] {
    std::vector<Turn> turns;
    while (const auto turn = next()) turns.push_back(*turn);
    for (const Turn& turn : turns) EXPECT_TRUE(lanes_.done(turn.worker, turn.job, now_));
    return turns.size();
  };
  lanes_.worker_up(kToken, 0, 32);
  for (int i = 0; i < 100; ++i) enter(job(1));
  EXPECT_EQ(handed_out(), 32U);
  enter(job(2, Urgency::trade, kOther));
  enter(job(3, Urgency::checkpoint, kNoClient));  // The signer's own are no client.
  EXPECT_EQ(handed_out(), LaneLimits{}.shared_depth);
  now_ += LaneLimits{}.shared_for - milliseconds{1};
  EXPECT_EQ(handed_out(), LaneLimits{}.shared_depth);
  now_ += milliseconds{1};
  for (int i = 0; i < 100; ++i) enter(job(1));
  EXPECT_EQ(handed_out(), LaneLimits{}.shared_depth) << "the other one was the last that came";
  now_ += LaneLimits{}.shared_for;
  EXPECT_EQ(handed_out(), 32U);
}

TEST_F(LanesOfOneToken, WithDepthOneACancelWaitsForOneFrameOnly) {
  lanes_.worker_up(kToken, 0, 1);
  for (int i = 0; i < 5; ++i) enter(job(1));
  const auto running = next();
  const JobId cancel = enter(job(1, Urgency::cancel));
  lanes_.done(0, running->job, now_);
  EXPECT_EQ(serve(), cancel);
}

TEST_F(LanesOfOneToken, AKeyStaysWithItsWorkerWhileItHasFramesThere) {
  lanes_.worker_up(kToken, 0, 2);
  lanes_.worker_up(kToken, 1, 2);
  for (int i = 0; i < 4; ++i) enter(job(7));
  const auto a = next();
  const auto b = next();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->worker, b->worker);
  EXPECT_FALSE(next().has_value());  // The other worker is idle, but not for this key.
  const JobId elsewhere = enter(job(8));
  const auto c = next();
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->job, elsewhere);
  EXPECT_NE(c->worker, a->worker);
}

TEST_F(LanesOfOneToken, AFreeKeyMayGoToAnotherWorker) {
  lanes_.worker_up(kToken, 0, 1);
  enter(job(7));
  const auto first = next();
  lanes_.done(0, first->job, now_);
  lanes_.worker_up(kToken, 1, 1);
  enter(job(8));
  enter(job(7));
  const auto second = next();
  const auto third = next();
  ASSERT_TRUE(second && third);
  EXPECT_NE(second->worker, third->worker);
}

TEST_F(LanesOfOneToken, KeysTakeTurns) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId a1 = enter(job(1)), a2 = enter(job(1)), a3 = enter(job(1));
  const JobId b1 = enter(job(2));
  const JobId c1 = enter(job(3)), c2 = enter(job(3));
  std::vector<JobId> order;
  while (const JobId id = serve()) order.push_back(id);
  EXPECT_THAT(order, ElementsAre(a1, b1, c1, a2, c2, a3));
}

TEST_F(LanesOfOneToken, KeysTakeTurnsAlsoWhileOneHasFramesInAWorker) {
  lanes_.worker_up(kToken, 0, 8);
  const JobId a1 = enter(job(1)), a2 = enter(job(1)), a3 = enter(job(1));
  const JobId b1 = enter(job(2)), c1 = enter(job(3));
  std::vector<JobId> order;
  while (const auto turn = next()) order.push_back(turn->job);
  EXPECT_THAT(order, ElementsAre(a1, b1, c1, a2, a3));
}

TEST_F(LanesOfOneToken, ClientsOfAKeyTakeTurns) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId a1 = enter(job(1)), a2 = enter(job(1)), a3 = enter(job(1));
  const JobId b1 = enter(job(1, Urgency::trade, kOther));
  std::vector<JobId> order;
  while (const JobId id = serve()) order.push_back(id);
  EXPECT_THAT(order, ElementsAre(a1, b1, a2, a3));
}

TEST_F(LanesOfOneToken, JobsOfACallersKeyKeepTheirOrderAcrossClientsAndUrgencies) {
  lanes_.worker_up(kToken, 0, 1);
  std::vector<JobId> entered;
  for (const auto& [urgency, client] : {std::pair{Urgency::trade, kBot},
                                        {Urgency::other, kOther},
                                        {Urgency::cancel, kBot},
                                        {Urgency::trade, kOther}}) {
    Job ordered = job(1, urgency, client);
    ordered.in_order = true;
    entered.push_back(enter(ordered));
  }
  const JobId other_trade = enter(job(2));
  std::vector<JobId> order;
  while (const JobId id = serve()) order.push_back(id);
  // A cancel waits in it, so all up to that goes before the other key's trade.
  EXPECT_THAT(order, ElementsAre(entered[0], entered[1], entered[2], other_trade, entered[3]));
}

TEST_F(LanesOfOneToken, RefusesJobsInOrderAndOutOfOrderOnOneKey) {
  enter(job(1));
  Job ordered = job(1);
  ordered.in_order = true;
  EXPECT_THAT(lanes_.enter(ordered, now_), ErrorIs(Code::internal));
}

TEST_F(LanesOfOneToken, RefusesTheSameJobTwice) {
  const Job once = job(1);
  enter(once);
  EXPECT_THAT(lanes_.enter(once, now_), ErrorIs(Code::internal));
  EXPECT_EQ(lanes_.waiting(kToken), 1U);
}

TEST_F(LanesOfOneToken, RefusesADeadlineThatHasPassed) {
  Job late = job(1);
  late.deadline = now_;
  EXPECT_THAT(lanes_.enter(late, now_), ErrorIs(Code::deadline_exceeded));
}

TEST_F(LanesOfOneToken, RefusesAKeyThatIsAtWorkInAnotherToken) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId first = enter(job(1));
  Job elsewhere = job(1);
  elsewhere.token = 1;
  EXPECT_THAT(lanes_.enter(elsewhere, now_), ErrorIs(Code::token_unavailable));
  ASSERT_EQ(next()->job, first);
  EXPECT_THAT(lanes_.enter(elsewhere, now_), ErrorIs(Code::token_unavailable));
  lanes_.done(0, first, now_);
  EXPECT_THAT(lanes_.enter(elsewhere, now_), Succeeds());
}

TEST_F(LanesOfOneToken, WhatIsOverdueFallsOutAtPickTimeAndIsNeverHandedOut) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId late = enter(job(1));
  now_ += seconds{5};
  const JobId fresh = enter(job(1));
  EXPECT_EQ(serve(), fresh);
  EXPECT_THAT(expired_, ElementsAre(late));
}

TEST_F(LanesOfOneToken, ExpireTakesOutWhatIsOverdueAndKnowsWhenToComeAgain) {
  EXPECT_FALSE(lanes_.next_deadline().has_value());
  Job second = job(1);
  second.deadline = now_ + milliseconds{20};
  Job first = job(2);
  first.deadline = now_ + milliseconds{10};
  enter(second);
  enter(first);
  EXPECT_EQ(lanes_.next_deadline(), first.deadline);
  EXPECT_THAT(lanes_.expire(now_ + milliseconds{9}), IsEmpty());
  EXPECT_THAT(lanes_.expire(now_ + milliseconds{10}), ElementsAre(first.id));
  EXPECT_THAT(lanes_.expire(now_ + seconds{1}), ElementsAre(second.id));
  EXPECT_EQ(lanes_.waiting(kToken), 0U);
}

TEST_F(LanesOfOneToken, WhatIsInFlightDoesNotExpire) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId id = enter(job(1));
  ASSERT_TRUE(next());
  EXPECT_THAT(lanes_.expire(now_ + seconds{60}), IsEmpty());
  EXPECT_TRUE(lanes_.done(0, id, now_));
}

TEST_F(LanesOfOneToken, AnAnswerThatNobodyWaitsForIsNoticed) {
  lanes_.worker_up(kToken, 0, 1);
  lanes_.worker_up(kToken, 1, 1);
  const JobId id = enter(job(1));
  EXPECT_FALSE(lanes_.done(0, id, now_));  // Not handed out yet.
  const auto turn = next();
  ASSERT_TRUE(turn.has_value());
  EXPECT_FALSE(lanes_.done(1 - turn->worker, id, now_));
  EXPECT_FALSE(lanes_.done(turn->worker, id + 1, now_));
  EXPECT_TRUE(lanes_.done(turn->worker, id, now_));
  EXPECT_FALSE(lanes_.done(turn->worker, id, now_));
}

TEST_F(LanesOfOneToken, ALostWorkerGivesBackItsJobsInOrderAndFreesItsKeys) {
  lanes_.worker_up(kToken, 0, 3);
  const JobId a = enter(job(1)), b = enter(job(2)), c = enter(job(1)), rest = enter(job(1));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(next());
  EXPECT_THAT(lanes_.worker_lost(0), ElementsAre(a, b, c));
  EXPECT_FALSE(next().has_value());
  EXPECT_FALSE(lanes_.done(0, a, now_));
  lanes_.worker_up(kToken, 1, 1);
  EXPECT_EQ(serve(), rest);
  lanes_.worker_up(kToken, 0, 1);  // The index is used again.
  const JobId again = enter(job(2));
  EXPECT_EQ(serve(), again);
}

TEST_F(LanesOfOneToken, ALostTokenGivesBackAllThatWaits) {
  lanes_.worker_up(kToken, 0, 1);
  const JobId running = enter(job(1));
  ASSERT_TRUE(next());
  const JobId a = enter(job(1)), b = enter(job(2, Urgency::cancel));
  EXPECT_THAT(lanes_.token_lost(kToken), UnorderedElementsAre(a, b));
  EXPECT_EQ(lanes_.waiting(kToken), 0U);
  EXPECT_TRUE(lanes_.done(0, running, now_));
}

TEST_F(LanesOfOneToken, TokensDoNotDisturbEachOther) {
  lanes_.worker_up(kToken, 0, 1);
  Job elsewhere = job(9);
  elsewhere.token = 1;
  enter(elsewhere);
  EXPECT_FALSE(next().has_value());
  lanes_.worker_up(1, 1, 1);
  EXPECT_FALSE(next().has_value());
  EXPECT_EQ(lanes_.next(1, now_, expired_)->job, elsewhere.id);
}

class SmallQueue : public LanesOfOneToken {
 protected:
  SmallQueue() { lanes_ = Lanes{LaneLimits{.queue = 16, .reserved_cancels = 4}}; }
  int fill(ClientIndex client, Urgency urgency) {
    int entered = 0;
    while (lanes_.enter(job(static_cast<KeyIndex>(next_id_ % 5), urgency, client), now_)) ++entered;
    return entered;
  }
};

TEST_F(SmallQueue, AClientAloneMayHoldHalfSoThatTheNextFindsRoom) {
  EXPECT_EQ(fill(kBot, Urgency::trade), 6);
  EXPECT_THAT(lanes_.enter(job(1), now_), ErrorIs(Code::overloaded, HasSubstr("its share")));
  EXPECT_EQ(fill(kOther, Urgency::trade), 4);
  EXPECT_GE(fill(2, Urgency::other), 1);
}

TEST_F(SmallQueue, AFullQueueSaysSoAndWhenToTryAgain) {
  for (ClientIndex client = 0; client < 20; ++client) fill(client, Urgency::trade);
  const Result<void> refused = lanes_.enter(job(1, Urgency::trade, 40), now_);
  EXPECT_THAT(refused, ErrorIs(Code::overloaded, HasSubstr("is full")));
  EXPECT_GT(refused.error().retry_after_ms, 0U);
  EXPECT_EQ(lanes_.waiting(kToken), 12U);  // The rest is reserved.
}

TEST_F(SmallQueue, CancelsHaveReservedRoomWhenAllElseIsFull) {
  for (ClientIndex client = 0; client < 20; ++client) fill(client, Urgency::trade);
  EXPECT_THAT(lanes_.enter(job(1, Urgency::cancel, 30), now_), Succeeds());
  EXPECT_THAT(lanes_.enter(job(1, Urgency::cancel, 31), now_), Succeeds());
}

TEST_F(SmallQueue, CancelsMayUseTheGeneralRoomToo) {
  EXPECT_EQ(fill(kBot, Urgency::cancel), 2 + 6);
}

TEST_F(SmallQueue, OneClientsCancelsLeaveReservedRoomForAnother) {
  fill(kBot, Urgency::cancel);
  for (ClientIndex client = 2; client < 20; ++client) fill(client, Urgency::trade);
  EXPECT_THAT(lanes_.enter(job(1, Urgency::cancel, kOther), now_), Succeeds());
}

TEST_F(SmallQueue, TheSignersOwnJobsFindRoomWhenAllElseIsFull) {
  for (ClientIndex client = 0; client < 20; ++client) fill(client, Urgency::cancel);
  EXPECT_THAT(lanes_.enter(job(1, Urgency::checkpoint, kNoClient), now_), Succeeds());
}

TEST_F(SmallQueue, RoomComesBackHoweverAJobLeaves) {
  lanes_.worker_up(kToken, 0, 4);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(fill(kBot, Urgency::trade), 6) << round;
    serve();
    lanes_.expire(now_ + seconds{10});
    EXPECT_EQ(lanes_.waiting(kToken), 0U);
  }
}

TEST_F(SmallQueue, ASlowTokenAsksForMorePatience) {
  lanes_.worker_up(kToken, 0, 1);
  const auto retry_after = [&](milliseconds per_answer) {
    for (int i = 0; i < 60; ++i) {
      fill(kBot, Urgency::trade);
      now_ += per_answer;
      serve();
    }
    fill(kBot, Urgency::trade);
    return lanes_.enter(job(1), now_).error().retry_after_ms;
  };
  const std::uint32_t fast = retry_after(milliseconds{1});
  const std::uint32_t slow = retry_after(milliseconds{50});
  EXPECT_NEAR(fast, 4, 2);
  EXPECT_NEAR(slow, 200, 60);
}

TEST_F(SmallQueue, MoreReservedThanThereIsMeansCancelsOnly) {
  lanes_ = Lanes{LaneLimits{.queue = 4, .reserved_cancels = 9}};
  EXPECT_THAT(lanes_.enter(job(1), now_), ErrorIs(Code::overloaded));
  EXPECT_THAT(lanes_.enter(job(1, Urgency::cancel), now_), Succeeds());
}

}  // namespace
}  // namespace hsm::keystore
