// The verbs of `policy`: no daemon, no configuration but where no file is named.
#include "hsm_signer/wire/policy.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPolicy = R"(version = 1
serial = 7
[[client]]
name = "bot"
uid = "%s"
[[rule]]
name = "orders"
client = "bot"
key = "desk"
allow = ["/v1/order/new"]
symbols = ["btcusd"]
)";
constexpr const char* kBuy =
    R"({"client":"bot","key":"desk","request":{"request":"/v1/order/new","symbol":"btcusd"}})";

std::string policy_with(const std::string& uid) {
  std::string text = kPolicy;
  return text.replace(text.find("%s"), 2, uid);
}

class PolicyVerbs : public PlayedDirectory {
 protected:
  PolicyVerbs() {
    std::filesystem::create_directory(file("paper"));
    policy = write("paper/policy.toml", policy_with("nobody-has-this-name"));
  }
  // Without --dir: nothing but the files is looked at.
  static Ran run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "policy");
    return run_ctl(arguments);
  }
  std::string questions(const std::string& text) { return write("paper/q.jsonl", text + "\n"); }

  std::string policy;
};

TEST_F(PolicyVerbs, CheckCountsWhatAPolicyHas) {
  const Ran ran = run({"check", write("paper/fine.toml", policy_with("1001"))});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("fine.toml: 1 clients, 1 rules, serial 7, sha256 "));
}

TEST_F(PolicyVerbs, CheckRefusesAUserThatThisMachineDoesNotHave) {
  const Ran ran = run({"check", policy});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("policy.toml:5:"));
}

TEST_F(PolicyVerbs, AMistakeInThePolicyHasItsPlaceInEachVerb) {
  const std::string bad = write("paper/bad.toml", "version = 1\nclinet = 1\n");
  const std::string asked = questions(kBuy);
  const std::vector<std::vector<std::string>> rows{{"check", bad},
                                                   {"lint", bad},
                                                   {"snapshot", bad},
                                                   {"diff", bad, policy},
                                                   {"diff", policy, bad},
                                                   {"simulate", asked, "--policy", bad},
                                                   {"explain", asked, "--policy", bad}};
  for (const auto& row : rows) {
    const Ran ran = run(row);
    EXPECT_EQ(ran.status, 2) << row[0];
    EXPECT_THAT(ran.err, HasSubstr("bad.toml:2:1: ")) << row[0];
  }
}

TEST_F(PolicyVerbs, LintWarnsAndIsStrictWhereAsked) {
  const Ran lax = run({"lint", policy});
  EXPECT_EQ(lax.status, 0) << lax.err;
  EXPECT_THAT(lax.out,
              AllOf(HasSubstr("policy.toml:6:1: warning: rule \"orders\" allows any amount"),
                    HasSubstr("[trade-without-amount]"), HasSubstr("2 warnings")));
  EXPECT_EQ(run({"lint", policy, "--strict"}).status, 1);
  const std::string fine = write("paper/fine.toml", "version = 1\n");
  EXPECT_EQ(run({"lint", fine, "--strict"}).status, 0);
}

TEST_F(PolicyVerbs, SimulateShowsATableAndFailsWhereItIsNotAsExpected) {
  const std::string other = R"({"client":"bot","key":"desk","expect":"deny","request":)"
                            R"({"request":"/v1/order/new","symbol":"dogeusd"}})";
  const Ran fine =
      run({"simulate", questions(std::string{kBuy} + "\n" + other), "--policy", policy});
  EXPECT_EQ(fine.status, 0) << fine.err;
  EXPECT_THAT(fine.out, AllOf(HasSubstr("1     /v1/order/new  allow    orders"),
                              HasSubstr("2     /v1/order/new  denied   orders"),
                              HasSubstr("does not allow the symbol")));
  std::string wrong = kBuy;
  wrong.insert(1, R"("expect":"deny",)");
  const Ran failed = run({"simulate", questions(wrong), "--policy", policy, "--json"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.err, HasSubstr("not decided as the questions expect: 1 of 1"));
  EXPECT_THAT(failed.out, AllOf(HasSubstr("\"unexpected\":1"), HasSubstr("\"as_expected\":false")));
}

TEST_F(PolicyVerbs, SimulateAsksWhenItIsTold) {
  const std::string timed =
      write("paper/timed.toml", policy_with("1001") + "hours = \"Mon-Fri 09:00-17:00 UTC\"\n");
  const std::string asked = questions(kBuy);
  EXPECT_THAT(run({"simulate", asked, "--policy", timed, "--at", "2026-03-02T15:00:00Z"}).out,
              HasSubstr(" allow "));
  EXPECT_THAT(run({"simulate", asked, "--policy", timed, "--at", "2026-03-01T15:00:00Z"}).out,
              HasSubstr(" denied "));
  EXPECT_EQ(run({"simulate", asked, "--policy", timed, "--at", "noon"}).status, 2);
}

TEST_F(PolicyVerbs, SimulateRefusesQuestionsOutOfFormWithTheirLine) {
  const Ran ran = run({"simulate", questions("\n{\"key\":1}"), "--policy", policy});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("q.jsonl:2: "));
}

