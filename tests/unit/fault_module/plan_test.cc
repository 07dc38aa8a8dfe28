#include "tests/fault_module/plan.h"

#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

namespace hsm::test::fault {
namespace {

Plan plan_of(const std::string& text) {
  const auto parsed = Plan::parse(text);
  EXPECT_EQ(parsed.error, "");
  return parsed.plan;
}

// On which of the calls 1 … `calls` of C_Sign something strikes.
std::vector<int> strikes(const std::string& text, int calls, std::uint64_t rank = 0) {
  Triggers triggers{plan_of(text), rank};
  std::vector<int> struck;
  for (int call = 1; call <= calls; ++call) {
    triggers.due("C_SignInit");
    if (!triggers.due("C_Sign").empty()) struck.push_back(call);
  }
  return struck;
}

TEST(FaultPlan, StrikesAtTheCallThatARuleNames) {
  EXPECT_EQ(strikes("C_Sign at 3 hang", 5), (std::vector<int>{3}));
  EXPECT_EQ(strikes("C_Sign from 3 flip", 5), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(strikes("C_Login from 1 hang", 5), std::vector<int>{});
  EXPECT_EQ(strikes("* at 4 hang", 5), (std::vector<int>{2})) << "the fourth call of any kind";
}

TEST(FaultPlan, StrikesAtRandomAsOftenAsItSays) {
  const auto struck = strikes("C_Sign one-in 10 segv", 10'000);
  EXPECT_GT(struck.size(), 850U);
  EXPECT_LT(struck.size(), 1'150U);
  EXPECT_EQ(struck, strikes("C_Sign one-in 10 segv", 10'000)) << "the same seed, the same faults";
  EXPECT_NE(struck, strikes("seed 2\nC_Sign one-in 10 segv", 10'000));
  EXPECT_NE(struck, strikes("C_Sign one-in 10 segv", 10'000, 1)) << "each process its own";
}

TEST(FaultPlan, KeepsARuleForOneProcess) {
  EXPECT_EQ(strikes("rank 1 C_Sign at 1 hang", 2, 0), std::vector<int>{});
  EXPECT_EQ(strikes("rank 1 C_Sign at 1 hang", 2, 1), (std::vector<int>{1}));
}

TEST(FaultPlan, ReadsEveryEffect) {
  const Plan plan = plan_of(
      "# what a bad day looks like\n"
      "seed 7\nlimit sessions 16\nlimit idle 30000\nwithhold foreign\n"
      "C_Sign at 1 rv CKR_DEVICE_REMOVED\nC_Sign at 1 delay 10 20\nC_Sign at 1 hang\n"
      "C_Sign at 1 segv\nC_Sign at 1 abort\nC_Sign at 1 exit\nC_Sign at 1 scribble 64\n"
      "C_Sign at 1 short\nC_Sign at 1 flip\nC_Sign at 1 overrun 32\nC_Sign at 1 logout\n"
      "C_Sign at 1 remove 250   # ms\n");
  EXPECT_EQ(plan.seed, 7U);
  EXPECT_EQ(plan.sessions, 16U);
  EXPECT_EQ(plan.idle_ms, 30'000U);
  EXPECT_EQ(plan.withheld, "foreign");
  ASSERT_EQ(plan.rules.size(), 12U);
  EXPECT_EQ(plan.rules[0].first, CKR_DEVICE_REMOVED);
  EXPECT_EQ(plan.rules[1].second, 20U);
  EXPECT_EQ(plan.rules[11].effect, Rule::Effect::remove);
}

TEST(FaultPlan, TakesARuleForEachCallThatTheModuleStandsBefore) {
#define HSM_FAULT_RULE(name) #name " at 1 hang\n"
  const Plan plan = plan_of(HSM_FAULT_HOOKED(HSM_FAULT_RULE) "* at 1 hang\n");
#undef HSM_FAULT_RULE
  ASSERT_EQ(plan.rules.size(), 19U);
  EXPECT_EQ(plan.rules[0].call, "C_Initialize");
}

TEST(FaultPlan, KeepsTheTextOfARuleWithOneBlankBetweenItsWords) {
  const Plan plan = plan_of("  rank 1\tC_Sign   at 1 delay 10 20   # slowly\n");
  EXPECT_EQ(plan.rules.at(0).text, "rank 1 C_Sign at 1 delay 10 20");
}

TEST(FaultPlan, RefusesWhatIsNoRuleWithItsLine) {
  for (const char* line : {"C_Sign",
                           "C_Sign at 1",
                           "C_Sign at 0 hang",
                           "C_Sign at x hang",
                           "Sign at 1 hang",
                           "C_Sign often 1 hang",
                           "C_Sign at 1 rv",
                           "C_Sign at 1 rv CKR_NOTHING",
                           "C_Sign at 1 delay 20 10",
                           "C_Sign at 1 delay 20",
                           "C_Sign at 1 hang 3",
                           "rank x C_Sign at 1 hang",
                           "C_WrapKey at 1 hang",
                           "C_sign at 1 hang",
                           "C_Login at 1 flip",
                           "* at 1 short",
                           "C_SignInit at 1 overrun 8",
                           "limit idle",
                           "withhold",
                           "limit files 3",
                           "seed x",
                           "seed"}) {
    const auto parsed = Plan::parse(std::string{"\n"} + line + "\n");
    EXPECT_NE(parsed.error.find("line 2"), std::string::npos) << line;
    EXPECT_NE(parsed.error.find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace hsm::test::fault
