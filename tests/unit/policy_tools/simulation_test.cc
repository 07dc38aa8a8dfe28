#include "hsm_signer/policy_tools/simulation.h"

#include <gmock/gmock.h>

#include "hsm_signer/policy_tools/users.h"
#include "tests/support/error_is.h"

namespace hsm::policy {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kPolicy = R"(version = 1
[[client]]
name = "mm-bot"
uid = "nobody-has-this-name"
[[rule]]
name = "quotes"
client = "mm-bot"
key = "desk"
allow = ["class:read", "class:cancel", "/v1/order/new"]
sides = ["buy"]
max_notional = { usd = "200000" }
price_band = "10%"
reference = { max_age = "10s" }
window = [ { per = "1h", max_amount = { btcusd = "5" } } ]
hours = "Mon-Fri 07:00-22:00 UTC"
)";
constexpr const char* kAsk = R"({"client":"mm-bot","key":"desk","reference":{"btcusd":"30000"}})"
                             "\n";

Clock::Wall start() { return *parse_rfc3339("2026-03-02T15:00:00.000000Z"); }  // A Monday.

std::string order(std::string_view amount, std::string_view price = "30000") {
  return R"("request":{"request":"/v1/order/new","symbol":"btcusd","side":"buy",)"
         R"("type":"exchange limit","amount":")" +
         std::string{amount} + R"(","price":")" + std::string{price} + "\"}}\n";
}

class PolicySimulation : public testing::Test {
 protected:
  Result<std::vector<Outcome>> run(const std::string& lines) {
    Result<std::vector<Question>> questions = read_questions(lines, "q.jsonl");
    if (!questions) return fail(questions.error());
    return simulate(rules_, *std::move(questions), "q.jsonl", start());
  }
  std::vector<Outcome> outcomes(const std::string& lines) {
    auto done = run(kAsk + lines);
    if (!done) ADD_FAILURE() << done.error().sentence();
    return done.value_or(std::vector<Outcome>{});
  }
  const Rules rules_ = *Rules::parse(kPolicy, "policy.toml", any_users());
};

TEST_F(PolicySimulation, SaysWhatWasDecidedAndByWhichRule) {
  const auto done = outcomes("{" + order("1") + "{" + order("1", "40000") +
                             R"({"request":{"request":"/v1/heartbeat"}})");
  ASSERT_THAT(done, SizeIs(3));
  EXPECT_EQ(done[0].verdict, "allow");
  EXPECT_EQ(done[0].rule, "quotes");
  EXPECT_EQ(done[0].endpoint, "/v1/order/new");
  EXPECT_EQ(done[0].line, 2U);
  EXPECT_EQ(done[1].verdict, "denied");
  EXPECT_EQ(done[1].rule, "quotes");
  EXPECT_THAT(done[1].sentence, HasSubstr("within 10% of the reference"));
  EXPECT_EQ(done[2].verdict, "denied");
  EXPECT_EQ(done[2].rule, "");
}

TEST_F(PolicySimulation, CountsWindowsOverLinesInTheOrderOfTheirTimes) {
  const auto done = outcomes(R"({"at":"2026-03-02T15:30:00Z",)" + order("3") +
                             R"({"at":"2026-03-02T15:10:00Z",)" + order("3") +
                             R"({"at":"2026-03-02T16:12:00Z",)" + order("3"));
  ASSERT_THAT(done, SizeIs(3));
  EXPECT_EQ(done[0].line, 3U);
  EXPECT_EQ(done[0].verdict, "allow");
  EXPECT_EQ(done[1].line, 2U);
  EXPECT_EQ(done[1].verdict, "rate_limited");
  EXPECT_EQ(done[2].verdict, "allow");
}

TEST_F(PolicySimulation, AsksAgainUntilTheFirstRefusal) {
  const auto done = outcomes(R"({"times":1000,)" + order("0.5") +
                             R"({"times":5,"request":{"request":"/v1/order/cancel/all"}})");
  ASSERT_THAT(done, SizeIs(2));
  EXPECT_EQ(done[0].allowed, 10U);
  EXPECT_EQ(done[0].verdict, "rate_limited");
  EXPECT_EQ(done[1].allowed, 5U);
  EXPECT_EQ(done[1].verdict, "allow");
}

