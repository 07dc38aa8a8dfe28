// Whatever comes, goes and dies: a key is in one worker at a time, no worker holds more than its
// depth, what is to stay in order does, and every job ends exactly once.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "hsm_signer/keystore/lanes.h"

namespace hsm::keystore {
namespace {

using std::chrono::milliseconds;

constexpr TokenIndex kTokens = 2;
constexpr WorkerIndex kWorkers = 6;  // Worker w serves token w % kTokens.
constexpr KeyIndex kKeys = 12;       // Odd keys stay in order; key k lives in token k % kTokens.
constexpr unsigned kDepth = 3;

class World {
 public:
  explicit World(std::uint32_t seed)
      : random_{seed}, lanes_{LaneLimits{.queue = 64, .reserved_cancels = 16}} {}

  void step() {
    now_ += milliseconds{random_() % 3};
    const auto dice = random_() % 100;
    if (dice < 40) return enter();
    if (dice < 70) return next();
    if (dice < 94) return answer();
    if (dice < 96) return up_or_down();
    if (dice < 98) return end_all(lanes_.expire(now_));
    if (random_() % 10 == 0)
      end_all(lanes_.token_lost(static_cast<TokenIndex>(random_() % kTokens)));
  }

  // Everything that is still inside must come out.
  void drain() {
    for (WorkerIndex w = 0; w < kWorkers; ++w) {
      if (!flying_.contains(w)) bring_up(w);
    }
    for (int rounds = 0; !open_.empty() && rounds < 10'000; ++rounds) {
      next();
      answer();
    }
    EXPECT_TRUE(open_.empty());
    EXPECT_EQ(lanes_.waiting(0) + lanes_.waiting(1), 0U);
  }
  std::size_t served() const { return served_; }
  std::size_t lost() const { return lost_; }

 private:
  void enter() {
    const auto key = static_cast<KeyIndex>(random_() % kKeys);
    const Job job{.id = ++last_id_,
                  .key = key,
                  .client = static_cast<ClientIndex>(random_() % 4),
                  .token = key % kTokens,
                  .urgency = static_cast<Urgency>(random_() % kUrgencies),
                  .deadline = now_ + milliseconds{1 + random_() % 200},
                  .in_order = key % 2 == 1};
    if (lanes_.enter(job, now_)) open_.emplace(job.id, job);
  }
  void next() {
    std::vector<JobId> expired;
    const auto token = static_cast<TokenIndex>(random_() % kTokens);
    const std::optional<Turn> turn = lanes_.next(token, now_, expired);
    for (const JobId id : expired) {
      ASSERT_LE(open_.at(id).deadline, now_);
      end(id);
    }
    if (!turn) return;
    const Job& job = open_.at(turn->job);
    ASSERT_EQ(job.token, token);
    ASSERT_GT(job.deadline, now_) << "an overdue job was handed out";
    ASSERT_EQ(turn->worker % kTokens, token);
    for (const auto& [worker, frames] : flying_) {
      for (const JobId other : frames)
        ASSERT_TRUE(worker == turn->worker || open_.at(other).key != job.key);
    }
    if (job.in_order) {
      ASSERT_GT(job.id, last_of_key_[job.key]) << "out of order";
      last_of_key_[job.key] = job.id;
    }
    flying_.at(turn->worker).push_back(turn->job);
    ASSERT_LE(flying_.at(turn->worker).size(), kDepth);
    ASSERT_EQ(lanes_.in_flight(turn->worker), flying_.at(turn->worker).size());
  }
  void answer() {
    const auto worker = static_cast<WorkerIndex>(random_() % kWorkers);
    if (!flying_.contains(worker) || flying_.at(worker).empty()) return;
    const JobId id = flying_.at(worker).front();
    flying_.at(worker).pop_front();
    ASSERT_TRUE(lanes_.done(worker, id, now_));
    ++served_;
    end(id);
  }
  void bring_up(WorkerIndex worker) {
    lanes_.worker_up(worker % kTokens, worker, kDepth);
    flying_[worker];
  }
  void up_or_down() {
    const auto worker = static_cast<WorkerIndex>(random_() % kWorkers);
    if (!flying_.contains(worker)) return bring_up(worker);
    if (random_() % 2 == 0) return;
    const std::vector<JobId> lost = lanes_.worker_lost(worker);
    const std::deque<JobId> expected = flying_.at(worker);
    ASSERT_TRUE(std::equal(lost.begin(), lost.end(), expected.begin(), expected.end()));
    flying_.erase(worker);
    lost_ += lost.size();
    end_all(lost);
  }
  void end_all(const std::vector<JobId>& ids) {
    for (const JobId id : ids) end(id);
  }
  void end(JobId id) { ASSERT_EQ(open_.erase(id), 1U) << "a job ended twice"; }

  std::mt19937 random_;
  Lanes lanes_;
  Clock::Steady now_{std::chrono::hours{1}};
  JobId last_id_ = 0;
  std::map<JobId, Job> open_;
  std::map<WorkerIndex, std::deque<JobId>> flying_;
  std::map<KeyIndex, JobId> last_of_key_;
  std::size_t served_ = 0;
  std::size_t lost_ = 0;
};

TEST(LanesProperty, HoldsItsPromisesOverRandomComingsAndGoings) {
  std::size_t served = 0;
  std::size_t lost = 0;
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    World world{seed};
    for (int i = 0; i < 4'000; ++i) {
      world.step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    world.drain();
    served += world.served();
    lost += world.lost();
  }
  EXPECT_GT(served, 10'000U);  // Or nothing was shown.
  EXPECT_GT(lost, 100U);
}

}  // namespace
}  // namespace hsm::keystore
