#include <gtest/gtest.h>

#include <algorithm>

#include "hsm_signer/policy/policy.h"
#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kTrades = R"(
[[rule]]
name = "bot trades"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read", "class:cancel", "/v1/order/new"]
)";

bool roles_reach(const venue::Endpoint& endpoint, const KeyFacts& key) {
  return endpoint.roles == venue::kAnyRole || (endpoint.roles & key.roles) != 0;
}

Decision judge(std::string_view rules, const KeyFacts& key, std::string_view json,
               const Who& who = kMmBot) {
  return decide({rules_of(with_clients(rules))}, who, &key, payload_of(json));
}

void expect_denied(const Decision& decision, std::string_view sentence,
                   std::string_view rule = {}) {
  EXPECT_FALSE(decision.allowed());
  EXPECT_EQ(decision.code, Code::denied);
  EXPECT_EQ(decision.rule, rule);
  EXPECT_THAT(decision.sentence, HasSubstr(std::string{sentence}));
}

TEST(PolicyDecision, AllowsWhatARuleNamesAndSaysWhichOne) {
  for (std::string_view json : {kOrder, kCancel, kBalances}) {
    const Decision decision = judge(kTrades, sandbox_trader(), json);
    EXPECT_TRUE(decision.allowed()) << decision.sentence;
    EXPECT_EQ(decision.rule, "bot trades");
    EXPECT_EQ(decision.client, "mm-bot");
    EXPECT_THAT(decision.sentence, IsEmpty());
  }
}

TEST(PolicyDecision, DeniesByDefaultWhatNoRuleNames) {
  expect_denied(judge(kTrades, sandbox_trader(), kWithdraw),
                "no rule of client \"mm-bot\" allows /v1/withdraw/{currency}");
  expect_denied(judge(kTrades, sandbox_trader(), R"({"request":"/v1/heartbeat"})"),
                "class session");
}

TEST(PolicyDecision, AnEndpointGivesNothingOfItsNeighbours) {
  expect_denied(judge(kTrades, sandbox_trader(), R"({"request":"/v1/wrap/btcusd","amount":"1"})"),
                "/v1/wrap/{symbol}");
}

TEST(PolicyDecision, AnUnknownUidIsUnauthorized) {
  for (uid_t uid : {uid_t{0}, uid_t{1000}, kOverflowUid, static_cast<uid_t>(-1)}) {
    const Decision decision =
        judge(kTrades, sandbox_trader(), kBalances, Who{.uid = uid, .gid = 1001});
    EXPECT_FALSE(decision.allowed());
    EXPECT_EQ(decision.code, Code::unauthorized);
    EXPECT_THAT(decision.client, IsEmpty());
  }
}

TEST(PolicyDecision, ADenyBeatsAnyAllowWhereverItStands) {
  constexpr std::string_view kDeny = R"(
[[rule]]
name = "no orders"
client = "mm-bot"
key = "sand.trade"
deny = ["/v1/order/new"]
)";
  for (const std::string& rules :
       {std::string{kTrades}.append(kDeny), std::string{kDeny}.append(kTrades)}) {
    expect_denied(judge(rules, sandbox_trader(), kOrder), "rule \"no orders\" denies", "no orders");
    EXPECT_TRUE(judge(rules, sandbox_trader(), kCancel).allowed());
  }
}

TEST(PolicyDecision, ADenyBeatsTheAllowOfItsOwnRule) {
  const Decision decision = judge(R"(
[[rule]]
name = "all but new orders"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:trade", "/v1/order/new"]
deny = ["/v1/order/new"]
)",
                                  sandbox_trader(), kOrder);
  expect_denied(decision, "denies /v1/order/new", "all but new orders");
}

TEST(PolicyDecision, ADenyForAnotherKeyOrClientDoesNotMatter) {
  EXPECT_TRUE(judge(std::string{kTrades}.append(R"(
[[rule]]
name = "not with another key"
client = "mm-bot"
key = "sand.other"
deny = ["/v1/order/new"]
[[rule]]
name = "not the treasury"
client = "treasury"
key = "env:sandbox"
deny = ["/v1/order/new"]
)"),
                    sandbox_trader(), kOrder)
                  .allowed());
}

TEST(PolicyDecision, RulesOfOtherClientsGiveNothing) {
  KeyFacts key = production_trader();
  key.roles = venue::kTrader | venue::kFundManager;
  expect_denied(judge(kTrades, key, kWithdraw), "may not use that key");
  EXPECT_TRUE(judge(kTrades, key, kWithdraw, kTreasury).allowed());
}

