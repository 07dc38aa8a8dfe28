#include <gtest/gtest.h>

#include "hsm_signer/policy/development.h"
#include "hsm_signer/policy/policy.h"
#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kRules = R"([[rule]]
name = "reads"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read"]
[[rule]]
name = "orders"
client = "mm-bot"
key = "sand.trade"
allow = ["class:trade"]
[[rule]]
name = "no wrapping"
client = "mm-bot"
key = "env:sandbox"
deny = ["/v1/wrap/{symbol}"]
[[rule]]
name = "elsewhere"
client = "mm-bot"
key = "desk-z"
allow = ["class:trade"]
)";

std::vector<std::string> visits(const Explanation& explanation) {
  std::vector<std::string> out;
  for (const VisitedRule& rule : explanation.visited)
    out.push_back(rule.rule + ": " + std::string{name(rule.visit)});
  return out;
}

TEST(PolicyExplanation, VisitsEveryRuleOfTheCallerAndNoneOfOthers) {
  const Rules rules = rules_of(with_clients(kRules));
  const KeyFacts key = sandbox_trader();
  EXPECT_THAT(visits(explain({rules}, kMmBot, &key, payload_of(kOrder))),
              ElementsAre("reads: other_endpoint", "orders: allows", "no wrapping: other_endpoint",
                          "elsewhere: other_key"));
  EXPECT_THAT(visits(explain({rules}, kMmBot, &key,
                             payload_of(R"({"request":"/v1/wrap/btcusd","amount":"1"})"))),
              ElementsAre("reads: other_endpoint", "orders: allows", "no wrapping: denies",
                          "elsewhere: other_key"));
}

TEST(PolicyExplanation, SaysWhereARuleStandsAndWhatTheGuardsSay) {
  const Rules rules = rules_of(with_clients(kRules));
  KeyFacts key = sandbox_trader();
  key.roles = venue::kAuditor;
  const Explanation explanation = explain({rules}, kMmBot, &key, payload_of(kOrder));
  EXPECT_EQ(explanation.visited[1].where, "policy.toml:18:1");
  EXPECT_THAT(explanation.visited[1].why, HasSubstr("allows /v1/order/new (class trade)"));
  EXPECT_THAT(explanation.guards, Contains(HasSubstr("roles: /v1/order/new needs")));
  EXPECT_THAT(explanation.guards, Contains("scope: holds"));
  EXPECT_FALSE(explanation.decision.allowed());
}

TEST(PolicyExplanation, DecidesAsTheDecisionDoes) {
  const Rules rules = rules_of(with_clients(kRules));
  const KeyFacts sandbox = sandbox_trader();
  const KeyFacts production = production_trader();
  for (const KeyFacts* key : {&sandbox, &production, static_cast<const KeyFacts*>(nullptr)}) {
    for (std::string_view json : {kOrder, kCancel, kBalances, kWithdraw}) {
      for (const Who& who : {kMmBot, kTreasury, Who{.uid = 5, .gid = 5}}) {
        const venue::Payload payload = payload_of(json);
        const Decision decision = decide({rules}, who, key, payload);
        const Decision explained = explain({rules}, who, key, payload).decision;
        EXPECT_EQ(explained.verdict, decision.verdict);
        EXPECT_EQ(explained.code, decision.code);
        EXPECT_EQ(explained.rule, decision.rule);
        EXPECT_EQ(explained.sentence, decision.sentence);
      }
    }
  }
}

TEST(PolicyExplanation, DoesNotTellWhetherAKeyExistsThatTheCallerMayNotUse) {
  const Rules rules = rules_of(with_clients(
      std::string{kRules}.append("[[rule]]\nname = \"hands off\"\nclient = \"mm-bot\"\nkey = "
                                 "\"env:production\"\ndeny = [\"class:read\"]\n")));
  const KeyFacts there = production_trader();
  const venue::Payload payload = payload_of(kBalances);
  const Explanation found = explain({rules}, kMmBot, &there, payload);
  const Explanation missing = explain({rules}, kMmBot, nullptr, payload);
  EXPECT_EQ(found.decision.sentence, missing.decision.sentence);
  EXPECT_EQ(visits(found), visits(missing));
  EXPECT_EQ(found.guards, missing.guards);
  ASSERT_EQ(found.visited.size(), 5U);
  for (std::size_t i = 0; i < found.visited.size(); ++i)
    EXPECT_EQ(found.visited[i].why, missing.visited[i].why);
}

