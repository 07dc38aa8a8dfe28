// The histories that an auditor compares with a signer's log.
#include <gtest/gtest.h>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::Not;

constexpr const char* kNew = "/v1/order/new";
constexpr const char* kOrders = "/v1/orders/history";
constexpr const char* kV1 = "/v1/transfers";
constexpr const char* kV2 = "/v2/transfers";
constexpr const char* kWithdraw = "/v2/withdraw/bitcoin/btc";
constexpr const char* kUuid = "AA97B177-9383-4934-8543-0F91A7A02838";
constexpr std::uint64_t kFirst = 106'817'811;

// A buy of btcusd, or what `more` makes of it.
std::string buy(const std::string& more = "") {
  return R"("symbol":"btcusd","amount":"0.5","price":"30000.00","side":"buy",)"
         R"("type":"exchange limit")" +
         more;
}
constexpr const char* kSell =
    R"("symbol":"ethusd","amount":"2","price":"2000","side":"sell","type":"exchange limit",)"
    R"("options":["fill-or-kill"])";

std::size_t count(const std::string& body, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = body.find(part); at != std::string::npos; at = body.find(part, at + 1))
    ++found;
  return found;
}

TEST(OrdersHistory, ShowsACancelledOrderInTheDocumentedShape) {
  Desk desk;
  desk.clock.advance(std::chrono::milliseconds{7});
  desk.call(kNew, buy(R"(,"client_order_id":"c-1","options":["maker-or-cancel"])"));
  desk.clock.advance(std::chrono::seconds{1});
  desk.call("/v1/order/cancel", R"("order_id":106817811)");
  EXPECT_EQ(desk.call(kOrders).response.body,
            R"([{"order_id":"106817811","id":"106817811","symbol":"btcusd","exchange":"gemini",)"
            R"("avg_execution_price":"0.00","side":"buy","type":"exchange limit",)"
            R"("timestamp":"1800000000","timestampms":1800000000007,"is_live":false,)"
            R"("is_cancelled":true,"is_hidden":false,"reason":"Requested","was_forced":false,)"
            R"("executed_amount":"0","client_order_id":"c-1","options":["maker-or-cancel"],)"
            R"("price":"30000.00","original_amount":"0.5","remaining_amount":"0.5",)"
            R"("trades":[]}])");
}

TEST(OrdersHistory, ShowsAFilledOrderWithItsTrades) {
  Desk desk;
  desk.call(kNew, buy());
  ASSERT_TRUE(desk.exchange().fill(kFirst, *Money::parse("0.2")));
  EXPECT_EQ(desk.call(kOrders).response.body, "[]") << "it still rests";
  ASSERT_TRUE(desk.exchange().fill(kFirst, *Money::parse("0.3")));
  EXPECT_THAT(
      desk.call(kOrders),
      AllOf(Says(R"("is_live":false,"is_cancelled":false,)"), Says(R"("executed_amount":"0.5")"),
            Says(R"("trades":[{"price":"30000.00","amount":"0.2")"), Says(R"("tid":106817813)")));
}

// "This API retrieves (closed) orders history": whoever wants them all asks for /v1/orders too.
TEST(OrdersHistory, LeavesOutWhatRests) {
  Desk desk;
  desk.call(kNew, buy());
  desk.call(kNew, kSell);
  EXPECT_THAT(desk.call(kOrders), AllOf(Says("106817812"), Not(Says("106817811"))));
  EXPECT_THAT(desk.call("/v1/orders"), AllOf(Says("106817811"), Not(Says("106817812"))));
}

TEST(OrdersHistory, IsTheAccountsOwn) {
  Desk desk;
  desk.call(kNew, kSell);
  desk.call_as("account-beating", kNew, kSell);
  EXPECT_EQ(count(desk.call_as("account-auditor", kOrders).response.body, R"("order_id")"), 2U);
  EXPECT_EQ(desk.call_as("account-savings", kOrders).response.body, "[]");
  EXPECT_THAT(desk.call_as("master-desk", kOrders), RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as("master-desk", kOrders, R"("account":"primary")"), Says("106817812"));
}

TEST(OrdersHistory, IsFilteredBySymbol) {
  Desk desk;
  desk.call(kNew, kSell);
  EXPECT_EQ(desk.call(kOrders, R"("symbol":"btcusd")").response.body, "[]");
  EXPECT_THAT(desk.call(kOrders, R"("symbol":"ethusd")"), Says("106817811"));
}

