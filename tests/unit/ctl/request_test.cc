#include <gmock/gmock.h>

#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::HasSubstr;
using wire::Type;

class RequestTest : public PlayedDirectory {
 protected:
  void sign_with(std::function<Result<wire::Signed>(const wire::SignRequest&)> answer) {
    signer->on<wire::SignRequest, wire::Signed>(Type::sign_request, answer);
    signer->on<wire::SignRequest, wire::Signed>(Type::sign_verbatim, std::move(answer));
  }
  std::string request = write("request.json", R"({"request":"/v1/balances"})");
};

wire::Signed signed_answer() {
  return {.api_key_id = "account-x",
          .payload_base64 = "eyJh",
          .signature = "00ff",
          .nonce = "1700000000123",
          .audit_sequence = 17,
          .key = "desk-a.trade",
          .version = 3};
}

TEST_F(RequestTest, SignPrintsJsonInTheFormThatScriptsParse) {
  sign_with([](const wire::SignRequest& ask) {
    EXPECT_EQ(ask.key, "desk-a.trade");
    EXPECT_EQ(ask.payload, R"({"request":"/v1/balances"})");
    EXPECT_EQ(ask.deadline_ms, 1500u);
    return Result<wire::Signed>{signed_answer()};
  });
  const Ran ran =
      ctl({"sign", "desk-a.trade", "--request", request, "--deadline", "1500", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, R"({"headers":{"X-GEMINI-APIKEY":"account-x","X-GEMINI-PAYLOAD":"eyJh",)"
                     R"("X-GEMINI-SIGNATURE":"00ff"},"nonce":"1700000000123","audit_seq":17,)"
                     R"("key":"desk-a.trade","version":3})"
                     "\n");
  EXPECT_EQ(signer->asked(), std::vector{Type::sign_request});
}

TEST_F(RequestTest, SignPrintsHeadersForCurlAndNothingElse) {
  sign_with([](const wire::SignRequest&) { return Result<wire::Signed>{signed_answer()}; });
  const Ran ran = ctl({"sign", "desk-a.trade", "--request", request});
  EXPECT_EQ(ran.out,
            "X-GEMINI-APIKEY: account-x\nX-GEMINI-PAYLOAD: eyJh\nX-GEMINI-SIGNATURE: 00ff\n");
  EXPECT_EQ(ran.err, "");
}

TEST_F(RequestTest, VerbatimBytesArriveAsTheyAre) {
  const std::string exact = "{\n  \"request\": \"/v1/balances\",\n\n  \"nonce\": 1\n}\n";
  sign_with([&](const wire::SignRequest& ask) {
    EXPECT_EQ(ask.payload, exact);
    return Result<wire::Signed>{signed_answer()};
  });
  EXPECT_EQ(ctl({"sign", "k", "--verbatim", write("exact", exact)}).status, 0);
  EXPECT_EQ(signer->asked(), std::vector{Type::sign_verbatim});
}

TEST_F(RequestTest, AKeyMayBeCalledLikeAVerb) {
  sign_with([](const wire::SignRequest& ask) {
    EXPECT_EQ(ask.key, "status");
    return Result<wire::Signed>{signed_answer()};
  });
  EXPECT_EQ(ctl({"sign", "status", "--request", request}).status, 0);
}

TEST_F(RequestTest, EveryCodeOfTheSignerHasItsExitStatus) {
  const std::vector<std::pair<Code, int>> expected{{Code::denied, 1},
                                                   {Code::invalid_payload, 1},
                                                   {Code::nonce_conflict, 1},
                                                   {Code::key_not_active, 1},
                                                   {Code::too_large, 1},
                                                   {Code::rate_limited, 1},
                                                   {Code::unauthorized, 1},
                                                   {Code::quarantined, 1},
                                                   {Code::overloaded, 3},
                                                   {Code::token_unavailable, 3},
                                                   {Code::audit_unavailable, 3},
                                                   {Code::state_unavailable, 3},
                                                   {Code::internal, 3},
                                                   {Code::deadline_exceeded, 3},
                                                   {Code::protocol_error, 3}};
  for (const auto& [code, status] : expected) {
    sign_with([code = code](const wire::SignRequest&) {
      return refusal<wire::Signed>(code, "rule \"none\" says no");
    });
    const Ran ran = ctl({"sign", "k", "--request", request});
    EXPECT_EQ(ran.status, status) << name(code);
    EXPECT_EQ(ran.err, "hsm-signerctl: rule \"none\" says no [" + std::string{name(code)} + "]\n");
  }
}

TEST_F(RequestTest, AnErrorInJsonTellsWhenToAskAgain) {
  sign_with([](const wire::SignRequest&) -> Result<wire::Signed> {
    return fail(Error{.code = Code::rate_limited,
                      .what = {},
                      .detail = "too fast",
                      .ck_rv = 0,
                      .retry_after_ms = 250});
  });
  const Ran ran = ctl({"--json", "sign", "k", "--request", request});
  EXPECT_EQ(ran.out,
            R"({"error":{"code":"rate_limited","message":"too fast","retry_after_ms":250}})"
            "\n");
}

TEST_F(RequestTest, ARequestFileThatIsNotThereIsNamedBeforeAnybodyIsAsked) {
  const Ran ran = ctl({"sign", "k", "--request", file("absent.json")});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("absent.json"));
  EXPECT_TRUE(signer->asked().empty());
}

