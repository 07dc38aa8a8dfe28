#include <gtest/gtest.h>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::Not;

constexpr const char* kNew = "/v1/order/new";
constexpr const char* kBuy =
    R"("symbol":"btcusd","amount":"0.5","price":"30000.00","side":"buy","type":"exchange limit")";
constexpr const char* kSell =
    R"("symbol":"ethusd","amount":"2","price":"2000","side":"sell","type":"exchange limit",)"
    R"("client_order_id":"s-1")";
constexpr std::uint64_t kFirst = 106'817'811;

Money money(const char* text) { return *Money::parse(text); }

TEST(CancelAll, TakesEveryOrderOfTheAccountAndNoneOfAnother) {
  Desk desk;
  desk.call(kNew, kBuy);
  desk.call_as("account-beating", kNew, kBuy);
  desk.call_as("account-savings", kNew, kBuy);
  EXPECT_EQ(desk.call("/v1/order/cancel/all").response.body,
            R"({"result":"ok","details":{"cancelledOrders":[106817811,106817812],)"
            R"("cancelRejects":[]}})");
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817812)"),
              Says(R"("is_cancelled":true,"is_hidden":false,"reason":"Requested")"));
  EXPECT_THAT(desk.call_as("account-savings", "/v1/orders"), Says("106817813"));
  EXPECT_EQ(desk.available("primary", "USD").text(), "100000000");
  EXPECT_EQ(desk.available("savings", "USD").text(), "99985000");
}

TEST(CancelSession, TakesTheOrdersOfThisKeyOnly) {
  Desk desk;
  desk.call(kNew, kBuy);
  desk.call_as("account-beating", kNew, kBuy);
  EXPECT_THAT(desk.call("/v1/order/cancel/session"), Says(R"("cancelledOrders":[106817811])"));
  EXPECT_THAT(desk.call("/v1/orders"), AllOf(Says("106817812"), Not(Says("106817811"))));
  EXPECT_THAT(desk.call("/v1/order/cancel/session"), Says(R"("cancelledOrders":[])"));
}

TEST(CancelSession, OfAMasterKeyIsOneAccountAtATime) {
  Desk desk;
  desk.call_as("master-desk", kNew, std::string{kBuy} + R"(,"account":"primary")");
  desk.call_as("master-desk", kNew, std::string{kBuy} + R"(,"account":"savings")");
  EXPECT_THAT(desk.call_as("master-desk", "/v1/order/cancel/session"),
              RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/order/cancel/session", R"("account":"savings")"),
              Says(R"("cancelledOrders":[106817812])"));
  EXPECT_THAT(desk.call("/v1/orders"), Says("106817811"));
}

TEST(Accounts, KeepTheirOrdersAndMoneyApart) {
  Desk desk;
  desk.call(kNew, kBuy);
  EXPECT_EQ(desk.call_as("account-savings", "/v1/orders").response.body, "[]");
  EXPECT_THAT(desk.call_as("account-savings", "/v1/order/status", R"("order_id":106817811)"),
              RefusedAs("OrderNotFound", 404));
  EXPECT_THAT(desk.call_as("account-savings", "/v1/order/cancel", R"("order_id":106817811)"),
              RefusedAs("OrderNotFound", 404));
  EXPECT_THAT(desk.call_as("account-savings", "/v1/balances"),
              Says(R"("currency":"USD","amount":"100000000","available":"100000000")"));
  // An account key's own account counts, whatever the payload says.
  EXPECT_THAT(desk.call_as("account-savings", "/v1/balances", R"("account":"primary")"),
              Says(R"("currency":"USD","amount":"100000000","available":"100000000")"));
}

TEST(Fills, MoveMoneyAndShowInTheOrder) {
  Desk desk;
  desk.call(kNew, kBuy);
  ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.2")));
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817811,"include_trades":true)"),
              AllOf(Says(R"("avg_execution_price":"30000.00")"),
                    Says(R"("is_live":true,"is_cancelled":false)"),
                    Says(R"("executed_amount":"0.2")"), Says(R"("remaining_amount":"0.3")"),
                    Says(R"("trades":[{"price":"30000.00","amount":"0.2")")));
  EXPECT_THAT(desk.call("/v1/balances"),
              AllOf(Says(R"("currency":"USD","amount":"99994000","available":"99985000")"),
                    Says(R"("currency":"BTC","amount":"1000.2","available":"1000.2")")));
  ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.3")));
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817811)"),
              AllOf(Says(R"("is_live":false,"is_cancelled":false,"is_hidden":false,"was_forced")"),
                    Says(R"("remaining_amount":"0")")));
  EXPECT_EQ(desk.available("primary", "USD").text(), "99985000");
}