// "How to retrieve your order history": from a timestamp on the oldest, the newest of them first.
TEST(OrdersHistory, IsWalkedUpwardsFromATimestamp) {
  Desk desk;
  for (int i = 0; i < 5; ++i) {
    desk.call(kNew, kSell);
    desk.clock.advance(std::chrono::seconds{1});
  }
  const std::string first = desk.call(kOrders, R"("timestamp":0,"limit_orders":2)").response.body;
  EXPECT_TRUE(first.starts_with(R"([{"order_id":"106817812")")) << first;
  EXPECT_EQ(count(first, R"("order_id")"), 2U);
  const std::string next =
      desk.call(kOrders, R"("timestamp":1800000001001,"limit_orders":2)").response.body;
  EXPECT_TRUE(next.starts_with(R"([{"order_id":"106817814")")) << next;
  EXPECT_THAT(desk.call(kOrders, R"("timestamp":1800000001000,"limit_orders":1)"),
              Says("106817812"));
  EXPECT_EQ(desk.call(kOrders, R"("timestamp":1800000004001)").response.body, "[]");
  const std::string latest = desk.call(kOrders, R"("limit_orders":2)").response.body;
  EXPECT_TRUE(latest.starts_with(R"([{"order_id":"106817815")")) << latest;
}

TEST(OrdersHistory, IsFiftyUnlessAskedForMoreAndNeverMoreThanFiveHundred) {
  Desk desk;
  for (int i = 0; i < 501; ++i) desk.call(kNew, kSell);
  const auto shown = [&](const char* members) {
    return count(desk.call(kOrders, members).response.body, R"("order_id")");
  };
  EXPECT_EQ(shown(""), 50U);
  EXPECT_EQ(shown(R"("limit_orders":500)"), 500U);
  EXPECT_EQ(shown(R"("limit_orders":"100000")"), 500U);
}

TEST(TransferHistory, OfVersionTwoHasTheDocumentedShape) {
  Desk desk;
  desk.call_as(
      "account-funds", kWithdraw,
      R"("address":"bc1-cold","amount":"1.5","clientTransferId":")" + std::string{kUuid} + "\"");
  EXPECT_EQ(desk.call_as("account-auditor", kV2).response.body,
            R"([{"type":"Withdrawal","status":"Complete","timestampms":1800000000000,)"
            R"("eid":320013281,"currency":"BTC","amount":"1.5","network":"bitcoin",)"
            R"("feeAmount":"0","feeCurrency":"BTC","destination":"bc1-cold",)"
            R"("withdrawalId":"00000000-0000-4000-8000-000000000001",)"
            R"("clientTransferId":"aa97b177-9383-4934-8543-0f91a7a02838"}])");
}

TEST(TransferHistory, OfVersionOneHasNeitherNetworkNorFee) {
  Desk desk;
  desk.call_as("account-funds", "/v1/withdraw/btc", R"("address":"bc1-cold","amount":"1.5")");
  EXPECT_EQ(desk.call_as("account-auditor", kV1).response.body,
            R"([{"type":"Withdrawal","status":"Complete","timestampms":1800000000000,)"
            R"("eid":320013281,"currency":"BTC","amount":"1.5","destination":"bc1-cold"}])");
}

TEST(TransferHistory, ShowsATransferBetweenAccountsInBoth) {
  Desk desk;
  desk.call_as("master-funds", "/v1/account/transfer/btc",
               R"("sourceAccount":"primary","targetAccount":"savings","amount":"2")");
  EXPECT_EQ(desk.call(kV2).response.body,
            R"([{"type":"Withdrawal","status":"Complete","timestampms":1800000000000,)"
            R"("eid":320013281,"currency":"BTC","amount":"2","method":"Internal",)"
            R"("feeAmount":"0","feeCurrency":"BTC"}])");
  EXPECT_THAT(desk.call_as("account-savings", kV2),
              AllOf(Says(R"("type":"Deposit")"), Says(R"("eid":320013282)")));
}

TEST(TransferHistory, HasNothingOfWhatWasRefusedOrRepeated) {
  Desk desk;
  desk.call_as("account-funds", kWithdraw, R"("address":"bc1-thief","amount":"1.5")");
  desk.call_as("account-funds", kWithdraw, R"("address":"bc1-cold","amount":"100000")");
  desk.call_as("master-funds", "/v1/account/transfer/btc",
               R"("sourceAccount":"primary","targetAccount":"savings","amount":"100000")");
  EXPECT_EQ(desk.call(kV2).response.body, "[]");
  const std::string once =
      R"("address":"bc1-cold","amount":"1","clientTransferId":")" + std::string{kUuid} + "\"";
  desk.call_as("account-funds", kWithdraw, once);
  desk.call_as("account-funds", kWithdraw, once);
  EXPECT_EQ(count(desk.call(kV2).response.body, R"("eid")"), 1U);
}

// One each of btc, eth and, between accounts, usd; a second apart.
void move_thrice(Desk& desk) {
  desk.call_as("account-funds", kWithdraw, R"("address":"bc1-cold","amount":"1")");
  desk.clock.advance(std::chrono::seconds{1});
  desk.call_as("account-funds", "/v2/withdraw/ethereum/eth", R"("address":"0xCold","amount":"2")");
  desk.clock.advance(std::chrono::seconds{1});
  desk.call_as("master-funds", "/v1/account/transfer/usd",
               R"("sourceAccount":"primary","targetAccount":"savings","amount":"3")");
  desk.clock.advance(std::chrono::seconds{1});
}

