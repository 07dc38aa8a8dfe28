// What policy.toml may say, and the many things that it may not.
#include "hsm_signer/policy/rules.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kClient = "[[client]]\nname = \"a\"\nuid = \"1000\"\n";

Result<Rules> parse(std::string_view text) {
  return Rules::parse(text, "policy.toml", fake_users());
}
Result<Rules> parse_client(std::string_view lines) {
  return parse(std::string{"version = 1\n[[client]]\n"}.append(lines));
}
// Line 1 version, 2-4 the client, 5 [[rule]], then `lines`.
Result<Rules> parse_rule(std::string_view lines) {
  return parse(std::string{"version = 1\n"}.append(kClient).append("[[rule]]\n").append(lines));
}

TEST(PolicyFile, TakesTheDocumentedForm) {
  const Result<Rules> rules = parse(
      "version = 1\n"
      "[[client]]\nname = \"mm-bot\"\nuid = \"mmbot\"\ngid = \"desk\"\n"
      "[[client]]\nname = \"ops\"\nuid = \"0\"\n"
      "[[rule]]\nname = \"market maker\"\nclient = \"mm-bot\"\nkey = \"desk-a.trade\"\n"
      "allow = [\"class:read\", \"/v1/order/new\", \"/v1/withdraw/{currency}\"]\ndeny = "
      "[\"class:move\"]\n"
      "durability = \"os\"\n");
  ASSERT_THAT(rules, Succeeds());
  ASSERT_EQ(rules->rules().size(), 1U);
  const Rule& rule = rules->rules()[0];
  EXPECT_EQ(rule.name, "market maker");
  EXPECT_EQ(rule.where, "policy.toml:9:1");
  EXPECT_EQ(rule.durability, Durability::os);
  EXPECT_TRUE(rule.key.covers("desk-a.trade", Environment::sandbox));
  EXPECT_FALSE(rule.key.covers("desk-b.trade", Environment::production));
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    const bool named =
        endpoint.path == "/v1/order/new" || endpoint.path == "/v1/withdraw/{currency}";
    EXPECT_EQ(rule.allow[endpoint_index(endpoint)], named || endpoint.cls == venue::Class::read)
        << endpoint.path;
    EXPECT_EQ(rule.deny[endpoint_index(endpoint)], endpoint.cls == venue::Class::move)
        << endpoint.path;
  }
}

TEST(PolicyFile, FindsClientsByUidAndWhereNamedByGid) {
  const Rules rules = rules_of(
      "version = 1\n[[client]]\nname = \"a\"\nuid = \"mmbot\"\ngid = \"desk\"\n[[client]]\nname = "
      "\"b\"\nuid = \"7\"\n");
  ASSERT_NE(rules.client_of(1001, 2001), nullptr);
  EXPECT_EQ(rules.client_of(1001, 2001)->name.value, "a");
  EXPECT_EQ(rules.client_of(1001, 2002), nullptr);
  EXPECT_EQ(rules.client_of(7, 99)->name.value, "b");
  EXPECT_EQ(rules.client_of(1002, 2001), nullptr);
}

TEST(PolicyFile, NamesThePersonBehindAClientWhereTold) {
  EXPECT_EQ(parse(std::string{"version = 1\n"}.append(kClient))->clients()[0].officer, "");
  EXPECT_EQ(parse(std::string{"version = 1\n"}.append(kClient).append("officer = \"alice\"\n"))
                ->clients()[0]
                .officer,
            "alice");
}

TEST(PolicyFile, MayBeEmptyAndThenKnowsNobody) {
  const Result<Rules> rules = parse("version = 1");
  ASSERT_THAT(rules, Succeeds());
  EXPECT_EQ(rules->client_of(0, 0), nullptr);
}

struct Refused {
  std::string_view lines;
  std::string_view where;  // After "policy.toml:".
  std::string_view why;
};

TEST(PolicyFile, RefusesWhatTheTopLevelMayNotSay) {
  for (const Refused& row :
       {Refused{"", "", "version"}, Refused{"version = 2", "1:11", "version"},
        Refused{"version = \"1\"", "1:11", "integer"},
        Refused{"version = 1\nclients = []", "2:", "unknown key"},
        Refused{"version = 1\n[client]\nname = \"a\"", "2:", "array of tables"},
        Refused{"version = 1\nrule = 7", "2:", "array of tables"},
        Refused{"version = 1\nversion = 1", "2:", ""}, Refused{"version = 1\n[[rule", "2:", ""}})
    EXPECT_THAT(
        parse(row.lines),
        ErrorIs(Code::usage, AllOf(StartsWith(std::string{"policy.toml:"}.append(row.where)),
                                   HasSubstr(std::string{row.why}))))
        << row.lines;
}