TEST(PolicyDecision, AKeyThatTheCallerMayNotUseLooksLikeOneThatIsNotThere) {
  const Rules rules = rules_of(with_clients(std::string{kTrades}.append(R"(
[[rule]]
name = "hands off"
client = "mm-bot"
key = "desk-a.trade"
deny = ["class:read"]
)")));
  const venue::Payload payload = payload_of(kBalances);
  KeyFacts retired = production_trader();
  retired.state = VersionState::retired;
  const KeyFacts there = production_trader();
  const Decision missing = decide({rules}, kMmBot, nullptr, payload);
  for (const KeyFacts* key : {&there, static_cast<const KeyFacts*>(&retired)}) {
    const Decision found = decide({rules}, kMmBot, key, payload);
    expect_denied(found, "may not use that key");
    EXPECT_EQ(found.sentence, missing.sentence);
    EXPECT_EQ(found.code, missing.code);
    EXPECT_EQ(found.rule, missing.rule);
  }
  EXPECT_THAT(missing.sentence, Not(HasSubstr("desk-a")));
}

TEST(PolicyDecision, OnlyAnActiveVersionSigns) {
  for (VersionState state : {VersionState::staged, VersionState::draining, VersionState::retired,
                             VersionState::destroyed}) {
    KeyFacts key = sandbox_trader();
    key.state = state;
    const Decision decision = judge(kTrades, key, kBalances);
    EXPECT_FALSE(decision.allowed());
    EXPECT_EQ(decision.code, Code::key_not_active) << name(state);
  }
}

TEST(PolicyDecision, ASelectorByNameIsExactAndOneByEnvironmentKeepsToIt) {
  constexpr std::string_view kByName = R"(
[[rule]]
name = "by name"
client = "mm-bot"
key = "sand.trade"
allow = ["class:read"]
)";
  EXPECT_TRUE(judge(kByName, sandbox_trader(), kBalances).allowed());
  for (std::string_view other : {"sand.trade2", "sand.trad", "sand", "SAND.TRADE", ""}) {
    KeyFacts key = sandbox_trader();
    key.name = other;
    expect_denied(judge(kByName, key, kBalances), "may not use that key");
  }
  expect_denied(judge(kTrades, production_trader(), kBalances), "may not use that key");
}

TEST(PolicyDecision, NoRuleGivesMoreThanTheRolesOfTheKey) {
  constexpr std::string_view kAll = R"(
[[rule]]
name = "everything"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read", "class:trade", "class:move", "class:admin"]
)";
  expect_denied(judge(kAll, sandbox_trader(), kWithdraw),
                "needs one of the roles fund_manager; the key has trader");
  KeyFacts auditor = sandbox_trader();
  auditor.roles = venue::kAuditor;
  expect_denied(judge(kAll, auditor, kOrder), "needs one of the roles trader; the key has auditor");
  KeyFacts none = sandbox_trader();
  none.roles = 0;
  expect_denied(judge(kAll, none, kOrder), "the key has none");
  KeyFacts funds = sandbox_trader();
  funds.roles = venue::kFundManager;
  EXPECT_TRUE(judge(kAll, funds, kWithdraw).allowed());
}

TEST(PolicyDecision, MasterEndpointsNeedAMasterKey) {
  constexpr std::string_view kMove = R"(
[[rule]]
name = "moves"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:move"]
)";
  constexpr std::string_view kTransfer =
      R"({"request":"/v1/account/transfer/btc","sourceAccount":"a","targetAccount":"b","amount":"1"})";
  KeyFacts key = sandbox_trader();
  key.roles = venue::kFundManager;
  expect_denied(judge(kMove, key, kTransfer), "needs a master-scoped key");
  key.scope = Scope::master;
  EXPECT_TRUE(judge(kMove, key, kTransfer).allowed());
}

TEST(PolicyDecision, UnknownMembersAreRefusedWhereTheyCouldGiveSomethingAway) {
  constexpr std::string_view kAll = R"(
[[rule]]
name = "everything"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read", "class:cancel", "class:trade", "class:move", "class:widen", "class:admin", "class:session"]
open_counterparty = true
)";
  KeyFacts key = sandbox_trader();
  key.roles = venue::kTrader | venue::kFundManager | venue::kAdministrator;
  key.scope = Scope::master;
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    std::string json = R"({"request":")";
    for (std::string_view rest = endpoint.path; !rest.empty();) {
      const std::size_t open = std::min(rest.find('{'), rest.size());
      json += rest.substr(0, open);
      if (open < rest.size()) json += "btc";
      rest.remove_prefix(open == rest.size() ? open : rest.find('}') + 1);
    }
    json += R"(","account":"primary")";
    for (const venue::Member& member : endpoint.members) {
      if (!member.required) continue;
      json += ",\"" + std::string{member.name} +
              "\":" + (member.type == venue::Type::boolean ? "true" : "\"1\"");
    }
    const bool lenient = endpoint.cls == venue::Class::read ||
                         endpoint.cls == venue::Class::cancel ||
                         endpoint.cls == venue::Class::session;
    if (!roles_reach(endpoint, key)) continue;
    EXPECT_TRUE(judge(kAll, key, json + "}").allowed()) << json;
    const Decision decision = judge(kAll, key, json + R"(,"surprise":"1"})");
    EXPECT_EQ(decision.allowed(), lenient) << endpoint.path;
    if (!lenient) expect_denied(decision, "does not allow the member \"surprise\"", "everything");
  }
}

