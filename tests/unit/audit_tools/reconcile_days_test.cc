// Whole days, held against the exchange's history of them.
#include <random>

#include "tests/unit/audit_tools/reconciliation.h"

namespace hsm::audit_tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Ten thousand orders of five forms, one each 7 s, so that some four within the skew are alike; the
// network adds up to 2 s.
enum class Ids { none, each };
struct Day {
  std::vector<Record> records;
  std::vector<Item> items;
};
Day clean_day(seconds skew, Ids ids) {
  Day day;
  std::mt19937 random{17};
  for (int i = 0; i < 10'000; ++i) {
    const Clock::Wall time = kDay + milliseconds{i * 7'000};
    const std::string price = std::to_string(30'000 + random() % 5);
    const std::string id = ids == Ids::each ? "c" + std::to_string(i) : "";
    day.records.push_back(order(time, "0.5", price, id));
    day.items.push_back(shown_order(std::to_string(i), time + skew + milliseconds{random() % 2000},
                                    "0.50", price, id));
  }
  for (int i = 0; i < 20; ++i) {
    const Clock::Wall time = kDay + std::chrono::hours{i};
    day.records.push_back(withdrawal(time, "1.5", "bc1q" + std::to_string(i)));
    day.items.push_back(
        shown_transfer(std::to_string(i), time + skew, "1.50", "bc1q" + std::to_string(i)));
    day.items.push_back(shown_transfer("d" + std::to_string(i), time, "3", "", "deposit"));
  }
  return day;
}

class Days : public Reconciliation, public ::testing::WithParamInterface<Ids> {};

TEST_P(Days, OfTenThousandOrdersRaiseNoAlarmWithClocksTwentySecondsApart) {
  const Day ahead = clean_day(seconds{20}, GetParam());
  write(ahead.records);
  const Reconciled done = compare(ahead.items);
  EXPECT_TRUE(done.ok()) << done.foreign.size();
  EXPECT_EQ(done.orders, 10'000U);
  EXPECT_EQ(done.matched, 10'020U);
  EXPECT_EQ(done.incoming, 20U);
  EXPECT_EQ(done.before_log, 0U);
  EXPECT_EQ(done.unseen, 0U);
  EXPECT_TRUE(compare(clean_day(seconds{-20}, GetParam()).items).ok());
}

TEST_P(Days, ShowTheOneForeignOrderAmongTenThousandAndAForeignWithdrawal) {
  Day day = clean_day(seconds{20}, GetParam());
  write(day.records);
  day.items.push_back(shown_order("foreign", kDay + std::chrono::hours{5}, "0.5", "30007"));
  day.items.push_back(
      shown_transfer("stolen", kDay + std::chrono::hours{6}, "1.5", "bc1qsomebodyelse"));
  const Reconciled done = compare(day.items);
  ASSERT_EQ(done.foreign.size(), 2U);
  EXPECT_EQ(done.foreign[0].item.id, "foreign");
  EXPECT_EQ(done.foreign[0].why, "nothing like it was signed here");
  EXPECT_EQ(done.foreign[1].item.id, "stolen");
  EXPECT_EQ(done.matched, 10'020U);
}

// One more than was signed, in every way alike, at any time of the day.
TEST_P(Days, ShowThatOneIsForeignWhereItIsAlikeInAll) {
  Day day = clean_day(seconds{20}, GetParam());
  write(day.records);
  for (const std::size_t at : {0U, 4'000U, 9'999U}) {
    std::vector<Item> items = day.items;
    items.push_back(items[at]);
    items.back().id = "twin";
    const Reconciled done = compare(items);
    ASSERT_EQ(done.foreign.size(), 1U) << at;
    EXPECT_EQ(done.foreign[0].item.amount, items[at].amount);
    EXPECT_EQ(done.foreign[0].item.price, items[at].price);
    EXPECT_EQ(done.matched, 10'020U);
  }
}

// Alike in all but the id, in the place of one that was signed and never sent.
TEST_P(Days, ShowAForeignOrderWithAnIdOfItsOwn) {
  Day day = clean_day(seconds{20}, GetParam());
  write(day.records);
  day.items[4'000].client_id = "thief";
  const Reconciled done = compare(day.items);
  ASSERT_EQ(done.foreign.size(), 1U);
  EXPECT_EQ(done.foreign[0].item.id, "4000");
  EXPECT_EQ(done.unseen, 1U);
}

INSTANTIATE_TEST_SUITE_P(With, Days, ::testing::Values(Ids::none, Ids::each), [](const auto& form) {
  return form.param == Ids::none ? "NoIds" : "IdsOfTheClient";
});

}  // namespace
}  // namespace hsm::audit_tools
