// The strict payload, clause by clause: every row of a table is one clause kept or broken.
#include "hsm_signer/venue/payload.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "tests/support/error_is.h"

namespace hsm::venue {
namespace {

using namespace std::string_literals;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

// `inner` stands behind a valid request and nonce of the endpoint.
std::string on(std::string_view path, std::string_view inner = {}) {
  std::string text = R"({"request":")" + std::string{path} + R"(","nonce":1)";
  if (!inner.empty()) text.append(",").append(inner);
  return text + "}";
}
std::string balances(std::string_view inner) { return on("/v1/balances", inner); }
std::string order(std::string_view inner) { return on("/v1/order/new", inner); }

struct Accepted {
  std::string clause;
  std::string text;
};
struct Refused {
  std::string clause;
  std::string text;
  Code code;
  std::string says;
};

constexpr Code kBad = Code::invalid_payload;

std::string nested(std::size_t depth) {  // The outermost object is the first level.
  return balances(R"("x":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']'));
}
std::string nested_objects(std::size_t depth) {
  std::string inner = "1";
  for (std::size_t i = 0; i < depth; ++i) inner = R"({"x":)" + inner + "}";
  return R"("x":)" + inner;
}
std::string members(std::size_t count) {
  std::string inner;
  for (std::size_t i = 2; i < count; ++i)
    inner += (i == 2 ? "\"m" : ",\"m") + std::to_string(i) + "\":0";
  return balances(inner);
}
std::string sized(std::size_t size) {
  const std::string without = balances(R"("x":"")");
  return balances(R"("x":")" + std::string(size - without.size(), 'a') + "\"");
}

std::vector<Accepted> accepted_rows() {
  return {
      {"white space anywhere outside",
       "\r\n\t {\"request\" :\n\"/v1/balances\" , \"nonce\": 1 } \n"},
      {"any order of members", R"({"nonce":1,"account":"primary","request":"/v1/balances"})"},
      {"escapes in the request", R"({"request":"\/v1\/bal\u0061nces","nonce":1})"},
      {"an escaped member name", R"({"r\u0065quest":"/v1/balances","nonce":1})"},
      {"depth 8", nested(8)},
      {"depth 8 of objects", balances(nested_objects(7))},
      {"64 members", members(64)},
      {"a payload of 8 KiB of base64", sized(6144)},
      {"UTF-8 in values", balances("\"x\":\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"")},
      {"an escaped surrogate pair", balances(R"("x":"\ud83d\ude00")")},
      {"the same name in two objects", balances(R"("x":{"a":1},"y":{"a":1})")},
      {"the same name on two levels", balances(R"("x":{"x":1})")},
      {"a nonce as string", R"({"request":"/v1/balances","nonce":"1700000000123"})"},
      {"a nonce of 20 digits", R"({"request":"/v1/balances","nonce":18446744073709551615})"},
      {"a nonce with 9 digits of fraction",
       R"({"request":"/v1/balances","nonce":1700000000.123456789})"},
      {"a nonce string with a fraction", R"({"request":"/v1/balances","nonce":"1700000000.5"})"},
      {"an unknown member", balances(R"("x":null)")},
      {"a number with an exponent of two digits", balances(R"("x":1e99)")},
      {"a number of 48 characters", balances("\"x\":" + std::string(48, '1'))},
      {"an amount as string", order(R"("amount":"0.5")")},
      {"an amount as number", order(R"("amount":0.5)")},
      {"an amount with an exponent", order(R"("amount":1e-7)")},
      {"an amount with a large exponent that fits", order(R"("amount":1E+17)")},
      {"an amount of 18 and 18 digits",
       order(R"("amount":"999999999999999999.999999999999999999")")},
      {"a price as number", order(R"("price":30000)")},
      {"options as array of strings", order(R"("options":["maker-or-cancel"])")},
      {"options empty", order(R"("options":[])")},
      {"a boolean", order(R"("margin_order":false)")},
      {"an integer as string", on("/v1/instant/execute", R"("quoteId":"12")")},
      {"an integer as number", on("/v1/instant/execute", R"("quoteId":123456789012345678)")},
      {"account as string on a trade", order(R"("account":"primary")")},
      {"an order_id in a string", on("/v1/order/cancel", R"("order_id":"106817811")")},
      {"a type that nobody judges on a read", balances(R"("showPendingBalances":"yes")")},
      {"a path parameter of 32 characters", on("/v1/withdraw/" + std::string(32, 'a'))},
      {"a path parameter in upper case", on("/v1/withdraw/BTC")},
      {"a deep value in an unjudged member",
       on("/v1/prediction-markets/order/batch", R"("orders":[{"symbol":"A","price":"0.5"}])")},
  };
}

std::vector<Refused> refused_rows() {
  return {
      {"text behind", balances("") + "x", kBad, "text behind the JSON object"},
      {"a second object", balances("") + balances(""), kBad, "text behind the JSON object"},
      {"a comma behind", balances("") + ",", kBad, "text behind the JSON object"},
      {"a comment", balances("") + "//", kBad, "text behind the JSON object"},
      {"a comment within", R"({"request":/**/"/v1/balances","nonce":1})", kBad, "not JSON"},
      {"a trailing comma", R"({"request":"/v1/balances","nonce":1,})", kBad, "not JSON"},
      {"single quotes", R"({'request':"/v1/balances","nonce":1})", kBad, "not JSON"},
      {"cut short", R"({"request":"/v1/balances","nonce":1)", kBad, "ends too early"},
      {"empty text", "", kBad, "empty text"},
      {"white space only", " \n", kBad, "empty text"},
      {"a byte order mark", "\xEF\xBB\xBF" + balances(""), kBad, "byte order mark"},
      {"a NUL behind", balances("") + "\0"s, kBad, "NUL"},
      {"a NUL in a string", balances("\"x\":\"a\0b\""s), kBad, "NUL"},
      {"an escaped NUL in a string", balances(R"("x":"a\u0000b")"), kBad, "NUL"},
      {"an escaped NUL deep down", balances(R"("x":[{"y":"\u0000"}])"), kBad, "NUL"},
      {"an escaped NUL in a name", balances(R"("a\u0000":1)"), kBad, "not ASCII"},
      {"a control character in a string", balances("\"x\":\"a\nb\""), kBad, "not JSON"},
      {"UTF-8 cut short", balances("\"x\":\"\xC3\""), kBad, "not JSON"},
      {"a stray continuation byte", balances("\"x\":\"\x80\""), kBad, "not JSON"},
      {"overlong UTF-8", balances("\"x\":\"\xC0\xAF\""), kBad, "not JSON"},
      {"a surrogate in UTF-8", balances("\"x\":\"\xED\xA0\x80\""), kBad, "not JSON"},
      {"UTF-8 above U+10FFFF", balances("\"x\":\"\xF4\x90\x80\x80\""), kBad, "not JSON"},
      {"UTF-16", "{\0\"\0"s, kBad, "NUL"},
      {"an array", R"([{"request":"/v1/balances","nonce":1}])", kBad, "not a JSON object"},
      {"a string", R"("/v1/balances")", kBad, "not a JSON object"},
      {"null", "null", kBad, "not a JSON object"},
      {"a WebSocket login", "1700000000", kBad, "only sign_ws_login makes those"},
      {"a WebSocket login with a line break", "1700000000\n", kBad, "not a JSON object"},
      {"a WebSocket login with a fraction", "1700000000.5", kBad, "only sign_ws_login makes those"},
      {"a negative number", "-1700000000", kBad, "not a JSON object"},
      {"depth 9 of arrays", nested(9), kBad, "nested too deep"},
      {"depth 9 of objects", balances(nested_objects(8)), kBad, "nested too deep"},
      {"65 members", members(65), kBad, "too many members"},
      {"a name that is not ASCII", balances("\"\xC3\xA9\":1"), kBad, "not ASCII: member 3"},
      {"an escaped name that is not ASCII", balances(R"("\u00e9":1)"), kBad, "not ASCII: member 3"},
      {"a nested name that is not ASCII", balances("\"x\":{\"\xC3\xA9\":1}"), kBad,
       "not ASCII: member 1"},
      {"an empty name", balances(R"("":1)"), kBad, "without a name: member 3"},
      {"a name twice", balances(R"("x":1,"x":1)"), kBad, "member 4 is named as member 3"},
      {"a name twice, once escaped", balances(R"("x":1,"\u0078":1)"), kBad,
       "member 4 is named as member 3"},
      {"a name twice but for case", balances(R"("x":1,"X":1)"), kBad,
       "member 4 is named as member 3"},
      {"a nested name twice", balances(R"("x":[{"a":1,"a":2}])"), kBad,
       "member 2 is named as member 1"},
      {"a nested name twice but for case", balances(R"("x":{"a":1,"b":[],"A":2})"), kBad,
       "member 3 is named as member 1"},
      {"request twice", balances(R"("request":"/v1/order/new")"), kBad,
       "member 3 is named as member 1"},
      {"nonce twice", balances(R"("nonce":2)"), kBad, "member 3 is named as member 2"},
      {"a known member in another case", order(R"("Symbol":"btcusd")"), kBad,
       "member 3 has to be spelled symbol"},
      {"a known member in another case, escaped", order(R"("\u0053ymbol":"x")"), kBad,
       "spelled symbol"},
      {"account in another case", balances(R"("Account":"x")"), kBad, "spelled account"},
      {"a known member of a read in another case", balances(R"("showpendingbalances":true)"), kBad,
       "spelled showPendingBalances"},
      {"request in another case only", R"({"Request":"/v1/balances","nonce":1})", kBad,
       "missing: request"},
      {"nonce in another case only", R"({"request":"/v1/balances","Nonce":1})", kBad,
       "spelled nonce"},
      {"a lone high surrogate", balances(R"("x":"\ud83d")"), kBad, "not JSON"},
      {"a lone low surrogate", balances(R"("x":"\ude00")"), kBad, "lone surrogate"},
      {"a high surrogate and a letter", balances(R"("x":"\ud83dA")"), kBad, "not JSON"},
      {"two high surrogates", balances(R"("x":"\ud83d\ud83d")"), kBad, "lone surrogate"},
      {"no request", R"({"nonce":1})", kBad, "missing: request"},
      {"a request that is no string", R"({"request":7,"nonce":1})", kBad,
       "request has to be a string"},
      {"a request in an array", R"({"request":["/v1/balances"],"nonce":1})", kBad,
       "request has to be a string"},
      {"no nonce", R"({"request":"/v1/balances"})", kBad, "missing: nonce"},
      {"a nonce of 21 digits", R"({"request":"/v1/balances","nonce":184467440737095516150})", kBad,
       "nonce"},
      {"a nonce of 10 digits of fraction", R"({"request":"/v1/balances","nonce":1.0123456789})",
       kBad, "nonce"},
      {"a negative nonce", R"({"request":"/v1/balances","nonce":-1})", kBad, "nonce out of form"},
      {"a nonce with a plus", R"({"request":"/v1/balances","nonce":"+1"})", kBad,
       "nonce out of form"},
      {"a nonce with an exponent", R"({"request":"/v1/balances","nonce":1e9})", kBad,
       "nonce out of form"},
      {"a nonce with a space", R"({"request":"/v1/balances","nonce":" 1"})", kBad,
       "nonce out of form"},
      {"an empty nonce", R"({"request":"/v1/balances","nonce":""})", kBad, "nonce out of form"},
      {"a nonce of a point", R"({"request":"/v1/balances","nonce":"."})", kBad,
       "nonce out of form"},
      {"a nonce ending in a point", R"({"request":"/v1/balances","nonce":"1."})", kBad,
       "nonce out of form"},
      {"a nonce beginning with a point", R"({"request":"/v1/balances","nonce":".5"})", kBad,
       "nonce out of form"},
      {"a nonce with two points", R"({"request":"/v1/balances","nonce":"1.2.3"})", kBad,
       "nonce out of form"},
      {"a hex nonce", R"({"request":"/v1/balances","nonce":"0x1"})", kBad, "nonce out of form"},
      {"a nonce in an array", R"({"request":"/v1/balances","nonce":[1]})", kBad,
       "nonce out of form"},
      {"a nonce of true", R"({"request":"/v1/balances","nonce":true})", kBad, "nonce out of form"},
      {"a nonce of null", R"({"request":"/v1/balances","nonce":null})", kBad, "nonce out of form"},
      {"a number beyond a double", balances(R"("x":1e400)"), kBad,
       "exponent of more than two digits"},
      {"a number below a double", balances(R"("x":[1e-400])"), kBad,
       "exponent of more than two digits"},
      {"an exponent with leading zeros", balances(R"("x":1e007)"), kBad,
       "exponent of more than two digits"},
      {"a number of 49 characters", balances("\"x\":" + std::string(49, '1')), kBad,
       "number too long"},
      {"a leading zero", balances(R"("x":01)"), kBad, "not JSON"},
      {"a leading plus", balances(R"("x":+1)"), kBad, "not JSON"},
      {"a number ending in a point", balances(R"("x":1.)"), kBad, "not JSON"},
      {"not a number", balances(R"("x":NaN)"), kBad, "not JSON"},
      {"infinity", balances(R"("x":Infinity)"), kBad, "not JSON"},
      {"True", balances(R"("x":True)"), kBad, "not JSON"},
      {"an unknown escape", balances(R"("x":"\x41")"), kBad, "not JSON"},
      {"an amount of 19 digits", order(R"("amount":"1000000000000000000")"), kBad,
       "amount has to be a decimal"},
      {"an amount of 19 digits of fraction", order(R"("amount":"0.0000000000000000001")"), kBad,
       "amount has"},
      {"an amount string with an exponent", order(R"("amount":"1e-7")"), kBad,
       "amount has to be a decimal"},
      {"an amount whose exponent does not fit", order(R"("amount":1e18)"), kBad,
       "amount has to be a decimal"},
      {"an amount that would be rounded", order(R"("amount":1e-19)"), kBad,
       "amount has to be a decimal"},
      {"a negative amount", order(R"("amount":-1)"), kBad, "amount has to be a decimal"},
      {"a negative amount string", order(R"("amount":"-1")"), kBad, "amount has to be a decimal"},
      {"an amount with a comma", order(R"("amount":"1,000")"), kBad, "amount has to be a decimal"},
      {"an amount with a space", order(R"("amount":"1 ")"), kBad, "amount has to be a decimal"},
      {"an empty amount", order(R"("amount":"")"), kBad, "amount has to be a decimal"},
      {"an amount of null", order(R"("amount":null)"), kBad, "amount has to be a decimal"},
      {"an amount in an array", order(R"("amount":["1"])"), kBad, "amount has to be a decimal"},
      {"a price of true", order(R"("price":true)"), kBad, "price has to be a decimal"},
      {"an amount out of form on a withdrawal", on("/v1/withdraw/btc", R"("amount":"0.1btc")"),
       kBad, "amount has"},
      {"a symbol that is no string", order(R"("symbol":["btcusd"])"), kBad,
       "symbol has to be a string"},
      {"an address that is no string", on("/v1/withdraw/btc", R"("address":1)"), kBad,
       "address has to be a string"},
      {"an address of null", on("/v2/withdraw/bitcoin/btc", R"("address":null)"), kBad,
       "address has to be a string"},
      {"options that are no array", order(R"("options":"maker-or-cancel")"), kBad,
       "options has to be an array"},
      {"options with a number", order(R"("options":["a",1])"), kBad,
       "options has to be an array of strings"},
      {"options with an array", order(R"("options":[["a"]])"), kBad,
       "options has to be an array of strings"},
      {"options with an object", order(R"("options":[{}])"), kBad,
       "options has to be an array of strings"},
      {"options as object", order(R"("options":{"a":"b"})"), kBad,
       "options has to be an array of strings"},
      {"a boolean in a string", order(R"("margin_order":"true")"), kBad,
       "margin_order has to be true or false"},
      {"an integer with a fraction", on("/v1/instant/execute", R"("quoteId":1.0)"), kBad,
       "quoteId has to be"},
      {"an integer with an exponent", on("/v1/instant/execute", R"("quoteId":1e3)"), kBad,
       "quoteId has to be"},
      {"an integer of 21 digits", on("/v1/instant/execute", R"("quoteId":"100000000000000000000")"),
       kBad, "quoteId"},
      {"an account that is no string, on a trade", order(R"("account":1)"), kBad,
       "account has to be a string"},
      {"a wrong type on a widen", on("/v1/deposit/bitcoin/newAddress", R"("label":1)"), kBad,
       "label has to be"},
      {"a wrong type on an admin call", on("/v1/account/create", R"("name":1)"), kBad,
       "name has to be a string"},
      {"a request without a row", on("/v1/order/newer"), Code::denied, "names no endpoint"},
      {"a request with a query", on("/v1/balances?a=b"), Code::denied, "query"},
      {"a request with an empty query", on("/v1/balances?"), Code::denied, "query"},
      {"a request with a slash too many", on("/v1/balances/"), Code::denied, "names no endpoint"},
      {"a request in another case", on("/V1/balances"), Code::denied, "names no endpoint"},
      {"a request with a host", on("https://api.gemini.com/v1/balances"), Code::denied,
       "names no endpoint"},
      {"a request with an escaped letter", on("/v1/bal%61nces"), Code::denied, "names no endpoint"},
      {"an empty request", on(""), Code::denied, "names no endpoint"},
      {"a path parameter of 33 characters", on("/v1/withdraw/" + std::string(33, 'a')),
       Code::denied, "no endpoint"},
      {"an empty path parameter", on("/v1/withdraw/"), Code::denied, "names no endpoint"},
      {"a path parameter with a dot", on("/v1/withdraw/a.b"), Code::denied, "names no endpoint"},
      {"a path parameter of dots", on("/v1/withdraw/.."), Code::denied, "names no endpoint"},
      {"a path parameter with an underscore", on("/v1/withdraw/a_b"), Code::denied,
       "names no endpoint"},
      {"a path parameter with a space", on("/v1/withdraw/btc "), Code::denied, "names no endpoint"},
      {"a payload over 8 KiB of base64", sized(6145), Code::too_large, "more than 8192 bytes"},
  };
}

TEST(Payload, AcceptsEachClauseKept) {
  for (const Accepted& row : accepted_rows()) {
    SCOPED_TRACE(row.clause);
    const auto payload = Payload::parse_verbatim(row.text);
    ASSERT_THAT(payload, Succeeds());
    EXPECT_EQ(payload->verbatim(), row.text);
    EXPECT_FALSE(payload->nonce().empty());
  }
}

TEST(Payload, RefusesEachClauseBrokenAndNamesIt) {
  for (const Refused& row : refused_rows()) {
    SCOPED_TRACE(row.clause);
    EXPECT_THAT(Payload::parse_verbatim(row.text), ErrorIs(row.code, HasSubstr(row.says)));
  }
}

TEST(Payload, NeverEchoesWhatTheClientWrote) {
  for (const Refused& row : refused_rows()) {
    const auto payload = Payload::parse_verbatim(row.text);
    ASSERT_FALSE(payload) << row.clause;
    EXPECT_THAT(payload.error().sentence(), Not(HasSubstr("btc"))) << row.clause;
  }
  const auto echoed = Payload::parse_verbatim(balances(R"("hunter2":1,"HUNTER2":1)"));
  EXPECT_THAT(echoed, ErrorIs(kBad, Not(HasSubstr("unter"))));
}

TEST(Payload, ReadsMembersUnescapedAndNumbersRaw) {
  const auto payload = Payload::parse_verbatim(
      R"({"nonce":"0017.50","request":"\/v1\/order\/new","\u0073ymbol":"btc\u0075sd","amount":1.50e-3,)"
      R"("options":["a"],"margin_order":true,"memo":"\"\\\n\u00e9"})");
  ASSERT_THAT(payload, Succeeds());
  EXPECT_EQ(payload->request(), "/v1/order/new");
  EXPECT_EQ(payload->endpoint().path, "/v1/order/new");
  EXPECT_EQ(payload->nonce(), "0017.50");
  EXPECT_EQ(payload->member("symbol")->text, "btcusd");
  EXPECT_EQ(payload->member("amount")->text, "1.50e-3");
  EXPECT_EQ(payload->member("amount")->kind, Kind::number);
  EXPECT_EQ(payload->member("options")->kind, Kind::array);
  EXPECT_EQ(payload->member("margin_order")->text, "true");
  EXPECT_EQ(payload->member("memo")->text, "\"\\\n\xC3\xA9");
  EXPECT_EQ(payload->unknown_member(), "memo");
  EXPECT_FALSE(payload->member("Symbol").has_value());
  EXPECT_FALSE(payload->member("price").has_value());
}

TEST(Payload, ViewsOutliveAMove) {
  auto first =
      Payload::parse_verbatim(R"({"request":"/v1/\u0062alances","nonce":7,"account":"a"})");
  ASSERT_THAT(first, Succeeds());
  const std::string_view request = first->request();
  const std::string_view account = first->member("account")->text;
  const Payload second = *std::move(first);
  EXPECT_EQ(request, "/v1/balances");
  EXPECT_EQ(account, "a");
  EXPECT_EQ(second.request().data(), request.data());
}

TEST(Payload, ReadsPathParametersByName) {
  const auto payload = Payload::parse_verbatim(on("/v2/withdraw/bitcoin/btc"));
  ASSERT_THAT(payload, Succeeds());
  EXPECT_EQ(payload->parameter("network"), "bitcoin");
  EXPECT_EQ(payload->parameter("ticker"), "btc");
  EXPECT_EQ(payload->parameter("currency"), "");
  EXPECT_FALSE(payload->member("ticker").has_value());
}

TEST(Payload, KnowsAccountRequestAndNonceEverywhere) {
  for (const char* path :
       {"/v1/balances", "/v1/order/new", "/v1/withdraw/btc", "/v1/order/cancel/all"}) {
    const auto payload = Payload::parse_verbatim(on(path, R"("account":"primary")"));
    ASSERT_THAT(payload, Succeeds()) << path;
    EXPECT_EQ(payload->unknown_member(), "") << path;
  }
}

TEST(Payload, SaysTheFirstUnknownMember) {
  const auto payload =
      Payload::parse_verbatim(order(R"("symbol":"btcusd","iceberg":1,"hidden":2)"));
  ASSERT_THAT(payload, Succeeds());
  EXPECT_EQ(payload->unknown_member(), "iceberg");
}

TEST(Request, NeedsNoNonceAndDropsTheOneItHas) {
  for (const char* text :
       {R"({"request":"/v1/balances","account":"primary"})",
        R"({"nonce":"123.5","request":"/v1/balances","account":"primary"})",
        "{\"account\" : \"primary\", \"request\" : \"/v1/balances\", \"nonce\": 4}\n"}) {
    const auto payload = Payload::parse_request(text);
    ASSERT_THAT(payload, Succeeds()) << text;
    EXPECT_EQ(payload->nonce(), "");
    EXPECT_EQ(payload->verbatim(), "");
    EXPECT_FALSE(payload->member("nonce").has_value());
    std::string built = "x";
    payload->build("1700000000001", built);
    EXPECT_EQ(built, R"(x{"request":"/v1/balances","nonce":1700000000001,"account":"primary"})");
  }
}

TEST(Request, RefusesANonceOutOfForm) {
  EXPECT_THAT(Payload::parse_request(R"({"request":"/v1/balances","nonce":"x"})"),
              ErrorIs(kBad, HasSubstr("nonce")));
  EXPECT_THAT(Payload::parse_request(R"({"request":"/v1/balances","nonce":1e3})"),
              ErrorIs(kBad, HasSubstr("nonce")));
  EXPECT_THAT(Payload::parse_request(R"({"request":"/v1/balances","nonce":1,"nonce":1})"),
              ErrorIs(kBad));
}

TEST(Request, RefusesWhatWouldNotFitWithItsNonce) {
  const std::string fits = sized(6144 - 41);
  auto payload = Payload::parse_request(fits);
  ASSERT_THAT(payload, Succeeds());
  std::string built;
  payload->build(std::string(20, '9') + "." + std::string(9, '9'), built);
  EXPECT_THAT(Payload::parse_verbatim(built), Succeeds());
  EXPECT_THAT(Payload::parse_request(sized(6144)),
              ErrorIs(Code::too_large, HasSubstr("with its nonce")));
}

TEST(Request, RefusesMembersThatLeaveNoPlaceForTheNonce) {
  EXPECT_THAT(Payload::parse_request(members(64)), Succeeds());  // Has one already.
  std::string text = members(65);
  text.replace(text.find("\"nonce\":1,"), 10, "");
  EXPECT_THAT(Payload::parse_request(text), ErrorIs(kBad, HasSubstr("with the nonce")));
}

TEST(Request, KeepsOrderNumbersAndNesting) {
  const auto payload = Payload::parse_request(
      R"( { "b" : 1.500 , "a" : [ 1E-7 , "x\"\\\/\u0001\n\u00e9" , { "k" : [ ] , "l" : { } , "m\"" : null } , true ] ,
          "request" : "/v1/balances" , "c" : "t\tq" , "d" : null , "e" : false } )");
  ASSERT_THAT(payload, Succeeds());
  std::string built;
  payload->build("5", built);
  EXPECT_EQ(built, R"({"request":"/v1/balances","nonce":5,"b":1.500,"a":[1E-7,"x\"\\/\u0001\n)"
                   "\xC3\xA9"
                   R"(",{"k":[],"l":{},"m\"":null},true],"c":"t\tq","d":null,"e":false})");
  const auto again = Payload::parse_verbatim(built);
  ASSERT_THAT(again, Succeeds());
  EXPECT_EQ(again->member("c")->text, "t\tq");
}

