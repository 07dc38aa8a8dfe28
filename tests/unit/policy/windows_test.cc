// Windows and rates as time goes on: what was allowed counts, for whom, and until when.
#include <gmock/gmock.h>

#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// A policy, its windows and a clock.
class PolicyWindows : public testing::Test {
 protected:
  void load(std::string_view rules) {
    rules_ = std::make_unique<Rules>(rules_of(with_clients(rules)));
  }
  void load_limits(std::string_view limits) {
    load(
        "[[rule]]\nname = \"limited\"\nclient = \"mm-bot\"\nkey = \"env:sandbox\"\n"
        "allow = [\"class:read\", \"class:cancel\", \"/v1/order/new\", \"class:session\"]\n" +
        std::string{limits});
  }

  Decision ask(std::string_view json, const Who& who = kMmBot,
               std::string_view key = "sand.trade") {
    KeyFacts facts = sandbox_trader();
    facts.name = key;
    const venue::Payload payload = payload_of(json);
    const Scene scene{.rules = *rules_, .usage = &usage_, .counted = now_, .steady = steady_};
    Decision decision = decide(scene, who, &facts, payload);
    take(scene, decision, payload.endpoint().cls);
    return decision;
  }
  Decision order(std::string_view amount, std::string_view symbol = "btcusd",
                 const Who& who = kMmBot, std::string_view key = "sand.trade") {
    return ask(
        R"({"request":"/v1/order/new","side":"buy","type":"exchange limit","price":"2","symbol":")" +
            std::string{symbol} + R"(","amount":")" + std::string{amount} + "\"}",
        who, key);
  }
  void pass(nanoseconds time) {
    now_ += std::chrono::duration_cast<Clock::Wall::duration>(time);
    steady_ += time;
  }

  std::unique_ptr<Rules> rules_;
  Usage usage_;
  // The last second of a day, of a month and of daylight saving time in New York.
  Clock::Wall now_ = *parse_rfc3339("2026-10-31T23:59:59.000000Z");
  Clock::Steady steady_{};
};