TEST_F(PolicySimulation, AgesReferencesAndReadsTheHour) {
  const auto done = outcomes(R"({"at":"2026-03-02T15:00:00Z",)" + order("0.1") +
                             R"({"at":"2026-03-02T15:00:10Z","reference":{},)" + order("0.1") +
                             R"({"at":"2026-03-02T15:00:11Z","reference":{},)" + order("0.1") +
                             R"({"at":"2026-03-02T21:59:59Z",)" + order("0.1") +
                             R"({"at":"2026-03-02T22:00:00Z",)" + order("0.1"));
  ASSERT_THAT(done, SizeIs(5));
  EXPECT_EQ(done[0].verdict, "allow");
  EXPECT_EQ(done[1].verdict, "allow");
  EXPECT_THAT(done[2].sentence, HasSubstr("needs a reference price"));
  EXPECT_EQ(done[3].verdict, "allow");
  EXPECT_THAT(done[4].sentence, HasSubstr("only Mon-Fri"));
}

TEST_F(PolicySimulation, TellsAPayloadThatNoRuleIsAskedOf) {
  const auto done = outcomes(R"({"request":{"request":"/v1/order/new?x=1"}}
{"request":"{\"request\":\"/v1/balances\",\"Request\":\"/v1/withdraw/btc\"}"}
{"request":{"request":"/v9/none"},"expect":"deny"})");
  ASSERT_THAT(done, SizeIs(3));
  EXPECT_EQ(done[0].verdict, "denied");
  EXPECT_EQ(done[0].endpoint, "");
  EXPECT_EQ(done[1].verdict, "invalid_payload");
  EXPECT_EQ(done[2].verdict, "denied");
  EXPECT_TRUE(done[2].as_expected());
}

TEST_F(PolicySimulation, ComparesWithWhatWasExpected) {
  const auto done =
      outcomes(R"({"expect":"allow",)" + order("1") + R"({"expect":"deny",)" + order("1") +
               R"({"expect":"denied",)" + order("9") + R"({"expect":"rate_limited",)" + order("9") +
               R"({"uid":1,"expect":"unauthorized",)" + order("1") +
               R"({"uid":1,"expect":"allow",)" + order("1"));
  ASSERT_THAT(done, SizeIs(6));
  const bool wanted[] = {true, false, true, false, true, false};
  for (std::size_t i = 0; i < done.size(); ++i)
    EXPECT_EQ(done[i].as_expected(), wanted[i]) << done[i].verdict << " in line " << done[i].line;
}

TEST_F(PolicySimulation, RefusesAClientThatThePolicyDoesNotHave) {
  const auto done = run(R"({"client":"mm-bto","key":"desk","request":{"request":"/v1/balances"}})");
  ASSERT_THAT(done, ErrorIs(Code::usage));
  EXPECT_EQ(done.error().sentence(), "q.jsonl:1: the policy has no such client: mm-bto");
}

TEST_F(PolicySimulation, RefusesTwoReferencesOfOneInstant) {
  const auto done =
      run(kAsk + ("{" + order("1")) + R"({"reference":{"btcusd":"30001"},)" + order("1"));
  ASSERT_THAT(done, ErrorIs(Code::usage));
  EXPECT_THAT(done.error().sentence(), HasSubstr("q.jsonl:3: not later than the reference"));
}

TEST_F(PolicySimulation, ExplainsEachRuleAndCountsNothing) {
  Simulation simulation{rules_, start()};
  const auto questions = read_questions(kAsk + ("{" + order("5")), "q");
  ASSERT_TRUE(questions);
  for (int i = 0; i < 3; ++i) {
    const Result<Explanation> why = simulation.explain(questions->front());
    ASSERT_TRUE(why);
    EXPECT_TRUE(why->decision.allowed());
    ASSERT_THAT(why->visited, SizeIs(1));
    EXPECT_EQ(why->visited[0].visit, Visit::allows);
  }
}

TEST(AnyUsers, HaveEachTheSameNumberEachTimeAndNoneOfAnother) {
  const Resolver users =
      any_users({.user = [](const std::string& name) -> std::optional<uid_t> {
                   return name == "root" ? std::optional<uid_t>{0} : std::nullopt;
                 },
                 .group = [](const std::string&) -> std::optional<gid_t> { return std::nullopt; }});
  EXPECT_EQ(users.user("root"), 0U);
  const auto first = users.user("a");
  const auto second = users.user("b");
  EXPECT_NE(first, second);
  EXPECT_EQ(users.user("a"), first);
  EXPECT_EQ(users.user("b"), second);
  for (const auto& id : {first, second, users.group("g")}) {
    EXPECT_NE(id, kOverflowUid);
    EXPECT_NE(id, static_cast<uid_t>(-1));
  }
}

}  // namespace
}  // namespace hsm::policy
