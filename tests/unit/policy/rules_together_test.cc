// Several rules with limits: which of them decides, and which speaks.
#include "tests/unit/policy/limits_fixture.h"

namespace hsm::policy {
namespace {

TEST(PolicyLimits, TheRuleThatComesClosestSpeaks) {
  const Rules rules = rules_of(with_clients(R"(
[[rule]]
name = "eth"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
symbols = ["ethusd"]
[[rule]]
name = "large with officers"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
max_amount = { btcusd = "100" }
approvals = { group = "officers", need = 1, within = "15m" }
[[rule]]
name = "small"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
max_amount = { btcusd = "1" }
)"));
  const KeyFacts key = any_role();
  const auto ask = [&](std::string_view members) {
    return decide({rules}, kMmBot, &key, payload_of(order_with(members)));
  };
  EXPECT_EQ(ask(R"("amount":"1")").rule, "small");
  EXPECT_EQ(ask(R"("amount":"2")").code, Code::approval_required);
  EXPECT_EQ(ask(R"("amount":"2")").rule, "large with officers");
  EXPECT_EQ(ask(R"("amount":"200")").rule, "eth");  // All are as far: the first.
  const Decision approved = decide({.rules = rules, .approved_rule = "large with officers"}, kMmBot,
                                   &key, payload_of(order_with(R"("amount":"2")")));
  EXPECT_TRUE(approved.allowed());
  const Decision other = decide({.rules = rules, .approved_rule = "eth"}, kMmBot, &key,
                                payload_of(order_with(R"("amount":"2")")));
  EXPECT_EQ(other.code, Code::approval_required);
}

TEST(PolicyLimits, ADenyBeatsWhatLimitsAllow) {
  const Rules rules = rules_of(with_clients(R"(
[[rule]]
name = "small"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
max_amount = { btcusd = "1" }
[[rule]]
name = "never"
client = "mm-bot"
key = "env:sandbox"
deny = ["class:trade"]
)"));
  const KeyFacts key = any_role();
  const Decision decision = decide({rules}, kMmBot, &key, payload_of(order_with("")));
  EXPECT_FALSE(decision.allowed());
  EXPECT_EQ(decision.rule, "never");
}

}  // namespace
}  // namespace hsm::policy