TEST(PolicyFile, RefusesClientsThatAreNobodyInParticular) {
  for (const Refused& row : {
           Refused{"uid = \"1000\"", "2:1", "name"},
           Refused{"name = \"a\"", "2:1", "uid"},
           Refused{"name = \"A\"\nuid = \"1000\"", "3:8", "a-z"},
           Refused{"name = \"\"\nuid = \"1000\"", "3:8", "a-z"},
           Refused{"name = 7\nuid = \"1000\"", "3:8", "string"},
           Refused{"name = \"a\"\nuid = 1000", "4:7", "must be a string"},
           Refused{"name = \"a\"\nuid = \"\"", "4:7", "there is no user"},
           Refused{"name = \"a\"\nuid = \"ghost\"", "4:7", "there is no user: ghost"},
           Refused{"name = \"a\"\nuid = \"01000\"", "4:7", "not a number"},
           Refused{"name = \"a\"\nuid = \"4294967295\"", "4:7", "not a number"},
           Refused{"name = \"a\"\nuid = \"4294967296\"", "4:7", "not a number"},
           Refused{"name = \"a\"\nuid = \"-1\"", "4:7", "there is no user"},
           Refused{"name = \"a\"\nuid = \"65534\"", "4:7", "65534"},
           Refused{"name = \"a\"\nuid = \"nobody\"", "4:7", "65534"},
           Refused{"name = \"a\"\nuid = \"1000\"\ngid = \"nogroup\"", "5:7", "65534"},
           Refused{"name = \"a\"\nuid = \"1000\"\ngid = \"ghosts\"", "5:7", "there is no group"},
           Refused{"name = \"a\"\nuid = \"1000\"\ngid = 5", "5:7", "string"},
           Refused{"name = \"a\"\nuid = \"1000\"\nunit = \"bot.service\"", "5:8",
                   "not supported yet"},
           Refused{"name = \"a\"\nuid = \"1000\"\nuidd = \"1\"", "5:", "unknown key"},
           Refused{"name = \"a\"\nuid = \"1000\"\nofficer = \"\"", "5:11", "officer's name"},
           Refused{"name = \"a\"\nuid = \"1000\"\nofficer = \"Alice\"", "5:11", "officer's name"},
       })
    EXPECT_THAT(
        parse_client(row.lines),
        ErrorIs(Code::usage, AllOf(StartsWith(std::string{"policy.toml:"}.append(row.where)),
                                   HasSubstr(std::string{row.why}))))
        << row.lines;
}

TEST(PolicyFile, RefusesASecondClientOfTheSameNameOrUid) {
  EXPECT_THAT(parse("version = 1\n[[client]]\nname = \"a\"\nuid = \"1\"\n[[client]]\nname = "
                    "\"a\"\nuid = \"2\"\n"),
              ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:6:8"),
                                         HasSubstr("second client of that name"))));
  EXPECT_THAT(parse("version = 1\n[[client]]\nname = \"a\"\nuid = \"1001\"\n[[client]]\nname = "
                    "\"b\"\nuid = \"mmbot\"\n"),
              ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:7:7"),
                                         HasSubstr("second client with that uid"))));
}

constexpr std::string_view kGood = "name = \"r\"\nclient = \"a\"\nkey = \"k\"\n";

TEST(PolicyFile, RefusesRulesThatSayNothingOrTooMuch) {
  for (const Refused& row : {
           Refused{"client = \"a\"\nkey = \"k\"\nallow = [\"class:read\"]", "5:1", "name"},
           Refused{"name = \"r\"\nkey = \"k\"\nallow = [\"class:read\"]", "5:1", "client"},
           Refused{"name = \"r\"\nclient = \"a\"\nallow = [\"class:read\"]", "5:1", "key"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"k\"", "5:1", "needs"},
           Refused{"name = \" r\"\nclient = \"a\"\nkey = \"k\"\nallow = [\"class:read\"]", "6:8",
                   "printable"},
           Refused{"name = \"r\\n\"\nclient = \"a\"\nkey = \"k\"\nallow = [\"class:read\"]", "6:8",
                   "control character"},
           Refused{"name = \"r\\u00e9\"\nclient = \"a\"\nkey = \"k\"\nallow = [\"class:read\"]",
                   "6:8", "printable"},
           Refused{"name = \"r\"\nclient = \"b\"\nkey = \"k\"\nallow = [\"class:read\"]", "7:10",
                   "no client"},
           Refused{"name = \"r\"\nclient = [\"a\"]\nkey = \"k\"\nallow = [\"class:read\"]", "7:10",
                   "string"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"*\"\nallow = [\"class:read\"]", "8:7",
                   "key name"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"Desk\"\nallow = [\"class:read\"]", "8:7",
                   "key name"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"env:\"\nallow = [\"class:read\"]", "8:7",
                   "environment"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"env:prod\"\nallow = [\"class:read\"]",
                   "8:7", "environment"},
           Refused{"name = \"r\"\nclient = \"a\"\nkey = \"env:*\"\nallow = [\"class:read\"]", "8:7",
                   "environment"},
       })
    EXPECT_THAT(
        parse_rule(row.lines),
        ErrorIs(Code::usage, AllOf(StartsWith(std::string{"policy.toml:"}.append(row.where)),
                                   HasSubstr(std::string{row.why}))))
        << row.lines;
}

