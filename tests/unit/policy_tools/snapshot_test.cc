// The decision table of each shipped policy is committed beside it (docs/policies/*.decisions), so
// that a change which loosens one shows in its diff. After a change that is meant:
// HSM_UPDATE_SNAPSHOTS=1 tests/policy_tools_test, and read the diff.
#include "hsm_signer/policy_tools/snapshot.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "hsm_signer/policy_tools/lint.h"
#include "hsm_signer/policy_tools/users.h"
#include "hsm_signer/venue/payload.h"
#include "tests/support/error_is.h"

namespace hsm::policy {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

const std::filesystem::path kDirectory = "docs/policies";

std::vector<std::filesystem::path> shipped(const char* extension) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator{kDirectory})
    if (entry.path().extension() == extension) found.push_back(entry.path().stem());
  return found;
}

std::vector<Question> corpus() {
  Result<std::vector<Question>> questions = read_questions(built_in_corpus(), "corpus.jsonl");
  if (!questions) ADD_FAILURE() << questions.error().sentence();
  return questions.value_or(std::vector<Question>{});
}

std::vector<SnapshotRow> rows_of(const Result<Rules>& rules) {
  if (!rules) {
    ADD_FAILURE() << rules.error().sentence();
    return {};
  }
  const auto rows = snapshot(*rules, corpus(), "corpus.jsonl");
  if (!rows) ADD_FAILURE() << rows.error().sentence();
  return rows.value_or(std::vector<SnapshotRow>{});
}

TEST(ShippedPolicies, DecideAsCommitted) {
  EXPECT_THAT(shipped(".toml"), UnorderedElementsAre("auditor", "developer-sandbox",
                                                     "execution-desk", "market-maker", "treasury"))
      << "run from the top of the source tree";
  for (const auto& name : shipped(".toml")) {
    const std::string policy = (kDirectory / name).string() + ".toml";
    const std::string table = (kDirectory / name).string() + ".decisions";
    const std::string text = snapshot_text(rows_of(Rules::load(policy, any_users())));
    if (std::getenv("HSM_UPDATE_SNAPSHOTS") != nullptr) std::ofstream{table} << text;
    std::stringstream committed;
    committed << std::ifstream{table}.rdbuf();
    EXPECT_EQ(text, committed.str()) << table << ": see the top of snapshot_test.cc";
  }
}

TEST(ShippedPolicies, HaveNoTableWithoutPolicy) {
  const auto policies = shipped(".toml");
  EXPECT_THAT(shipped(".decisions"), testing::UnorderedElementsAreArray(policies));
}

TEST(ShippedPolicies, GiveLintNothingToSay) {
  for (const auto& name : shipped(".toml")) {
    const auto rules = Rules::load((kDirectory / name).string() + ".toml", any_users());
    ASSERT_TRUE(rules) << rules.error().sentence();
    for (const LintFinding& finding : lint(*rules, snapshot_instant()))
      ADD_FAILURE() << finding.where << ": " << finding.check << ": " << finding.sentence;
  }
}

TEST(Corpus, AsksForEachEndpointThatDoesMoreThanRead) {
  std::set<std::string_view> asked;
  std::set<std::string> titles;
  for (const Question& question : corpus()) {
    EXPECT_FALSE(question.what.empty()) << "line " << question.line;
    EXPECT_TRUE(titles.insert(question.what).second) << question.what << " stands twice";
    const auto payload = venue::Payload::parse_request(question.payload);
    if (payload) asked.insert(payload->endpoint().path);
  }
  for (const venue::Endpoint& endpoint : venue::endpoints())
    EXPECT_TRUE(endpoint.cls == venue::Class::read || asked.contains(endpoint.path))
        << endpoint.path;
}

std::string policy_of(const std::string& rule) {
  return R"(version = 1
[[client]]
name = "bot"
uid = "bot"
[[rule]]
name = "r"
client = "bot"
key = "desk"
)" + rule;
}

