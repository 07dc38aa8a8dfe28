// Windows over restarts and clocks that step: what the log says was allowed counts again.
#include "hsm_signer/service/policy_desk.h"

#include <gmock/gmock.h>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"

namespace hsm::service {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::HasSubstr;

constexpr policy::Who kBot{.uid = 7, .gid = 7};

std::shared_ptr<const policy::Rules> rules(const std::string& called = "ten an hour",
                                           const std::string& most = "10") {
  policy::Resolver users;
  users.user = [](const std::string& name) -> std::optional<uid_t> {
    return name == "bot" ? 7 : 8;
  };
  users.group = [](const std::string&) -> std::optional<gid_t> { return std::nullopt; };
  std::string text = R"(version = 1
[[client]]
name = "bot"
uid = "bot"
[[client]]
name = "feed"
uid = "feed"
push_reference = true
push_skew = true
[[rule]]
name = "ten an hour"
client = "bot"
key = "k"
allow = ["/v1/order/new", "class:read"]
sides = ["buy"]
window = [ { per = "1h", max_amount = { btcusd = "10" }, max_notional = { usd = "1000" } } ]
)";
  text.replace(text.find("ten an hour"), 11, called);
  text.replace(text.find("\"10\""), 4, '"' + most + '"');
  auto parsed = policy::Rules::parse(text, "policy.toml", users);
  return std::make_shared<const policy::Rules>(*std::move(parsed));
}

// What one run of the signer leaves in its log.
class PolicyDeskTest : public ::testing::Test {
 protected:
  std::unique_ptr<PolicyDesk> start() {
    auto desk = std::make_unique<PolicyDesk>(clock_, rules());
    for (const audit::Record& record : log_) desk->replay(record);
    return desk;
  }
  bool order(PolicyDesk& desk, std::string_view amount) {
    const auto payload = *venue::Payload::parse_request(
        R"({"request":"/v1/order/new","symbol":"btcusd","price":"1","side":"buy","type":"exchange limit","amount":")" +
        std::string{amount} + "\"}");
    const policy::KeyFacts key{.name = "k",
                               .environment = Environment::sandbox,
                               .scope = Scope::account,
                               .roles = venue::kTrader,
                               .state = VersionState::active};
    const policy::Decision decision = policy::decide(desk.scene(), kBot, &key, payload);
    if (!decision.allowed()) return false;
    desk.take(decision, payload.endpoint().cls);
    audit::Record record = audit::Record::sign(7, 7, 1);
    record.time = clock_.wall();
    record.verdict = audit::Verdict::allow;
    record.key = "k";
    record.client = decision.client;
    record.rule = decision.rule;
    record.endpoint_class = "trade";
    add_charge(decision, record);
    log_.push_back(record);
    return true;
  }

  FakeClock clock_;
  std::vector<audit::Record> log_;
};

TEST_F(PolicyDeskTest, ARestartForgetsNothing) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "6"));
  clock_.advance(minutes{30});
  desk = start();
  EXPECT_FALSE(order(*desk, "5"));
  EXPECT_TRUE(order(*desk, "4"));
  desk = start();
  EXPECT_FALSE(order(*desk, "1"));
  clock_.advance(minutes{31});
  EXPECT_TRUE(order(*desk, "6"));
  desk = start();
  EXPECT_FALSE(order(*desk, "1"));
}

TEST_F(PolicyDeskTest, AClockThatStepsWhileItRunsMovesNoWindow) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "10"));
  clock_.step_wall(hours{48});
  EXPECT_FALSE(order(*desk, "1"));
  clock_.step_wall(-hours{96});
  EXPECT_FALSE(order(*desk, "1"));
  clock_.advance(minutes{62});
  EXPECT_TRUE(order(*desk, "10"));
}