TEST_F(PolicyWindows, CountToTheirMostAndOpenWhenItIsOver) {
  load_limits(R"(window = [ { per = "1h", max_count = 2 } ])");
  EXPECT_TRUE(order("1").allowed());
  pass(minutes{10});
  EXPECT_TRUE(order("1").allowed());
  const Decision third = order("1");
  EXPECT_EQ(third.code, Code::rate_limited);
  EXPECT_EQ(third.rule, "limited");
  EXPECT_THAT(third.sentence, HasSubstr("allows at most 2 in 1h (requests)"));
  // Never sooner than 50 minutes from now, and not much later: the first of the two then leaves.
  EXPECT_GE(third.retry_after_ms, 50U * 60'000);
  EXPECT_LE(third.retry_after_ms, 51U * 60'000);
  pass(minutes{50} - nanoseconds{1});
  EXPECT_FALSE(order("1").allowed());
  pass(minutes{1});
  EXPECT_TRUE(order("1").allowed());
  EXPECT_FALSE(order("1").allowed());
}

TEST_F(PolicyWindows, KnowNoMidnightAndNoDaylightSaving) {
  load_limits(R"(window = [ { per = "24h", max_amount = { btcusd = "10" } } ])");
  EXPECT_TRUE(order("10").allowed());
  pass(seconds{1});  // Another day, another month.
  EXPECT_FALSE(order("0.000000000000000001").allowed());
  pass(hours{6} + minutes{30});  // The clocks of New York were set back at 6:00 UTC.
  EXPECT_FALSE(order("1").allowed());
  pass(hours{17} + minutes{29});
  EXPECT_FALSE(order("1").allowed());
  pass(minutes{30});
  EXPECT_TRUE(order("10").allowed());
}

TEST_F(PolicyWindows, AmountsAddUpExactly) {
  load_limits(R"(window = [ { per = "1h", max_amount = { btcusd = "1", ethusd = "0.3" } } ])");
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(order("0.1").allowed()) << i;
  EXPECT_EQ(order("0.000000000000000001").code, Code::rate_limited);
  EXPECT_TRUE(order("0").allowed());
  EXPECT_TRUE(order("0.3", "ethusd").allowed());
  const Decision more = order("0.1", "ETHUSD");
  EXPECT_EQ(more.code, Code::rate_limited);
  EXPECT_THAT(more.sentence, HasSubstr("allows at most 0.3 in 1h (amount of ethusd)"));
  const Decision other = order("0.1", "solusd");
  EXPECT_EQ(other.code, Code::denied);
  EXPECT_THAT(other.sentence, HasSubstr("names no max_amount of solusd in 1h"));
}

TEST_F(PolicyWindows, WhatNeverFitsIsNoMatterOfWaiting) {
  load_limits(R"(window = [ { per = "1h", max_amount = { btcusd = "1" } } ])");
  const Decision never = order("1.1");
  EXPECT_EQ(never.code, Code::denied);
  EXPECT_EQ(never.retry_after_ms, 0U);
}

TEST_F(PolicyWindows, NotionalAddsUpPerCurrency) {
  load_limits(R"(sides = ["buy"]
window = [ { per = "1h", max_notional = { usd = "10", eur = "4" } } ])");
  EXPECT_TRUE(order("3").allowed());            // 6 usd
  EXPECT_TRUE(order("2", "ethusd").allowed());  // 10 usd
  EXPECT_EQ(order("0.000000000000000001", "solusd").code, Code::rate_limited);
  EXPECT_TRUE(order("2", "btceur").allowed());
  EXPECT_EQ(order("1", "btceur").code, Code::rate_limited);
  EXPECT_THAT(order("1", "btcgbp").sentence, HasSubstr("names no max_notional of gbp"));
}

TEST_F(PolicyWindows, AThousandSmallOrdersAreOneLargeOne) {
  load_limits(R"(max_amount = { btcusd = "1" }
window = [ { per = "1h", max_amount = { btcusd = "5" } } ])");
  int allowed = 0;
  for (int i = 0; i < 1'000; ++i) {
    allowed += order("0.01").allowed() ? 1 : 0;
    pass(seconds{3});
  }
  EXPECT_EQ(allowed, 500);
}

TEST_F(PolicyWindows, WhatTheyRefuseTheyDoNotCount) {
  load_limits(R"(window = [ { per = "1h", max_count = 2 } ]
symbols = ["btcusd"])");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(order("1", "solusd").code, Code::denied);
  EXPECT_TRUE(order("1").allowed());
  EXPECT_TRUE(order("1").allowed());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(order("1").code, Code::rate_limited);
}

TEST_F(PolicyWindows, CancelsReadsAndHeartbeatsPassAFullWindow) {
  load_limits(
      R"(window = [ { per = "1h", max_count = 1 }, { per = "24h", max_amount = { btcusd = "1" } } ])");
  EXPECT_TRUE(order("1").allowed());
  EXPECT_FALSE(order("1").allowed());
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(ask(kCancel).allowed());
    EXPECT_TRUE(ask(kBalances).allowed());
    EXPECT_TRUE(ask(R"({"request":"/v1/heartbeat"})").allowed());
  }
}

constexpr std::string_view kTwoRules = R"(
[[rule]]
name = "bot"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
window = [ { per = "1h", max_amount = { btcusd = "3", ethusd = "3" }, by = "BY" } ]
[[rule]]
name = "treasury"
client = "treasury"
key = "env:sandbox"
allow = ["/v1/order/new"]
window = [ { per = "1h", max_amount = { btcusd = "3", ethusd = "3" }, by = "BY" } ]
)";
std::string two_rules(std::string_view by) {
  std::string rules{kTwoRules};
  for (std::size_t at = rules.find("BY"); at != std::string::npos; at = rules.find("BY"))
    rules.replace(at, 2, by);
  return rules;
}

TEST_F(PolicyWindows, ByRuleAndByClientAreEachTheirOwn) {
  for (std::string_view by : {"rule", "client"}) {
    usage_ = {};
    load(two_rules(by));
    EXPECT_TRUE(order("3").allowed()) << by;
    EXPECT_FALSE(order("1", "btcusd", kMmBot, "sand.other").allowed()) << by;
    EXPECT_TRUE(order("3", "btcusd", kTreasury).allowed()) << by;
  }
}

TEST_F(PolicyWindows, ByKeyIsSharedByAllWhoUseTheKey) {
  load(two_rules("key"));
  EXPECT_TRUE(order("2").allowed());
  EXPECT_FALSE(order("2", "btcusd", kTreasury).allowed());
  EXPECT_TRUE(order("1", "btcusd", kTreasury).allowed());
  EXPECT_FALSE(order("1").allowed());
  EXPECT_TRUE(order("3", "btcusd", kMmBot, "sand.other").allowed());
}