TEST(Fills, LeaveTheRestToACancel) {
  Desk desk;
  desk.call(kNew, kSell);
  ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.5")));
  EXPECT_THAT(desk.call("/v1/order/cancel", R"("order_id":106817811)"),
              AllOf(Says(R"("is_cancelled":true)"), Says(R"("executed_amount":"0.5")")));
  EXPECT_EQ(desk.available("primary", "ETH").text(), "19999.5");
  EXPECT_EQ(desk.available("primary", "USD").text(), "100001000");
}

TEST(Fills, AreRefusedBeyondTheOrderAndOffItsSteps) {
  Desk desk;
  desk.call(kNew, kBuy);
  for (const char* amount : {"0", "0.50000001", "0.000000001"}) {
    const auto refused = desk.exchange().fill(kFirst, money(amount));
    ASSERT_FALSE(refused) << amount;
    EXPECT_EQ(refused.error().reason, Reason::invalid_quantity);
  }
  EXPECT_EQ(desk.exchange().fill(kFirst + 1, money("0.1")).error().reason, Reason::order_not_found);
  desk.call("/v1/order/cancel/all");
  EXPECT_EQ(desk.exchange().fill(kFirst, money("0.1")).error().reason, Reason::order_not_found);
  EXPECT_EQ(desk.available("primary", "USD").text(), "100000000");
}

TEST(Fills, AreRefusedWhereTheAccountCannotHoldTheirPrice) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, R"("symbol":"btcusd","amount":"1000","price":"999999999999999999",)"
                              R"("side":"sell","type":"exchange limit")"),
              Accepted());
  // 10^21 USD is more than Money holds.
  const auto refused = desk.exchange().fill(kFirst, money("1000"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::system);
  EXPECT_EQ(desk.available("primary", "USD").text(), "100000000");
  EXPECT_TRUE(desk.exchange().fill(kFirst, money("1"))) << "a part of it the account can hold";
}

TEST(Fills, ComeTooLateForAnOrderWhoseHeartbeatWasLost) {
  Desk desk;
  desk.call_as("account-beating", kNew, kBuy);
  desk.clock.advance(std::chrono::seconds{31});
  EXPECT_EQ(desk.exchange().fill(kFirst, money("0.1")).error().reason, Reason::order_not_found);
}

TEST(MyTrades, AreShownNewestFirstInTheDocumentedShape) {
  Desk desk;
  desk.call(kNew, kBuy);
  desk.call(kNew, kSell);
  desk.clock.advance(std::chrono::milliseconds{7});
  ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.2")));
  desk.clock.advance(std::chrono::seconds{1});
  ASSERT_TRUE(desk.exchange().fill(kFirst + 1, money("2")));
  EXPECT_EQ(
      desk.call("/v1/mytrades").response.body,
      R"([{"price":"2000","amount":"2","timestamp":1800000001,"timestampms":1800000001007,)"
      R"("type":"Sell","aggressor":false,"fee_currency":"USD","fee_amount":"0","tid":106817814,)"
      R"("order_id":"106817812","client_order_id":"s-1","exchange":"gemini",)"
      R"("is_clearing_fill":false,"symbol":"ETHUSD"},)"
      R"({"price":"30000.00","amount":"0.2","timestamp":1800000000,"timestampms":1800000000007,)"
      R"("type":"Buy","aggressor":false,"fee_currency":"USD","fee_amount":"0","tid":106817813,)"
      R"("order_id":"106817811","exchange":"gemini","is_clearing_fill":false,"symbol":"BTCUSD"}])");
  EXPECT_EQ(desk.call_as("account-savings", "/v1/mytrades").response.body, "[]");
}

// Three trades, one a second, of order kFirst: tid kFirst + 1 to + 3.
void trade_thrice(Desk& desk) {
  desk.call(kNew, kBuy);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.1")));
    desk.clock.advance(std::chrono::seconds{1});
  }
}