TEST_F(PolicyVerbs, ExplainShowsEachRuleWithItsPlace) {
  const Ran ran = run({"explain", questions(kBuy), "--policy", policy});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("allowed by rule \"orders\""),
                             HasSubstr("policy.toml:6:1: rule \"orders\": allows"),
                             HasSubstr("guard roles: holds")));
  const Ran two = run({"explain", questions(std::string{kBuy} + "\n" + kBuy), "--policy", policy});
  EXPECT_EQ(two.status, 2);
  EXPECT_THAT(two.err, HasSubstr("explain answers one question"));
}

TEST_F(PolicyVerbs, SnapshotAndDiffShowWhatLoosened) {
  const Ran table = run({"snapshot", policy});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("client bot, key desk\n"),
                               HasSubstr("denied                        order: another symbol")));
  std::string wider = policy_with("someone-else");
  wider.replace(wider.find("\"btcusd\""), 8, "\"btcusd\", \"dogeusd\"");
  const Ran diff = run({"diff", policy, write("paper/wider.toml", wider)});
  EXPECT_EQ(diff.status, 0) << diff.err;
  EXPECT_EQ(diff.out,
            "LOOSER  bot, desk: order: another symbol: denied -> allow\n"
            "1 decisions differ, 1 of them looser\n");
}

TEST_F(PolicyVerbs, AskACorpusOfOnesOwn) {
  const std::string corpus = write(
      "paper/own.jsonl", R"({"uid":0,"key":"k","what":"mine","request":{"request":"/v1/orders"}})");
  const Ran ran = run({"snapshot", policy, "--corpus", corpus});
  EXPECT_EQ(ran.out, "client bot, key desk\n  denied                        mine\n") << ran.err;
}

TEST_F(PolicyVerbs, TakeThePolicyOfTheConfigurationWhereNoneIsNamed) {
  write("policy.toml", policy_with("1001"));
  EXPECT_THAT(ctl({"policy", "check"}).out, HasSubstr("policy.toml: 1 clients, 1 rules"));
  EXPECT_THAT(ctl({"policy", "lint"}).out, HasSubstr("2 warnings"));
  EXPECT_THAT(ctl({"policy", "simulate", questions(kBuy)}).out, HasSubstr("allow"));
}

TEST_F(PolicyVerbs, ReloadTellsWhatIsInForce) {
  wire::PolicyInForce now{.old_sha256 = "aa",
                          .sha256 = "bb",
                          .old_serial = 7,
                          .serial = 8,
                          .clients = 2,
                          .rules = 5,
                          .begun = 3,
                          .windows = {{"rule \"quotes\", 1h"}}};
  admin->on<wire::ReloadPolicy, wire::PolicyInForce>(wire::Type::reload_policy,
                                                     [&](const wire::ReloadPolicy& ask) {
                                                       EXPECT_EQ(ask.statement, "");
                                                       return Result<wire::PolicyInForce>{now};
                                                     });
  const Ran ran = ctl({"policy", "reload"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "another policy is in force: serial 8 (was 7), 2 clients, 5 rules\n"
            "sha256 bb\nwas    aa\n"
            "a window may lack what was signed before: rule \"quotes\", 1h\nand 2 windows more\n");
  EXPECT_THAT(ctl({"policy", "reload", "--json"}).out,
              HasSubstr(R"("begun":3,"windows":[{"window":"rule \"quotes\", 1h"}])"));
}

TEST_F(PolicyVerbs, ReloadTellsWhyTheOldOneStays) {
  admin->on<wire::ReloadPolicy, wire::PolicyInForce>(
      wire::Type::reload_policy, [](const wire::ReloadPolicy&) {
        return refusal<wire::PolicyInForce>(Code::usage, "policy.toml:3:1: unknown key");
      });
  const Ran ran = ctl({"policy", "reload"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("policy.toml:3:1: unknown key"));
}

TEST_F(PolicyVerbs, NameNoSecretOfAnArgumentThatNobodyAskedFor) {
  EXPECT_THAT(run({"check", policy, "hunter2"}).err, Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace hsm::ctl
