// What officers are shown of a payload: one text for whoever made the payload, and nothing in it
// that a terminal would act on or that could be taken for something else.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "hsm_signer/venue/payload.h"
#include "tests/support/error_is.h"

namespace hsm::venue {
namespace {

std::string shown(const Result<Payload>& payload) {
  EXPECT_THAT(payload, Succeeds());
  std::string text;
  if (payload) payload->build_without_nonce(text);
  return text;
}

TEST(WithoutNonce, PutsTheRequestFirstAndKeepsTheOthersInTheirOrder) {
  const std::string expected =
      R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1q","amount":"1.50","x":1.500})";
  for (
      const char* text :
      {R"({"request":"/v2/withdraw/bitcoin/btc","nonce":1,"address":"bc1q","amount":"1.50","x":1.500})",
       R"({"nonce":"7.25","address":"bc1q","amount":"1.50","x":1.500,"request":"/v2/withdraw/bitcoin/btc"})",
       R"( { "address" : "bc1q", "request":"/v2\/withdraw\/bitcoin/btc", "amount":"1.\u00350", "nonce":2, "x":1.500 } )"}) {
    EXPECT_EQ(shown(Payload::parse_verbatim(text)), expected) << text;
    EXPECT_EQ(shown(Payload::parse_request(text)), expected) << text;
  }
}

TEST(WithoutNonce, IsTheSameForARequestAndForWhatIsSignedOfIt) {
  const auto request = Payload::parse_request(
      R"({"b":[1E-7,"é",{"k":[],"m\"":null}],"request":"/v1/balances","memo":"\u2028ü","n":null})");
  ASSERT_THAT(request, Succeeds());
  std::string built;
  request->build("1700000000000", built);
  EXPECT_EQ(shown(request), shown(Payload::parse_verbatim(built)));
  EXPECT_EQ(shown(request), R"({"request":"/v1/balances","b":[1E-7,"\u00e9",{"k":[],"m\"":null}],)"
                            R"("memo":"\u2028\u00fc","n":null})");
}

TEST(WithText, AddsAMemberAtTheEndThatItsParserReads) {
  const auto request =
      Payload::parse_request(R"({"nonce":1,"request":"/v2/withdraw/bitcoin/btc","a":[1,{"b":2}]})");
  ASSERT_THAT(request, Succeeds());
  const auto text = request->with_text("clientTransferId", "a\"b");
  ASSERT_THAT(text, Succeeds());
  EXPECT_EQ(*text,
            R"({"request":"/v2/withdraw/bitcoin/btc","a":[1,{"b":2}],"clientTransferId":"a\"b"})");
  EXPECT_EQ(Payload::parse_request(*text)->member("clientTransferId")->text, "a\"b");
}

TEST(WithText, RefusesAMemberThatIsThereAndBytesThatAreToBeSignedAsTheyAre) {
  const auto request = Payload::parse_request(R"({"request":"/v1/balances","account":"a"})");
  EXPECT_THAT(request->with_text("account", "b"), ErrorIs(Code::internal));
  const auto verbatim = Payload::parse_verbatim(R"({"request":"/v1/balances","nonce":1})");
  EXPECT_THAT(verbatim->with_text("account", "b"), ErrorIs(Code::internal));
}

TEST(WithoutNonce, TellsOtherOrdersAndOtherTokensApart) {
  const char* const texts[] = {R"({"request":"/v1/balances","nonce":1,"a":1,"b":2})",
                               R"({"request":"/v1/balances","nonce":1,"b":2,"a":1})",
                               R"({"request":"/v1/balances","nonce":1,"a":1.0,"b":2})",
                               R"({"request":"/v1/balances","nonce":1,"a":"1","b":2})"};
  for (const char* text : texts) {
    EXPECT_EQ(std::count_if(std::begin(texts), std::end(texts),
                            [&](const char* other) {
                              return shown(Payload::parse_verbatim(other)) ==
                                     shown(Payload::parse_verbatim(text));
                            }),
              1)
        << text;
  }
}

// The expected side is what json.dumps(…, separators=(",", ":")) of Python writes.
TEST(WithoutNonce, EscapesWhateverIsNotPrintableAscii) {
  const std::pair<const char*, const char*> rows[] = {
      {"\x7f", R"(\u007f)"},
      {"\xc2\x80", R"(\u0080)"},
      {"\xdf\xbf", R"(\u07ff)"},
      {"\xe0\xa0\x80", R"(\u0800)"},
      {"\xe2\x80\xae", R"(\u202e)"},  // Right-to-left override.
      {"\xef\xbf\xbf", R"(\uffff)"},
      {"\xf0\x90\x80\x80", R"(\ud800\udc00)"},
      {"\xf0\x9f\x98\x80", R"(\ud83d\ude00)"},
      {"\xf4\x8f\xbf\xbf", R"(\udbff\udfff)"},
      {R"(\u001b[2J)", R"(\u001b[2J)"},
      {R"(\u007f)", R"(\u007f)"},
      {R"(\u00e9)", R"(\u00e9)"},
      {R"(\ud83d\ude00)", R"(\ud83d\ude00)"},
      {R"(\u000a)", R"(\n)"},
      {R"(\u0022\u005c\/~ )", R"(\"\\/~ )"},
  };
  for (const auto& [in, out] : rows) {
    const std::string text = R"({"request":"/v1/balances","nonce":1,"a":")" + std::string{in} +
                             R"(","n":[")" + in + "\"]}";
    EXPECT_EQ(
        shown(Payload::parse_verbatim(text)),
        R"({"request":"/v1/balances","a":")" + std::string{out} + R"(","n":[")" + out + "\"]}");
  }
}

TEST(WithoutNonce, AppendsBehindWhatIsThere) {
  std::string text = "payload: ";
  Payload::parse_verbatim(R"({"nonce":1,"request":"/v1/heartbeat"})")->build_without_nonce(text);
  EXPECT_EQ(text, R"(payload: {"request":"/v1/heartbeat"})");
}

}  // namespace
}  // namespace hsm::venue