TEST(Snapshot, AsksEachQuestionAlone) {
  const auto rules = Rules::parse(
      policy_of("allow = [\"/v1/order/new\"]\nwindow = [ { per = \"1h\", max_count = 3 } ]"), "p",
      any_users());
  const auto questions = read_questions(
      R"({"uid":0,"key":"any"}
{"what":"once","request":{"request":"/v1/order/new"}}
{"what":"thrice","times":3,"request":{"request":"/v1/order/new"}}
{"what":"four times","times":4,"request":{"request":"/v1/order/new"}}
{"what":"never","times":4,"request":{"request":"/v1/balances"}}
)",
      "q");
  ASSERT_TRUE(rules && questions);
  const auto rows = snapshot(*rules, *questions, "q");
  ASSERT_TRUE(rows);
  EXPECT_THAT(*rows, ElementsAre(Field(&SnapshotRow::verdict, "allow"),
                                 Field(&SnapshotRow::verdict, "allow 3"),
                                 Field(&SnapshotRow::verdict, "allow 3, then rate_limited"),
                                 Field(&SnapshotRow::verdict, "denied")));
  EXPECT_THAT(snapshot_text(*rows),
              AllOf(HasSubstr("client bot, key desk\n"),
                    HasSubstr("\n  allow 3, then rate_limited    four times  [r]\n")));
}

std::vector<SnapshotChange> changes_between(const std::string& before, const std::string& after) {
  return changes(rows_of(Rules::parse(policy_of(before), "old", any_users())),
                 rows_of(Rules::parse(policy_of(after), "new", any_users())));
}

TEST(SnapshotChanges, TellWhatIsSignedNowThatWasNot) {
  const auto found = changes_between(
      "allow = [\"/v1/order/new\"]\nsides = [\"buy\"]\nsymbols = [\"btcusd\"]",
      "allow = [\"/v1/order/new\"]\nsides = [\"buy\"]\nsymbols = [\"btcusd\", \"dogeusd\"]");
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].after.what, "order: another symbol");
  EXPECT_EQ(found[0].before.verdict, "denied");
  EXPECT_EQ(found[0].after.verdict, "allow");
  EXPECT_TRUE(found[0].loosened());
}

TEST(SnapshotChanges, TellWhatIsNoLongerSigned) {
  const std::string limits = "allow = [\"/v1/order/new\"]\nsymbols = [\"btcusd\"]\n";
  const auto found = changes_between(limits, limits + "sides = [\"buy\"]");
  EXPECT_GE(found.size(), 5U);
  for (const SnapshotChange& change : found) {
    EXPECT_FALSE(change.loosened()) << change.after.what;
    EXPECT_THAT(change.after.what, HasSubstr("sell"));
  }
}

TEST(SnapshotChanges, CountALargerWindowAsLooser) {
  const auto found =
      changes_between("allow = [\"class:trade\"]\nwindow = [ { per = \"1h\", max_count = 10 } ]",
                      "allow = [\"class:trade\"]\nwindow = [ { per = \"1h\", max_count = 11 } ]");
  ASSERT_THAT(found, SizeIs(2));
  for (const SnapshotChange& change : found) {
    EXPECT_EQ(change.after.verdict, "allow 11, then rate_limited");
    EXPECT_TRUE(change.loosened());
  }
}

TEST(SnapshotChanges, AreNoneBetweenAPolicyAndItself) {
  EXPECT_THAT(changes_between("allow = [\"class:trade\"]", "allow = [\"class:trade\"]"), SizeIs(0));
}

TEST(SnapshotChanges, TakeAnotherKeyForOneThatNobodyAskedWith) {
  std::string other = policy_of("allow = [\"class:session\"]");
  other.replace(other.find("\"desk\""), 6, "\"desk-b\"");
  const auto found =
      changes(rows_of(Rules::parse(policy_of("allow = [\"class:session\"]"), "old", any_users())),
              rows_of(Rules::parse(other, "new", any_users())));
  EXPECT_EQ(found.size(), 2 * corpus().size());
  EXPECT_EQ(std::count_if(found.begin(), found.end(),
                          [](const SnapshotChange& change) { return change.loosened(); }),
            1);
}

}  // namespace
}  // namespace hsm::policy