TEST(MyTrades, AreFilteredBySymbol) {
  Desk desk;
  trade_thrice(desk);
  EXPECT_EQ(desk.call("/v1/mytrades", R"("symbol":"ethusd")").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/mytrades", R"("symbol":"btcusd")"), Says("106817814"));
  for (const char* bad : {R"("BTCUSD")", R"("dogeusd")", "7", "null", R"("")"})
    EXPECT_THAT(desk.call("/v1/mytrades", std::string{R"("symbol":)"} + bad),
                RefusedAs("InvalidSymbol", 400))
        << bad;
}

TEST(MyTrades, WithoutATimestampAreTheMostRecent) {
  Desk desk;
  trade_thrice(desk);
  EXPECT_THAT(desk.call("/v1/mytrades", R"("limit_trades":2)"),
              AllOf(Says(R"("tid":106817814)"), Says(R"("tid":106817813)"),
                    Not(Says(R"("tid":106817812)"))));
}

// "How to retrieve your trade history": the next page begins behind the first of this one.
TEST(MyTrades, WithATimestampAreWalkedUpwardsFromIt) {
  Desk desk;
  trade_thrice(desk);
  EXPECT_THAT(desk.call("/v1/mytrades", R"("timestamp":0,"limit_trades":2)"),
              AllOf(Says(R"([{"price":"30000.00","amount":"0.1","timestamp":1800000001)"),
                    Says(R"("tid":106817812)"), Not(Says(R"("tid":106817814)"))));
  EXPECT_THAT(desk.call("/v1/mytrades", R"("timestamp":1800000001001,"limit_trades":2)"),
              AllOf(Says(R"("tid":106817814)"), Not(Says(R"("tid":106817813)"))));
  EXPECT_EQ(desk.call("/v1/mytrades", R"("timestamp":1800000002001)").response.body, "[]");
}

TEST(MyTrades, TakeSecondsAndMillisecondsAsNumberOrString) {
  Desk desk;
  trade_thrice(desk);
  for (const char* time : {"1800000002", "\"1800000002\"", "1800000002000", "\"1800000002000\""})
    EXPECT_THAT(desk.call("/v1/mytrades", std::string{R"("timestamp":)"} + time),
                AllOf(Says(R"("tid":106817814)"), Not(Says(R"("tid":106817813)"))))
        << time;
  for (const char* last : {"9000000000", "9000000000000"})
    EXPECT_EQ(desk.call("/v1/mytrades", std::string{R"("timestamp":)"} + last).response.body, "[]");
  for (const char* bad : {"-1", "1.5", "\"\"", "\"now\"", "true", "null", "[1]", "1e9",
                          "99999999999999999999", "9000000000001", "9000000001", "9999999999"})
    EXPECT_THAT(desk.call("/v1/mytrades", std::string{R"("timestamp":)"} + bad),
                RefusedAs("InvalidTimestampInPayload", 400))
        << bad;
}

TEST(MyTrades, AreFiftyUnlessAskedForMoreAndNeverMoreThanFiveHundred) {
  Desk desk;
  desk.call(kNew, kBuy);
  for (int i = 0; i < 501; ++i) ASSERT_TRUE(desk.exchange().fill(kFirst, money("0.00001")));
  const auto count = [&](const char* members) {
    const std::string body = desk.call("/v1/mytrades", members).response.body;
    int trades = 0;
    for (std::size_t at = body.find("\"tid\""); at != std::string::npos;
         at = body.find("\"tid\"", at + 1))
      ++trades;
    return trades;
  };
  EXPECT_EQ(count(""), 50);
  EXPECT_EQ(count(R"("limit_trades":1)"), 1);
  EXPECT_EQ(count(R"("limit_trades":500)"), 500);
  EXPECT_EQ(count(R"("limit_trades":100000)"), 500);
  for (const char* bad : {"0", "-1", "\"many\"", "null", "1.5"})
    EXPECT_THAT(desk.call("/v1/mytrades", std::string{R"("limit_trades":)"} + bad),
                RefusedAs("InvalidJson", 400))
        << bad;
}

}  // namespace
}  // namespace hsm::sim