TEST(TransferHistory, IsFilteredByCurrencyAndNetwork) {
  Desk desk;
  move_thrice(desk);
  const auto shown = [&](const char* path, const char* members) {
    return count(desk.call(path, members).response.body, R"("eid")");
  };
  EXPECT_EQ(shown(kV2, ""), 3U);
  EXPECT_EQ(shown(kV2, R"("currency":"eth")"), 1U);
  EXPECT_EQ(shown(kV2, R"("currency":"USD")"), 1U);
  EXPECT_EQ(shown(kV2, R"("network":"bitcoin")"), 1U);
  EXPECT_EQ(shown(kV2, R"("network":"solana")"), 0U);
  EXPECT_EQ(shown(kV1, R"("currency":"btc")"), 1U);
  EXPECT_EQ(shown(kV1, R"("network":"bitcoin")"), 3U) << "version 1 knows no networks";
}

TEST(TransferHistory, BeginsAtItsTimestampInVersionOneAndBehindItInVersionTwo) {
  Desk desk;
  move_thrice(desk);
  const std::string at = R"("timestamp":1800000001000)";
  EXPECT_THAT(desk.call(kV1, at),
              AllOf(Says("320013283"), Says("320013282"), Not(Says("320013281"))));
  EXPECT_THAT(desk.call(kV2, at), AllOf(Says("320013283"), Not(Says("320013282"))));
  EXPECT_THAT(desk.call(kV2, R"("timestamp":0,"limit_transfers":1)"), Says("320013281"));
  EXPECT_THAT(desk.call(kV2, R"("limit_transfers":1)"), Says("320013283"));
}

TEST(TransferHistory, IsTenUnlessAskedForMoreAndNeverMoreThanFifty) {
  Desk desk;
  for (int i = 0; i < 51; ++i)
    desk.call_as("account-funds", kWithdraw, R"("address":"bc1-cold","amount":"1")");
  for (const char* path : {kV1, kV2}) {
    const auto shown = [&](const char* members) {
      return count(desk.call(path, members).response.body, R"("eid")");
    };
    EXPECT_EQ(shown(""), 10U);
    EXPECT_EQ(shown(R"("limit_transfers":50)"), 50U);
    EXPECT_EQ(shown(R"("limit_transfers":51)"), 50U);
  }
}

TEST(Histories, AreForTheRolesThatTheDocumentationNames) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-funds", kOrders), RefusedAs("MissingRole", 403));
  EXPECT_THAT(desk.call_as("account-auditor", kOrders), Accepted());
  for (const char* path : {kV1, kV2}) {
    for (const char* key : {"account-auditor", "account-funds", kTraderKey})
      EXPECT_THAT(desk.call_as(key, path), Accepted()) << key;
    EXPECT_THAT(desk.call_as("master-funds", path), RefusedAs("MissingAccounts", 400));
  }
}

TEST(Histories, RefuseWhatTheyCannotRead) {
  struct Row {
    const char* path;
    const char* members;
    const char* reason;
    int status;
  };
  Desk desk;
  for (const Row& row : {
           Row{kOrders, R"("symbol":"dogeusd")", "InvalidSymbol", 400},
           Row{kOrders, R"("symbol":7)", "InvalidSymbol", 400},
           Row{kOrders, R"("limit_orders":0)", "InvalidJson", 400},
           Row{kOrders, R"("limit_orders":-1)", "InvalidJson", 400},
           Row{kOrders, R"("limit_orders":"many")", "InvalidJson", 400},
           Row{kOrders, R"("timestamp":"yesterday")", "InvalidTimestampInPayload", 400},
           Row{kOrders, R"("timestamp":-1)", "InvalidTimestampInPayload", 400},
           Row{kV1, R"("limit_transfers":0)", "InvalidJson", 400},
           Row{kV1, R"("timestamp":1.5)", "InvalidTimestampInPayload", 400},
           Row{kV1, R"("currency":"doge")", "UnsupportedNetwork", 404},
           Row{kV1, R"("currency":7)", "InvalidJson", 400},
           Row{kV2, R"("limit_transfers":null)", "InvalidJson", 400},
           Row{kV2, R"("timestamp":true)", "InvalidTimestampInPayload", 400},
           Row{kV2, R"("currency":"doge")", "UnsupportedNetwork", 404},
           Row{kV2, R"("network":"dogechain")", "UnsupportedNetwork", 404},
           Row{kV2, R"("network":["bitcoin"])", "InvalidJson", 400},
           Row{kV2, R"("show_completed_deposit_advances":"yes")", "InvalidJson", 400},
       })
    EXPECT_THAT(desk.call(row.path, row.members), RefusedAs(row.reason, row.status))
        << row.path << ' ' << row.members;
  EXPECT_THAT(desk.call(kV2, R"("show_completed_deposit_advances":false)"), Accepted());
}

}  // namespace
}  // namespace hsm::sim
