// What real clients send, judged under one desk's policy: whatever the spelling of a number, the
// order of members, or what they add, the same is allowed and the same refused.
#include <gmock/gmock.h>

#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using testing::HasSubstr;

constexpr std::string_view kDesk = R"(
[[rule]]
name = "trades"
client = "mm-bot"
key = "env:sandbox"
allow = ["class:read", "class:cancel", "class:session", "/v1/order/new"]
symbols = ["btcusd", "ethusd"]
order_types = ["exchange limit", "exchange stop limit"]
max_amount = { btcusd = "0.5", ethusd = "1" }
min_price = { btcusd = "20000", ethusd = "2" }
accounts = ["primary", "a"]
[[rule]]
name = "withdraws"
client = "mm-bot"
key = "env:sandbox"
allow = ["/v1/withdraw/{currency}", "/v2/withdraw/{network}/{ticker}", "/v1/withdraw/usd"]
addresses = [ { network = "bitcoin", ticker = "btc", address = "bc1qxyz" } ]
networks = { btc = "bitcoin", usd = "ethereum" }
max_amount = { btc = "0.1", usd = "500" }
)";

struct Shape {
  std::string_view client;
  std::string_view payload;
  std::string_view refusal{};  // Empty: allowed.
};

constexpr Shape kShapes[] = {
    {"ccxt fetchBalance", R"({"request":"/v1/balances","nonce":"1795403300893"})"},
    {"ccxt createOrder",
     R"({"request":"/v1/order/new","nonce":"1","client_order_id":"1795403300893","symbol":"btcusd","amount":"0.5","price":"30000","side":"buy","type":"exchange limit","options":["immediate-or-cancel"]})"},
    {"ccxt createOrder of more",
     R"({"request":"/v1/order/new","nonce":"1","client_order_id":"1","symbol":"btcusd","amount":"0.50000001","price":"30000","side":"buy","type":"exchange limit","options":[]})",
     "at most 0.5"},
    {"ccxt createOrder, stop, account",
     R"({"request":"/v1/order/new","nonce":"1","client_order_id":"2","symbol":"btcusd","amount":"0.5","price":"30000","side":"buy","type":"exchange stop limit","stop_price":"31000","account":"primary"})"},
    {"ccxt createOrder, another account",
     R"({"request":"/v1/order/new","nonce":"1","client_order_id":"2","symbol":"btcusd","amount":"0.5","price":"30000","side":"buy","type":"exchange limit","account":"other"})",
     "does not allow that account"},
    {"ccxt createOrder, JavaScript's small number",
     R"({"request":"/v1/order/new","nonce":"1","symbol":"btcusd","amount":1e-7,"price":3e4,"side":"buy","type":"exchange limit"})"},
    {"ccxt cancelOrder, id in a string",
     R"({"request":"/v1/order/cancel","nonce":"3","order_id":"106817811"})"},
    {"ccxt fetchMyTrades",
     R"({"request":"/v1/mytrades","nonce":"4","symbol":"btcusd","limit_trades":5,"timestamp":1700000000})"},
    {"ccxt withdraw, amount as a number",
     R"({"request":"/v1/withdraw/BTC","nonce":"6","amount":0.1,"address":"bc1qxyz"})"},
    {"ccxt withdraw of very little",
     R"({"request":"/v1/withdraw/BTC","nonce":"7","amount":1e-7,"address":"bc1qxyz"})"},
    {"ccxt withdraw of more",
     R"({"request":"/v1/withdraw/BTC","nonce":"7","amount":0.10000001,"address":"bc1qxyz"})",
     "at most 0.1"},
    {"ccxt withdraw with a big exponent",
     R"({"request":"/v1/withdraw/BTC","nonce":"7","amount":1e1,"address":"bc1qxyz"})",
     "at most 0.1"},
    {"ccxt withdraw elsewhere",
     R"({"request":"/v1/withdraw/BTC","nonce":"6","amount":0.1,"address":"bc1qthief"})",
     "does not allow that address"},
    {"ccxt pro watchOrders", R"({"request":"/v1/order/events","nonce":1795403372756})"},
    {"hummingbot, blanks and a fraction",
     R"({"request": "/v1/order/new", "symbol": "btcusd", "amount": "0.1", "price": "20000.00", "side": "sell", "type": "exchange limit", "options": ["maker-or-cancel"], "nonce": 1785400000.123456})"},
    {"hummingbot below the least price",
     R"({"request": "/v1/order/new", "symbol": "btcusd", "amount": "0.1", "price": "19999.99", "side": "sell", "type": "exchange limit", "nonce": 1785400000.123456})",
     "at least 20000"},
    {"official Go SDK, keys sorted",
     R"({"amount":"1","nonce":"1795403372758","price":"2","request":"/v1/order/new","side":"sell","symbol":"ethusd","type":"exchange limit"})"},
    {"official SDK, market order",
     R"({"amount":"1","nonce":"1","price":"2","request":"/v1/order/new","side":"sell","symbol":"ethusd","type":"exchange market"})",
     "does not allow the order type"},
    {"official MCP server", R"({"request":"/v1/balances","nonce":1795403372,"account":"primary"})"},
    {"official MCP server, withdrawal",
     R"({"request":"/v1/withdraw/btc","nonce":1795403372,"address":"bc1qxyz","amount":"0.1","account":"primary"})"},
    {"gocryptotrader", R"({"nonce":"1795403372757000001","request":"/v1/heartbeat"})"},
    {"ccapi, another account of the two",
     R"({"request":"/v1/order/cancel","nonce":1795403372757,"order_id":"1","account":"a"})"},
    {"XChange, symbol in upper case",
     R"({"request":"/v1/order/new","nonce":"1795403372757","client_order_id":null,"symbol":"BTCUSD","amount":"0.5","price":"30000","side":"buy","type":"exchange limit","options":[]})",
     "wrong type"},
    {"a client that writes the symbol in upper case",
     R"({"request":"/v1/order/new","nonce":1,"symbol":"BTCUSD","amount":"0.5","price":"30000","side":"buy","type":"exchange limit"})"},
    {"a client that adds a member",
     R"({"request":"/v1/order/new","nonce":1,"symbol":"btcusd","amount":"0.5","price":"30000","side":"buy","type":"exchange limit","source":"api"})",
     "does not allow the member \"source\""},
    {"a client that adds a member to a read",
     R"({"request":"/v1/balances","nonce":1,"source":"api"})"},
    {"older clients withdraw dollars to an address that is none of the desk's",
     R"({"request":"/v1/withdraw/usd","nonce":1,"address":"0x0F","amount":500,"account":"primary"})",
     "does not allow that address"},
    {"newer clients withdraw dollars to a bank account",
     R"({"request":"/v1/withdraw/usd","nonce":1,"amount":500,"accountId":"x"})",
     "or a bank account"},
    {"a prediction market id beyond 2^53",
     R"({"request":"/v1/prediction-markets/order/cancel","nonce":1,"orderId":145828482918492817})"},
    {"a documented spelling without the first slash",
     R"({"request":"v1/staking/stake","nonce":1,"providerId":"p","currency":"ETH","amount":"1"})",
     "no rule of client"},
};