TEST(PolicyFile, RefusesEntriesThatAreNoClassAndNoEndpoint) {
  for (const Refused& row : {
           Refused{"allow = []", "9:9", "empty"},
           Refused{"allow = [\"class:read\"]\ndeny = []", "10:8", "empty"},
           Refused{"allow = \"class:read\"", "9:9", "array of strings"},
           Refused{"allow = [7]", "9:9", "array of strings"},
           Refused{"allow = [\"class:*\"]", "9:9", "unknown class"},
           Refused{"allow = [\"class:\"]", "9:9", "unknown class"},
           Refused{"allow = [\"class:Read\"]", "9:9", "unknown class"},
           Refused{"allow = [\"*\"]", "9:9", "unknown endpoint"},
           Refused{"allow = [\"\"]", "9:9", "unknown endpoint"},
           Refused{"allow = [\"read\"]", "9:9", "unknown endpoint"},
           Refused{"allow = [\"/v1/order\"]", "9:9", "unknown endpoint: /v1/order"},
           Refused{"allow = [\"/v1/order/new/\"]", "9:9", "unknown endpoint"},
           Refused{"allow = [\"/v1/withdraw/btc\"]", "9:9", "unknown endpoint"},
           Refused{"allow = [\"/V1/order/new\"]", "9:9", "unknown endpoint"},
           Refused{"deny = [\"/v1/withdrawals\"]", "9:8", "unknown endpoint"},
           Refused{"allow = [\"class:read\", \"class:read\"]", "9:9", "named twice"},
           Refused{"allow = [\"ws-login\"]", "9:9", "not supported yet: ws-login"},
           Refused{"deny = [\"ws-login\"]", "9:8", "not supported yet: ws-login"},
       })
    EXPECT_THAT(
        parse_rule(std::string{kGood}.append(row.lines)),
        ErrorIs(Code::usage, AllOf(StartsWith(std::string{"policy.toml:"}.append(row.where)),
                                   HasSubstr(std::string{row.why}))))
        << row.lines;
}

TEST(PolicyFile, RefusesASecondRuleOfTheSameName) {
  EXPECT_THAT(
      parse_rule(std::string{kGood}
                     .append("allow = [\"class:read\"]\n[[rule]]\n")
                     .append(kGood)
                     .append("allow = [\"class:read\"]\n")),
      ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:11:8"), HasSubstr("second rule"))));
}

TEST(PolicyFile, TakesNoDurabilityButOsAndFsync) {
  const std::string rule = std::string{kGood}.append("allow = [\"class:read\"]\n");
  EXPECT_THAT(parse_rule(rule + "durability = \"fsync\""), Succeeds());
  for (std::string_view text : {"\"none\"", "\"OS\"", "true"})
    EXPECT_THAT(
        parse_rule(rule + "durability = " + std::string{text}),
        ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:10:14"), HasSubstr("durability"))))
        << text;
  EXPECT_THAT(parse_rule(std::string{kGood}.append("deny = [\"class:read\"]\ndurability = \"os\"")),
              ErrorIs(Code::usage, HasSubstr("allows nothing")));
}

// Ignoring one of these would allow what the author of the file meant to forbid.
TEST(PolicyFile, RefusesByNameEveryRuleTypeThatIsNotBuilt) {
  for (std::string_view line : {"ws_login = true"}) {
    const std::string key{line.substr(0, line.find(' '))};
    EXPECT_THAT(parse_rule(std::string{kGood}.append("allow = [\"class:read\"]\n").append(line)),
                ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:10:"),
                                           HasSubstr("\"" + key + "\": not supported yet"))))
        << line;
  }
}

TEST(PolicyFile, RefusesAMisspelledKeyOfARule) {
  for (std::string_view line :
       {"alow = [\"class:read\"]", "Deny = [\"class:move\"]", "denied = []", "symbol = \"x\""})
    EXPECT_THAT(
        parse_rule(std::string{kGood}.append("allow = [\"class:read\"]\n").append(line)),
        ErrorIs(Code::usage, AllOf(StartsWith("policy.toml:10:"), HasSubstr("unknown key"))))
        << line;
}

TEST(PolicyFile, MissingFileIsAnErrorThatNamesIt) {
  EXPECT_THAT(Rules::load("/nonexistent/policy.toml", fake_users()),
              ErrorIs(Code::usage, HasSubstr("/nonexistent/policy.toml")));
}

TEST(SystemResolver, KnowsRootAndNobodyElseByThatName) {
  const Resolver resolver = system_resolver();
  EXPECT_EQ(resolver.user("root"), uid_t{0});
  EXPECT_EQ(resolver.group("root"), gid_t{0});
  EXPECT_EQ(resolver.user("no-such-user-here"), std::nullopt);
  EXPECT_EQ(resolver.group("no-such-group-here"), std::nullopt);
}

}  // namespace
}  // namespace hsm::policy
