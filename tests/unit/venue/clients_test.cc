// What the exchange documents and what real clients send, shape by shape.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/venue/payload.h"
#include "tests/support/error_is.h"

namespace hsm::venue {
namespace {

using ::testing::HasSubstr;

nlohmann::json vectors() {
  std::ifstream file{"tests/vectors/gemini.json"};
  return nlohmann::json::parse(file).at("vectors");
}

TEST(Vectors, CarryTheSignaturesTheyClaim) {
  ASSERT_EQ(vectors().size(), 6u);
  for (const auto& vector : vectors()) {
    const auto text = vector.at("payload").get<std::string>();
    const auto b64 = vector.at("payload_base64").get<std::string>();
    EXPECT_EQ(base64_encode(as_bytes(text)), b64);
    const Mac mac = hmac_sha384(as_bytes(vector.at("secret").get<std::string>()), as_bytes(b64));
    EXPECT_TRUE(hex_encode(mac) == vector.at("signature").get<std::string>()) << vector.at("id");
  }
}

TEST(Vectors, AreReadUnlessTheyLogIn) {
  std::size_t read = 0;
  for (const auto& vector : vectors()) {
    const auto decoded = decode_payload_base64(vector.at("payload_base64").get<std::string>());
    ASSERT_THAT(decoded, Succeeds());
    const auto payload = Payload::parse_verbatim(*decoded);
    if (vector.at("kind") == "ws-login") {
      EXPECT_THAT(payload,
                  ErrorIs(Code::invalid_payload, HasSubstr("a bare decimal is a WebSocket login")));
      continue;
    }
    ASSERT_THAT(payload, Succeeds()) << vector.at("id");
    EXPECT_EQ(payload->unknown_member(), "") << vector.at("id");
    EXPECT_EQ(payload->verbatim(), *decoded);
    ++read;
  }
  EXPECT_EQ(read, 5u);
}

struct Shape {
  const char* client;
  const char* text;
  const char* path;
  const char* nonce;
};

constexpr Shape kShapes[] = {
    {"ccxt fetchBalance", R"({"request":"/v1/balances","nonce":"1795403300893"})", "/v1/balances",
     "1795403300893"},
    {"ccxt createOrder",
     R"({"request":"/v1/order/new","nonce":"1795403300894","client_order_id":"1795403300893","symbol":"btcusd",)"
     R"("amount":"0.5","price":"30000","side":"buy","type":"exchange limit","options":["immediate-or-cancel"]})",
     "/v1/order/new", "1795403300894"},
    {"ccxt createOrder, stop, account",
     R"({"request":"/v1/order/new","nonce":"1","client_order_id":"2","symbol":"btcusd","amount":"0.5","price":"30000",)"
     R"("side":"buy","type":"exchange stop limit","stop_price":"31000","account":"primary"})",
     "/v1/order/new", "1"},
    {"ccxt cancelOrder", R"({"request":"/v1/order/cancel","nonce":"3","order_id":"106817811"})",
     "/v1/order/cancel", "3"},
    {"ccxt fetchMyTrades",
     R"({"request":"/v1/mytrades","nonce":"4","symbol":"btcusd","limit_trades":5,"timestamp":1700000000})",
     "/v1/mytrades", "4"},
    {"ccxt fetchOpenOrders", R"({"request":"/v1/orders","nonce":"5"})", "/v1/orders", "5"},
    {"ccxt withdraw",
     R"({"request":"/v1/withdraw/BTC","nonce":"6","amount":0.1,"address":"bc1qxyz"})",
     "/v1/withdraw/{currency}", "6"},
    {"ccxt withdraw of very little",
     R"({"request":"/v1/withdraw/BTC","nonce":"7","amount":1e-7,"address":"bc1q"})",
     "/v1/withdraw/{currency}", "7"},
    {"ccxt pro watchOrders", R"({"request":"/v1/order/events","nonce":1795403372756})",
     "/v1/order/events", "1795403372756"},
    {"ccxt nonce with a fraction", R"({"request":"/v1/orders","nonce":"1234567890.123456"})",
     "/v1/orders", "1234567890.123456"},
    {"hummingbot", R"({"request": "/v1/order/status", "order_id": 7, "nonce": 1785400000.123456})",
     "/v1/order/status", "1785400000.123456"},
    {"official TypeScript SDK",
     R"({"request":"/v1/balances","nonce":1795403372757,"account":"primary"})", "/v1/balances",
     "1795403372757"},
    {"official Go SDK, keys sorted",
     R"({"amount":"1","nonce":"1795403372758","price":"2","request":"/v1/order/new","side":"sell","symbol":"ethusd",)"
     R"("type":"exchange limit"})",
     "/v1/order/new", "1795403372758"},
    {"official MCP server", R"({"request":"/v1/balances","nonce":1795403372,"account":"primary"})",
     "/v1/balances", "1795403372"},
    {"gocryptotrader, nanoseconds", R"({"nonce":"1795403372757000001","request":"/v1/heartbeat"})",
     "/v1/heartbeat", "1795403372757000001"},
    {"gocryptotrader WebSocket", R"({"nonce":1795403372757000002,"request":"/v1/order/events"})",
     "/v1/order/events", "1795403372757000002"},
    {"ccapi",
     R"({"request":"/v1/order/cancel","nonce":1795403372757,"order_id":"1","account":"a"})",
     "/v1/order/cancel", "1795403372757"},
    {"blackbird", R"({"request":"/v1/balances","nonce":"7181613490"})", "/v1/balances",
     "7181613490"},
    {"XChange",
     R"({"request":"/v1/mytrades","nonce":"1795403372757","symbol":"BTCUSD","limit_trades":50})",
     "/v1/mytrades", "1795403372757"},
    {"bxbot", R"({"nonce":"1795403373","request":"/v1/orders"})", "/v1/orders", "1795403373"},
    {"cryptofeed",
     R"({"request": "/v1/order/events", "nonce": 1795403372757, "account": "primary"})",
     "/v1/order/events", "1795403372757"},
    {"geminex, seconds as number", R"({"nonce":1795403372,"request":"/v1/tradevolume"})",
     "/v1/tradevolume", "1795403372"},
    {"gemini-node-api, nonce last",
     R"({"request":"/v1/orders","account":"primary","nonce":1795403372757})", "/v1/orders",
     "1795403372757"},
    {"ExchangeSharp, ticks", R"({"nonce":639000000000000000,"request":"/v1/balances"})",
     "/v1/balances", "639000000000000000"},
    {"ocaml-gemini", R"({"request":"/v1/heartbeat","nonce":0})", "/v1/heartbeat", "0"},
    {"a script with float milliseconds", R"({"request":"/v1/balances","nonce":1700000000123.4567})",
     "/v1/balances", "1700000000123.4567"},
    {"a prediction market id beyond 2^53",
     R"({"request":"/v1/prediction-markets/order/cancel","nonce":1,"orderId":145828482918492817})",
     "/v1/prediction-markets/order/cancel", "1"},
    {"older clients withdraw dollars",
     R"({"request":"/v1/withdraw/usd","nonce":1,"address":"0x0F","amount":500,"account":"primary"})",
     "/v1/withdraw/usd", "1"},
};

TEST(Clients, AreReadInTheShapesTheySend) {
  for (const Shape& shape : kShapes) {
    const auto payload = Payload::parse_verbatim(shape.text);
    ASSERT_THAT(payload, Succeeds()) << shape.client;
    EXPECT_EQ(payload->endpoint().path, shape.path) << shape.client;
    EXPECT_EQ(payload->nonce(), shape.nonce) << shape.client;
    EXPECT_EQ(payload->unknown_member(), "") << shape.client;
  }
}

TEST(Clients, AreRefusedWhatTheDocumentationSaysToRefuse) {
  constexpr const char* kRefused[] = {
      R"(1700000000)",                                      // Fast API login.
      R"("1700000000")",                                    // The same as a string.
      R"({"request":"/v1/balances","nonce":1,"nonce":2})",  // Duplicate keys.
      R"({"request":"/v1/balances","nonce":1}{"request":"/v1/order/new"})",  // Trailing text.
      R"({"nonce":1})",                                                      // No request.
      R"({"request":"/v1/balances"})",                                       // No nonce.
      "{\"request\":\"/v1/balances\",\"nonce\":1,\"account\":\"\xE9\"}",     // Latin-1.
      R"({"request":"/v1/perpetuals/fundingpaymentreport/records.json?fromDate=2024-01-01","nonce":1})",
  };
  for (const char* text : kRefused) EXPECT_FALSE(Payload::parse_verbatim(text)) << text;
}

}  // namespace
}  // namespace hsm::venue