TEST(PolicyExplanation, TellsAnUnknownCallerNothing) {
  const KeyFacts key = sandbox_trader();
  const Explanation explanation =
      explain({rules_of(with_clients(kRules))}, Who{.uid = 5, .gid = 5}, &key, payload_of(kOrder));
  EXPECT_THAT(explanation.visited, IsEmpty());
  EXPECT_THAT(explanation.guards, IsEmpty());
  EXPECT_EQ(explanation.decision.code, Code::unauthorized);
}

Classes classes(std::initializer_list<venue::Class> list) {
  Classes set = 0;
  for (venue::Class cls : list) set = static_cast<Classes>(set | 1U << static_cast<unsigned>(cls));
  return set;
}

TEST(PolicyKeys, ListsOnlyKeysTheCallerMayUseWithWhatTheRolesLeave) {
  const Rules rules = rules_of(with_clients(
      std::string{kRules}.append("[[rule]]\nname = \"hands off\"\nclient = \"mm-bot\"\nkey = "
                                 "\"env:production\"\ndeny = [\"class:read\"]\n")));
  KeyFacts auditor = sandbox_trader();
  auditor.name = "sand.trade";
  auditor.roles = venue::kAuditor;
  const std::vector<KeyFacts> keys{production_trader(), sandbox_trader(), auditor};
  const std::vector<UsableKey> usable = keys_for(rules, kMmBot, keys);
  ASSERT_EQ(usable.size(), 2U);
  EXPECT_EQ(usable[0].index, 1U);
  EXPECT_EQ(usable[0].classes, classes({venue::Class::read, venue::Class::trade}));
  EXPECT_EQ(usable[1].index, 2U);
  EXPECT_EQ(usable[1].classes, classes({venue::Class::read}));
  EXPECT_THAT(keys_for(rules, Who{.uid = 5, .gid = 5}, keys), IsEmpty());
}

TEST(PolicyKeys, ListsExactlyTheEndpointsThatTheDecisionAllows) {
  const Rules rules = rules_of(with_clients(kRules));
  const KeyFacts key = sandbox_trader();
  const std::vector<UsableKey> usable = keys_for(rules, kMmBot, {key});
  ASSERT_EQ(usable.size(), 1U);
  for (std::string_view json :
       {kOrder, kCancel, kBalances, kWithdraw,
        std::string_view{R"({"request":"/v1/wrap/btcusd","amount":"1"})"}}) {
    const venue::Payload payload = payload_of(json);
    EXPECT_EQ(usable[0].endpoints[endpoint_index(payload.endpoint())],
              decide({rules}, kMmBot, &key, payload).allowed())
        << json;
  }
}

TEST(PolicyWhoAmI, NamesTheClientOrRefuses) {
  const Rules rules = rules_of(with_clients(""));
  EXPECT_EQ(whoami(rules, kMmBot)->value, "mm-bot");
  EXPECT_THAT(whoami(rules, Who{.uid = 5, .gid = 5}),
              ErrorIs(Code::unauthorized, HasSubstr("uid 5")));
}

TEST(DevelopmentPolicy, KnowsOnlyTheUidItWasMadeFor) {
  const Rules rules = rules_of(development_policy(1234));
  EXPECT_EQ(whoami(rules, Who{.uid = 1234, .gid = 1})->value, "developer");
  EXPECT_THAT(whoami(rules, Who{.uid = 0, .gid = 0}), ErrorIs(Code::unauthorized));
  EXPECT_THAT(development_policy(1234), Not(HasSubstr("production\"")));
}

}  // namespace
}  // namespace hsm::policy