TEST_F(RequestTest, ARequestThatNoSignerWouldTakeIsRefusedHere) {
  const Ran ran = ctl({"sign", "k", "--request", write("huge", std::string(100'000, ' '))});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("[too_large]"));
  EXPECT_TRUE(signer->asked().empty());
}

TEST_F(RequestTest, ExplainShowsTheDecidingRuleAndExitsZeroEvenForARefusal) {
  signer->on<wire::Explain, wire::Explanation>(Type::explain, [](const wire::Explain&) {
    wire::Explanation answer{.allowed = false,
                             .code = "denied",
                             .rule = "reader",
                             .sentence = "no rule allows it",
                             .endpoint = "/v1/order/new",
                             .endpoint_class = "trade",
                             .steps = {}};
    answer.steps.push_back({.rule = "reader", .verdict = "skip", .why = "class read only"});
    return Result<wire::Explanation>{answer};
  });
  const Ran plain = ctl({"explain", "k", "--request", request});
  EXPECT_EQ(plain.status, 0);
  EXPECT_EQ(plain.out,
            "would be refused: no rule allows it [denied]\nendpoint /v1/order/new, class trade\n"
            "  rule \"reader\": skip, class read only\n");
  const Ran json = ctl({"explain", "k", "--request", request, "--json"});
  EXPECT_EQ(json.out,
            R"({"allowed":false,"code":"denied","rule":"reader","sentence":"no rule allows it",)"
            R"("endpoint":"/v1/order/new","class":"trade",)"
            R"("steps":[{"rule":"reader","verdict":"skip","why":"class read only"}]})"
            "\n");
}

TEST_F(RequestTest, ExplainExitsOneWhereTheRulesAreNotReached) {
  for (const Code code : {Code::denied, Code::invalid_payload, Code::too_large}) {
    signer->on<wire::Explain, wire::Explanation>(Type::explain, [code](const wire::Explain&) {
      return refusal<wire::Explanation>(code, "request names no endpoint of the table");
    });
    const Ran ran = ctl({"explain", "k", "--request", request});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, HasSubstr("names no endpoint"));
  }
}

TEST_F(RequestTest, WhoamiNamesTheClient) {
  signer->on<wire::WhoAmI, wire::Identity>(Type::whoami, [](const wire::WhoAmI&) {
    return Result<wire::Identity>{wire::Identity{.uid = 1001, .gid = 1002, .client = "mm-bot"}};
  });
  EXPECT_EQ(ctl({"whoami"}).out, "client \"mm-bot\" (uid 1001, gid 1002)\n");
  EXPECT_EQ(ctl({"whoami", "--json"}).out, "{\"uid\":1001,\"gid\":1002,\"client\":\"mm-bot\"}\n");
}

TEST_F(RequestTest, KeysAreReadPageByPage) {
  signer->on<wire::ListKeys, wire::KeyList>(Type::list_keys, [](const wire::ListKeys& ask) {
    wire::KeyList page{.total = 3, .keys = {}};
    wire::KeyItem item{.key = "k" + std::to_string(ask.offset),
                       .version = 1,
                       .environment = "sandbox",
                       .api_key_id = "account-x",
                       .roles = "trader",
                       .nonce_form = "signer-ms",
                       .classes = "read"};
    page.keys.push_back(item);
    return Result<wire::KeyList>{page};
  });
  const Ran ran = ctl({"keys", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  for (const char* key : {R"("key":"k0")", R"("key":"k1")", R"("key":"k2")"})
    EXPECT_THAT(ran.out, HasSubstr(key));
  EXPECT_EQ(signer->asked().size(), 3u);
}

TEST_F(RequestTest, ASignerThatSaysThereIsMoreAndSendsNothingDoesNotHoldUs) {
  signer->on<wire::ListKeys, wire::KeyList>(Type::list_keys, [](const wire::ListKeys&) {
    return Result<wire::KeyList>{wire::KeyList{.total = 9, .keys = {}}};
  });
  EXPECT_EQ(ctl({"keys"}).out, "no key that you may use\n");
}

TEST_F(RequestTest, TheSocketFlagWinsOverTheDirectory) {
  client::FakeDaemon other{file("other.sock")};
  other.on<wire::Ping, wire::Ping>(Type::ping,
                                   [](const wire::Ping& ping) { return Result<wire::Ping>{ping}; });
  EXPECT_EQ(ctl({"ping", "--socket", file("other.sock")}).status, 0);
  EXPECT_TRUE(signer->asked().empty());
}

}  // namespace
}  // namespace hsm::ctl