TEST(PolicyClients, EachShapeIsJudgedAsItsWordsSay) {
  const Rules rules = rules_of(with_clients(kDesk));
  KeyFacts key = sandbox_trader();
  key.roles = venue::kTrader | venue::kFundManager;
  for (const Shape& shape : kShapes) {
    const Result<venue::Payload> payload = venue::Payload::parse_verbatim(shape.payload);
    if (!payload) {
      EXPECT_THAT(payload.error().sentence(), HasSubstr(std::string{shape.refusal}))
          << shape.client;
      EXPECT_FALSE(shape.refusal.empty()) << shape.client << ": " << payload.error().sentence();
      continue;
    }
    const Decision decision = decide({rules}, kMmBot, &key, *payload);
    EXPECT_EQ(decision.allowed(), shape.refusal.empty())
        << shape.client << ": " << decision.sentence;
    EXPECT_THAT(decision.sentence, HasSubstr(std::string{shape.refusal})) << shape.client;
  }
}

// The signer's own form of a request is judged as the bytes that leave.
TEST(PolicyClients, WhatIsBuiltIsJudgedAsWhatWasAsked) {
  const Rules rules = rules_of(with_clients(kDesk));
  KeyFacts key = sandbox_trader();
  key.roles = venue::kTrader | venue::kFundManager;
  for (const Shape& shape : kShapes) {
    const auto request = venue::Payload::parse_request(shape.payload);
    if (!request) continue;
    std::string built;
    request->build("1", built);
    const auto signed_bytes = venue::Payload::parse_verbatim(built);
    ASSERT_THAT(signed_bytes, Succeeds()) << shape.client;
    const Decision asked = decide({rules}, kMmBot, &key, *request);
    const Decision leaves = decide({rules}, kMmBot, &key, *signed_bytes);
    EXPECT_EQ(asked.allowed(), leaves.allowed()) << shape.client;
    EXPECT_EQ(asked.sentence, leaves.sentence) << shape.client;
  }
}

}  // namespace
}  // namespace hsm::policy