TEST(PolicyDecision, DurabilityFollowsTheEnvironmentUnlessRulesSayOtherwise) {
  const auto rule = [](std::string_view rule_name, std::string_view key,
                       std::string_view durability) {
    std::string text = "[[rule]]\nname = \"" + std::string{rule_name} +
                       "\"\nclient = \"mm-bot\"\nkey = \"" + std::string{key} +
                       "\"\nallow = [\"class:read\"]\n";
    if (!durability.empty()) text += "durability = \"" + std::string{durability} + "\"\n";
    return text;
  };
  const auto of = [](const std::string& rules, const KeyFacts& key) {
    const Decision decision = judge(rules, key, kBalances);
    EXPECT_TRUE(decision.allowed()) << decision.sentence;
    return decision.durability;
  };
  const KeyFacts sandbox = sandbox_trader();
  const KeyFacts production = production_trader();
  EXPECT_EQ(of(rule("r", "env:sandbox", ""), sandbox), Durability::os);
  EXPECT_EQ(of(rule("r", "env:production", ""), production), Durability::fsync);
  EXPECT_EQ(of(rule("r", "env:sandbox", "fsync"), sandbox), Durability::fsync);
  EXPECT_EQ(of(rule("r", "env:production", "os"), production), Durability::os);
  // Of several rules that allow, the strictest counts, in either order.
  for (bool turned : {false, true}) {
    const std::string os = rule("a", "env:production", "os");
    const std::string usual = rule("b", "env:production", "");
    EXPECT_EQ(of(turned ? usual + os : os + usual, production), Durability::fsync) << turned;
  }
}

TEST(PolicyDecision, TheOrderOfTheFileChangesNothingButTheRuleNamed) {
  std::vector<std::string> rules{
      R"([[rule]]
name = "one"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read", "class:trade"]
)",
      R"([[rule]]
name = "two"
client = "mm-bot"
key = "sand.trade"
allow = ["class:trade"]
durability = "fsync"
)",
      R"([[rule]]
name = "three"
client = "mm-bot"
key = "env:sandbox"
deny = ["/v1/wrap/{symbol}"]
)"};
  std::sort(rules.begin(), rules.end());
  do {
    const std::string file = rules[0] + rules[1] + rules[2];
    const Decision order = judge(file, sandbox_trader(), kOrder);
    EXPECT_TRUE(order.allowed());
    EXPECT_EQ(order.durability, Durability::fsync);
    EXPECT_EQ(order.rule, file.find("\"one\"") < file.find("\"two\"") ? "one" : "two");
    expect_denied(judge(file, sandbox_trader(), R"({"request":"/v1/wrap/btcusd","amount":"1"})"),
                  "denies", "three");
    expect_denied(judge(file, sandbox_trader(), kCancel), "no rule");
  } while (std::next_permutation(rules.begin(), rules.end()));
}

TEST(PolicyDecision, NamesTheMembersThatDecideWhatIsDone) {
  const venue::Payload payload = payload_of(
      R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1.5","price":20000,
                                   "side":"buy","type":"exchange limit","client_order_id":"my-17"})");
  const KeyFacts key = sandbox_trader();
  const Decision order = decide({rules_of(with_clients(kTrades))}, kMmBot, &key, payload);
  for (const JudgedField& field :
       {JudgedField{"symbol", "btcusd"}, JudgedField{"amount", "1.5"},
        JudgedField{"price", "20000"}, JudgedField{"side", "buy"},
        JudgedField{"type", "exchange limit"}, JudgedField{"client_order_id", "my-17"}})
    EXPECT_THAT(order.judged, Contains(field));
  EXPECT_EQ(order.judged.size(), 6U);
}

TEST(PolicyDecision, NamesWhatARefusedRequestWantedToo) {
  const venue::Payload payload = payload_of(
      R"({"request":"/v2/withdraw/bitcoin/btc","account":"primary","address":"bc1qx","amount":"2","memo":"m"})");
  const KeyFacts key = sandbox_trader();
  const Decision decision = decide({rules_of(with_clients(kTrades))}, kMmBot, &key, payload);
  EXPECT_FALSE(decision.allowed());
  for (const JudgedField& field :
       {JudgedField{"network", "bitcoin"}, JudgedField{"ticker", "btc"},
        JudgedField{"account", "primary"}, JudgedField{"address", "bc1qx"},
        JudgedField{"amount", "2"}, JudgedField{"memo", "m"}})
    EXPECT_THAT(decision.judged, Contains(field));
}

TEST(PolicyDecision, ARefusalIsAnErrorWithTheSameCodeAndSentence) {
  const Error error = judge(kTrades, sandbox_trader(), kWithdraw).error();
  EXPECT_EQ(error.code, Code::denied);
  EXPECT_THAT(error.sentence(), AllOf(HasSubstr("policy"), HasSubstr("/v1/withdraw/{currency}")));
}

TEST(PolicyDecision, AHostileMemberNameIsTamedInTheSentence) {
  const Decision decision =
      judge(kTrades, sandbox_trader(),
            R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"1","side":"buy",
                                      "type":"exchange limit","a b;[31m<x>":"1"})");
  expect_denied(decision, "\"a b??31m?x?\"", "bot trades");
}

}  // namespace
}  // namespace hsm::policy