TEST_F(PolicyDeskTest, AClockThatWasSetBackBetweenTwoRunsEmptiesNoWindow) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "10"));
  clock_.step_wall(-hours{1'000});
  desk = start();
  EXPECT_FALSE(order(*desk, "1"));
  clock_.advance(minutes{62});
  EXPECT_TRUE(order(*desk, "10"));
  // And though it is right again, with the log's times going back and forth.
  clock_.step_wall(hours{1'000});
  clock_.advance(minutes{1});
  desk = start();
  EXPECT_TRUE(order(*desk, "10")) << "a forward step between two runs ages what was before";
}

TEST_F(PolicyDeskTest, AClockThatWasWrongForAWhileLeavesNothingBehind) {
  clock_.step_wall(hours{50'000});  // Years ahead.
  auto desk = start();
  EXPECT_TRUE(order(*desk, "1"));
  clock_.step_wall(-hours{50'000});
  desk = start();
  EXPECT_TRUE(order(*desk, "9"));
  EXPECT_FALSE(order(*desk, "1"));
  for (int i = 0; i < 3; ++i) {
    clock_.advance(minutes{62});
    desk = start();
    EXPECT_TRUE(order(*desk, "10")) << i;
    EXPECT_FALSE(order(*desk, "1")) << i;
  }
}

TEST_F(PolicyDeskTest, OnlyWhatWasAllowedAndCommitsCounts) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "10"));
  log_.back().verdict = audit::Verdict::refuse;
  EXPECT_TRUE(order(*(desk = start()), "10"));
  log_.back().endpoint_class = "read";
  EXPECT_TRUE(order(*(desk = start()), "10"));
  log_.back().endpoint_class = "no such class";
  EXPECT_TRUE(order(*(desk = start()), "10"));
  EXPECT_FALSE(order(*(desk = start()), "1"));
}

TEST_F(PolicyDeskTest, GivesBackWhatItTook) {
  auto desk = start();
  const auto payload = *venue::Payload::parse_request(
      R"({"request":"/v1/order/new","symbol":"btcusd","price":"1","side":"buy","type":"exchange limit","amount":"10"})");
  const policy::KeyFacts key{.name = "k",
                             .environment = Environment::sandbox,
                             .scope = Scope::account,
                             .roles = venue::kTrader,
                             .state = VersionState::active};
  const policy::Decision decision = policy::decide(desk->scene(), kBot, &key, payload);
  const Clock::Wall at = desk->take(decision, venue::Class::trade);
  EXPECT_FALSE(order(*desk, "1"));
  clock_.advance(minutes{5});
  desk->give_back(*desk->rules(), decision, venue::Class::trade, at);
  EXPECT_TRUE(order(*desk, "10"));
}

TEST_F(PolicyDeskTest, GoesOnCountingUnderAnotherPolicy) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "6"));
  EXPECT_THAT(desk->replace(rules("ten an hour", "7")), ::testing::IsEmpty());
  EXPECT_FALSE(order(*desk, "2"));
  EXPECT_TRUE(order(*desk, "1"));
  EXPECT_THAT(desk->replace(rules("ten an hour", "20")), ::testing::IsEmpty());
  EXPECT_TRUE(order(*desk, "13"));
  EXPECT_FALSE(order(*desk, "1"));
}

TEST_F(PolicyDeskTest, BeginsTheWindowOfARuleOfAnotherNameAnewAndSaysSo) {
  auto desk = start();
  EXPECT_TRUE(order(*desk, "10"));
  EXPECT_THAT(desk->replace(rules("another name")),
              ::testing::ElementsAre("rule \"another name\", 1h"));
  EXPECT_TRUE(order(*desk, "10"));
  desk->replace(rules());
  EXPECT_FALSE(order(*desk, "1")) << "the old one has forgotten nothing";
}

TEST_F(PolicyDeskTest, OnlyWhoMaySaysWhatTheExchangesClockShows) {
  auto desk = start();
  for (const policy::Who& other : {kBot, policy::Who{.uid = 9, .gid = 9}})
    EXPECT_THAT(desk->may_push_skew(other), ErrorIs(Code::denied, HasSubstr("push_skew = true")));
  EXPECT_THAT(desk->may_push_skew({.uid = 8, .gid = 8}), Succeeds());
}

TEST_F(PolicyDeskTest, OnlyAFeedPushesReferences) {
  auto desk = start();
  const wire::PushReference ask{.symbol = "btcusd", .price = "30000"};
  EXPECT_THAT(desk->push_reference(kBot, ask), ErrorIs(Code::denied, HasSubstr("may not push")));
  EXPECT_THAT(desk->push_reference({.uid = 9, .gid = 9}, ask),
              ErrorIs(Code::denied, HasSubstr("may not push")));
  const policy::Who feed{.uid = 8, .gid = 8};
  EXPECT_THAT(desk->push_reference(feed, ask), Succeeds());
  for (std::string_view price : {"0", "-1", "1e3", "", "30000 "})
    EXPECT_THAT(desk->push_reference(feed, {.symbol = "ethusd", .price = std::string{price}}),
                ErrorIs(Code::invalid_payload, HasSubstr("")))
        << price;
  EXPECT_THAT(desk->push_reference(feed, {.symbol = "", .price = "1"}),
              ErrorIs(Code::invalid_payload, HasSubstr("symbol")));
  EXPECT_THAT(desk->push_reference(feed, ask),
              ErrorIs(Code::invalid_payload, HasSubstr("not later")));
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.wall().time_since_epoch());
  EXPECT_THAT(
      desk->push_reference(feed, {.symbol = "ethusd",
                                  .price = "1",
                                  .time_us = static_cast<std::uint64_t>(now.count()) + 6'000'000}),
      ErrorIs(Code::invalid_payload, HasSubstr("of the future")));
  EXPECT_THAT(desk->push_reference(feed, {.symbol = "ethusd", .price = "1", .time_us = ~0ULL}),
              ErrorIs(Code::invalid_payload, HasSubstr("of the future")));
}

}  // namespace
}  // namespace hsm::service