TEST(Members, TellTheFirstThatNeitherTheRowNorTheListKnows) {
  const auto payload = Payload::parse_request(
      R"({"request":"/v1/order/new","symbol":"btcusd","tag":1,"nonce":1,"account":"a","other":2})");
  ASSERT_THAT(payload, Succeeds());
  const std::vector<std::string> tag{"tag"}, both{"other", "tag"}, none{"Tag", ""};
  EXPECT_EQ(payload->unknown_member(), "tag");
  EXPECT_EQ(payload->unknown_member(none), "tag");
  EXPECT_EQ(payload->unknown_member(tag), "other");
  EXPECT_EQ(payload->unknown_member(both), "");
}

TEST(Members, TellTheFirstTextOfAnArrayThatIsNotListed) {
  const std::vector<std::string> listed{"a", "b\\"};
  const auto besides = [&](std::string_view options) {
    const auto payload = Payload::parse_request(R"({"request":"/v1/order/new","options":)" +
                                                std::string{options} + "}");
    EXPECT_THAT(payload, Succeeds()) << options;
    const auto found = payload->text_besides("options", listed);
    return found ? std::string{*found} : "(none)";
  };
  EXPECT_EQ(besides("[]"), "(none)");
  EXPECT_EQ(besides(R"(["a","a"])"), "(none)");
  EXPECT_EQ(besides(R"(["a","c","d"])"), "c");
  EXPECT_EQ(besides(R"(["a",""])"), "");
  // As it stands in the text: an escape makes it none of the list.
  EXPECT_EQ(besides(R"(["b\\"])"), R"(b\\)");
  EXPECT_EQ(besides(R"(["\u0061"])"), "(none)");
  EXPECT_EQ(besides(R"(["a\",\"c"])"), R"(a\",\"c)");
  EXPECT_EQ(
      Payload::parse_request(R"({"request":"/v1/order/new"})")->text_besides("options", listed),
      std::nullopt);
}

TEST(PayloadBase64, DecodesWhatFitsAndIsCanonical) {
  EXPECT_THAT(decode_payload_base64("e30="), Optional(Eq("{}")));
  EXPECT_THAT(decode_payload_base64(std::string(8192, 'A')), Succeeds());
}

TEST(PayloadBase64, RefusesMoreThanEightKibibytes) {
  EXPECT_THAT(decode_payload_base64(std::string(8196, 'A')),
              ErrorIs(Code::too_large, HasSubstr("8192")));
}

TEST(PayloadBase64, RefusesWhatAnEncoderWouldNotHaveMade) {
  for (const char* text :
       {"e30", "e31=", "e30=\n", " e30=", "e3 0=", "e30-", "e30_", "====", "e30=e30=", "e=30"})
    EXPECT_THAT(decode_payload_base64(text), ErrorIs(kBad)) << text;
}

}  // namespace
}  // namespace hsm::venue