TEST_F(PolicyWindows, BySymbolIsSharedByAllClientsAndKeys) {
  load(two_rules("symbol"));
  EXPECT_TRUE(order("2").allowed());
  EXPECT_FALSE(order("2", "btcusd", kTreasury, "sand.other").allowed());
  EXPECT_TRUE(order("3", "ethusd", kTreasury).allowed());
}

TEST_F(PolicyWindows, TwoRulesOfAClientShareWhatTheyCountByClient) {
  load(R"(
[[rule]]
name = "btc"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
symbols = ["btcusd"]
window = [ { per = "1h", max_count = 2, by = "client" } ]
[[rule]]
name = "eth"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
symbols = ["ethusd"]
window = [ { per = "1h", max_count = 2, by = "client" } ]
)");
  EXPECT_TRUE(order("1", "btcusd").allowed());
  EXPECT_TRUE(order("1", "ethusd").allowed());
  EXPECT_FALSE(order("1", "btcusd").allowed());
  EXPECT_FALSE(order("1", "ethusd").allowed());
}

TEST_F(PolicyWindows, EndlessSymbolsFillNoMemory) {
  load(R"(
[[rule]]
name = "any"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
window = [ { per = "1s", max_count = 9, by = "symbol" } ]
)");
  Decision last;
  for (int i = 0; i < 20'000 && (i == 0 || last.allowed()); ++i)
    last = order("1", "s" + std::to_string(i));
  EXPECT_EQ(last.code, Code::overloaded);
  EXPECT_LE(usage_.meters(), 16'384U);
  pass(seconds{2});  // What is over makes room.
  EXPECT_TRUE(order("1", "fresh").allowed());
  EXPECT_LE(usage_.meters(), 4U);
}

TEST_F(PolicyWindows, GiveBackWhatNeverReachedAWorker) {
  load_limits(R"(window = [ { per = "1h", max_count = 1, max_amount = { btcusd = "1" } } ])");
  const Clock::Wall then = now_;
  const Decision first = order("1");
  EXPECT_FALSE(order("1").allowed());
  pass(minutes{5});
  usage_.give_back(*rules_, *first.granted, first.charge, then);
  EXPECT_TRUE(order("1").allowed());
  EXPECT_FALSE(order("1").allowed());
}

TEST_F(PolicyWindows, ReplayCountsWhatTheLogSays) {
  load_limits(R"(window = [ { per = "1h", max_count = 9, max_amount = { btcusd = "1" } } ])");
  const Charge charge{.key = "sand.trade",
                      .asset = "btcusd",
                      .amount = *Decimal::parse_plain("0.75"),
                      .currency = {},
                      .notional = {}};
  usage_.replay(*rules_, "limited", "mm-bot", charge, now_ - minutes{30});
  EXPECT_FALSE(order("0.3").allowed());
  EXPECT_TRUE(order("0.25").allowed());
  pass(minutes{31});
  EXPECT_TRUE(order("0.75").allowed());
}

TEST_F(PolicyWindows, ReplayOfARuleThatIsGoneCountsInEveryWindowThatWasShared) {
  load(two_rules("key"));
  const Charge charge{.key = "sand.trade",
                      .asset = "btcusd",
                      .amount = *Decimal::parse_plain("3"),
                      .currency = {},
                      .notional = {}};
  usage_.replay(*rules_, "renamed since", "mm-bot", charge, now_);
  EXPECT_FALSE(order("1", "btcusd", kTreasury).allowed());
  EXPECT_TRUE(order("1", "btcusd", kTreasury, "sand.other").allowed());
}

TEST_F(PolicyWindows, RatesLetABurstThroughAndThenTheirPace) {
  load_limits("rate = { per_second = 2, burst = 3 }");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask(kBalances).allowed()) << i;
  const Decision fourth = ask(kBalances);
  EXPECT_EQ(fourth.code, Code::rate_limited);
  EXPECT_THAT(fourth.sentence, HasSubstr("allows 2 requests a second"));
  EXPECT_EQ(fourth.retry_after_ms, 500U);
  EXPECT_FALSE(order("1").allowed());
  EXPECT_TRUE(ask(kCancel).allowed());
  pass(milliseconds{499});
  EXPECT_FALSE(ask(kBalances).allowed());
  pass(milliseconds{1});
  EXPECT_TRUE(ask(kBalances).allowed());
  EXPECT_FALSE(ask(kBalances).allowed());
  pass(hours{1});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask(kBalances).allowed()) << i;
  EXPECT_FALSE(ask(kBalances).allowed());
}

}  // namespace
}  // namespace hsm::policy
