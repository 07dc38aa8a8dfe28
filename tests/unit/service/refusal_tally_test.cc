#include "hsm_signer/service/refusal_tally.h"

#include <gmock/gmock.h>

#include "tests/support/fake_clock.h"

namespace hsm::service {
namespace {

using std::chrono::seconds;

class RefusalTallyTest : public ::testing::Test {
 protected:
  // How many of so many at once are to be written.
  int taken(uid_t uid, int asked) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += tally_.takes(uid, clock_.steady()) ? 1 : 0;
    return count;
  }

  FakeClock clock_;
  RefusalTally tally_;
};

TEST_F(RefusalTallyTest, TakesTwoHundredOfAUidAtOnceAndThenFiftyASecond) {
  EXPECT_EQ(taken(1000, 500), 200);
  clock_.advance(seconds{2});
  EXPECT_EQ(taken(1000, 500), 100);
  clock_.advance(std::chrono::hours{1});
  EXPECT_EQ(taken(1000, 500), 200);
}

TEST_F(RefusalTallyTest, HasAShareForEachUid) {
  EXPECT_EQ(taken(1000, 500), 200);
  EXPECT_EQ(taken(1001, 500), 200);
}

TEST_F(RefusalTallyTest, RemembersNoMoreUidsThanItMay) {
  const uid_t first = 5000;
  for (uid_t i = 0; i < RefusalTally::kMostUids; ++i) EXPECT_EQ(taken(first + i, 1), 1);
  EXPECT_EQ(taken(1, 200), 200) << "the share of all others";
  EXPECT_EQ(taken(2, 200), 0) << "which they have together";
  EXPECT_EQ(taken(first, 500), 199) << "who is remembered keeps his own";
  clock_.advance(seconds{4});
  EXPECT_EQ(taken(3, 500), 200) << "all are forgotten meanwhile";
}

TEST_F(RefusalTallyTest, CountsByUidAndCodeSinceTheFirst) {
  const Clock::Wall first = clock_.wall();
  tally_.count(1000, "denied", first);
  clock_.advance(seconds{3});
  tally_.count(1000, "rate_limited", clock_.wall());
  tally_.count(1000, "denied", clock_.wall());
  tally_.count(7, "denied", clock_.wall());
  const auto records = tally_.records();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].uid, 7U);
  EXPECT_EQ(records[0].count, 1U);
  EXPECT_EQ(records[1].uid, 1000U);
  EXPECT_EQ(records[1].count, 3U);
  EXPECT_EQ(records[1].since, first);
  EXPECT_EQ(records[1].fields, (std::vector<audit::Field>{{"denied", "2"}, {"rate_limited", "1"}}));
  EXPECT_EQ(tally_.records().size(), 2U) << "until they are told";
  tally_.told();
  EXPECT_TRUE(tally_.records().empty());
}

TEST_F(RefusalTallyTest, LosesNoCountOfTheUidsItCannotTellApart) {
  const std::size_t uids = RefusalTally::kMostUids + 500;
  for (uid_t uid = 1; uid <= uids; ++uid) tally_.count(uid, "denied", clock_.wall());
  const auto records = tally_.records();
  EXPECT_EQ(records.size(), RefusalTally::kMostUids + 1);
  EXPECT_EQ(records.back().uid, RefusalTally::kOthers);
  EXPECT_EQ(records.back().count, 500U);
}

TEST_F(RefusalTallyTest, WritesRecordsThatTheLogTakes) {
  tally_.count(RefusalTally::kOthers, "audit_unavailable", clock_.wall());
  for (audit::Record& record : tally_.records()) {
    record.seq = 1;
    record.time = clock_.wall();
    std::string line;
    EXPECT_TRUE(audit::append_line(record, line).has_value());
  }
}

}  // namespace
}  // namespace hsm::service
