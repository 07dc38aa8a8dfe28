#include "hsm_signer/policy_tools/question.h"

#include <gmock/gmock.h>

#include "tests/support/error_is.h"

namespace hsm::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;

std::vector<Question> read(std::string_view text) {
  Result<std::vector<Question>> questions = read_questions(text, "q.jsonl");
  if (!questions) ADD_FAILURE() << questions.error().sentence();
  return questions.value_or(std::vector<Question>{});
}
std::string refusal(std::string_view text) {
  const Result<std::vector<Question>> questions = read_questions(text, "q.jsonl");
  EXPECT_THAT(questions, ErrorIs(Code::usage)) << text;
  return questions ? "" : questions.error().sentence();
}

TEST(PolicyQuestion, SaysWhoAsksForWhatWithWhichKeyAndWhen) {
  const std::vector<Question> questions = read(
      R"({"what":"a buy","client":"mm-bot","key":"desk","environment":"sandbox","scope":"master",)"
      R"("roles":"trader,auditor","state":"staged","at":"2026-03-02T15:00:00Z","times":3,)"
      R"("reference":{"btcusd":"30000","ethusd":"1000.5"},"expect":"denied",)"
      R"("request":{"request":"/v1/heartbeat"}})");
  ASSERT_THAT(questions, SizeIs(1));
  const Question& one = questions.front();
  EXPECT_EQ(one.what, "a buy");
  EXPECT_EQ(one.client, "mm-bot");
  EXPECT_FALSE(one.uid);
  EXPECT_EQ(one.key.name, "desk");
  EXPECT_EQ(one.key.environment, Environment::sandbox);
  EXPECT_EQ(one.key.scope, Scope::master);
  EXPECT_EQ(one.key.roles, venue::kTrader | venue::kAuditor);
  EXPECT_EQ(one.key.state, VersionState::staged);
  EXPECT_EQ(one.at, parse_rfc3339("2026-03-02T15:00:00.000000Z").value());
  EXPECT_EQ(one.times, 3U);
  EXPECT_THAT(one.references, ElementsAre(Pair("btcusd", Decimal::parse_plain("30000").value()),
                                          Pair("ethusd", Decimal::parse_plain("1000.5").value())));
  EXPECT_EQ(one.expect, "denied");
  EXPECT_EQ(one.payload, R"({"request":"/v1/heartbeat"})");
}

// Each is written down again as it came, numbers to the letter.
TEST(PolicyQuestion, KeepsTheRequestAsItCame) {
  for (
      const char* request :
      {R"({})", R"({"request":"/v1/order/new","amount":1e1,"price":30000.000,"n":-0.10E-2})",
       R"({"request":"x","options":["a","b"],"none":[],"deep":{"a":[{"b":null},true,[1]],"c":{}}})",
       R"({"request":"quotes \" and \\ and \n","umlaut":"ä"})"}) {
    const auto questions = read(R"({"uid":1,"key":"k","request":)" + std::string{request} + "}");
    ASSERT_THAT(questions, SizeIs(1));
    EXPECT_EQ(questions.front().payload, request);
  }
}

TEST(PolicyQuestion, TakesARequestAsTextWhereItIsNoSoundJson) {
  const auto questions = read(R"({"uid":1,"key":"k","request":"{\"request\":1,\"request\":2"})");
  ASSERT_THAT(questions, SizeIs(1));
  EXPECT_EQ(questions.front().payload, R"({"request":1,"request":2)");
}

TEST(PolicyQuestion, TakesWhatALineWithoutRequestSaysForTheLinesBehind) {
  const auto questions = read(R"(# who
{"client":"mm-bot","key":"desk","reference":{"btcusd":"1"}}

{"request":{"request":"/v1/a"}}
{"uid":7,"gid":8,"key":"other","reference":{},"what":"alone","request":{"request":"/v1/b"}}
{"request":{"request":"/v1/c"}}
{"uid":9}
{"request":{"request":"/v1/d"}}
)");
  ASSERT_THAT(questions, SizeIs(4));
  EXPECT_EQ(questions[0].line, 4U);
  EXPECT_EQ(questions[0].client, "mm-bot");
  EXPECT_THAT(questions[0].references, SizeIs(1));
  EXPECT_EQ(questions[1].client, "");
  EXPECT_EQ(questions[1].uid, 7U);
  EXPECT_EQ(questions[1].gid, 8U);
  EXPECT_THAT(questions[1].references, SizeIs(0));
  EXPECT_EQ(questions[2].client, "mm-bot");
  EXPECT_EQ(questions[2].key.name, "desk");
  EXPECT_EQ(questions[2].what, "");
  EXPECT_THAT(questions[2].references, SizeIs(1));
  EXPECT_EQ(questions[3].client, "");
  EXPECT_EQ(questions[3].uid, 9U);
  EXPECT_EQ(questions[3].key.name, "desk");
}

TEST(PolicyQuestion, IsRefusedWithItsLineWhereItIsOutOfForm) {
  const std::pair<const char*, const char*> rows[] = {
      {R"([])", "not a JSON object"},
      {R"({"key":"k","request":{"request":"/v1/a"}})", "nobody asks"},
      {R"({"client":"c","request":{"request":"/v1/a"}})", "\"key\" is missing"},
      {R"({"clinet":"c"})", "no question has"},
      {R"({"client":""})", "client"},
      {R"({"client":7})", "client"},
      {R"({"client":null})", "client"},
      {R"({"client":["c"]})", "client"},
      {R"({"uid":"7"})", "uid"},
      {R"({"uid":-1})", "uid"},
      {R"({"uid":1.0})", "uid"},
      {R"({"uid":4294967296})", "uid"},
      {R"({"key":""})", "key"},
      {R"({"environment":"prod"})", "environment"},
      {R"({"scope":"group"})", "scope"},
      {R"({"state":"alive"})", "state"},
      {R"({"roles":"trader,boss"})", "roles"},
      {R"({"at":"2026-03-02"})", "at"},
      {R"({"at":"2026-03-02T15:00:00+01:00"})", "at"},
      {R"({"at":1})", "at"},
      {R"({"uid":1,"key":"k","times":0,"request":{}})", "times"},
      {R"({"uid":1,"key":"k","times":100001,"request":{}})", "times"},
      {R"({"uid":1,"key":"k","expect":"maybe","request":{}})", "expect"},
      {R"({"uid":1,"key":"k","expect":"internal","request":{}})", "expect"},
      {R"({"uid":1,"key":"k","request":""})", "request"},
      {R"({"uid":1,"key":"k","request":7})", "request"},
      {R"({"reference":"30000"})", "reference"},
      {R"({"reference":{"btcusd":30000}})", "reference"},
      {R"({"reference":{"btcusd":"1e3"}})", "reference"},
      {R"({"reference":{"btcusd":{"usd":"1"}}})", "reference"},
      {R"({"what":"nothing"})", "mean nothing without"},
      {R"({"times":2})", "mean nothing without"},
      {R"({"expect":"allow"})", "mean nothing without"},
      {R"({"uid":1,"uid":2})", "repeated"},
  };
  for (const auto& [line, why] : rows) {
    const std::string sentence = refusal("\n# two lines before\n" + std::string{line} + "\n");
    EXPECT_THAT(sentence, HasSubstr("q.jsonl:3: ")) << line;
    EXPECT_THAT(sentence, HasSubstr(why)) << line;
  }
}

}  // namespace
}  // namespace hsm::policy
