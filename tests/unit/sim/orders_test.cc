#include <gtest/gtest.h>

#include <ostream>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::Not;

constexpr const char* kNew = "/v1/order/new";
constexpr const char* kBuy =
    R"("symbol":"btcusd","amount":"0.5","price":"30000.00","side":"buy","type":"exchange limit")";

TEST(Orders, RestAndAnswerInTheDocumentedShape) {
  Desk desk;
  desk.clock.advance(std::chrono::milliseconds{7});
  EXPECT_EQ(
      desk.call(kNew,
                std::string{kBuy} + R"(,"client_order_id":"a-1","options":["maker-or-cancel"])")
          .response.body,
      R"({"order_id":"106817811","id":"106817811","symbol":"btcusd","exchange":"gemini",)"
      R"("avg_execution_price":"0.00","side":"buy","type":"exchange limit","timestamp":"1800000000",)"
      R"("timestampms":1800000000007,"is_live":true,"is_cancelled":false,"is_hidden":false,)"
      R"("was_forced":false,"executed_amount":"0","client_order_id":"a-1","options":["maker-or-cancel"],)"
      R"("price":"30000.00","original_amount":"0.5","remaining_amount":"0.5"})");
}

TEST(Orders, AreFoundByNumberAsIntegerOrStringAndByClientId) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, std::string{kBuy} + R"(,"client_order_id":"a-1")"), Accepted());
  EXPECT_THAT(desk.call(kNew, std::string{kBuy} + R"(,"client_order_id":"a-1")"), Accepted());
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817811)"),
              Says(R"("client_order_id":"a-1")"));
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":"106817812","include_trades":true)"),
              AllOf(Says(R"("order_id":"106817812")"), Says(R"("trades":[])")));
  EXPECT_THAT(desk.call("/v1/order/status", R"("client_order_id":"a-1")"),
              AllOf(Says(R"([{"order_id":"106817811")"), Says(R"(},{"order_id":"106817812")")));
}

TEST(Orders, AreCancelledOnceAndLeaveTheList) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
  EXPECT_THAT(desk.call("/v1/orders"), Says(R"([{"order_id":"106817811")"));
  EXPECT_THAT(
      desk.call("/v1/order/cancel", R"("order_id":106817811)"),
      AllOf(Says(R"("is_live":false,"is_cancelled":true)"), Says(R"("reason":"Requested")")));
  EXPECT_THAT(desk.call("/v1/order/cancel", R"("order_id":106817811)"), Accepted());
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817811)"),
              Says(R"("is_cancelled":true)"));
}

TEST(Orders, ThatMustTradeAtOnceDieUnfilledAndHoldNothing) {
  Desk desk;
  EXPECT_THAT(
      desk.call(kNew, std::string{kBuy} + R"(,"options":["immediate-or-cancel"])"),
      AllOf(Says(R"("is_cancelled":true)"), Says(R"("reason":"ImmediateOrCancelWouldPost")"),
            Says(R"("executed_amount":"0")")));
  EXPECT_THAT(desk.call(kNew, std::string{kBuy} + R"(,"options":["fill-or-kill"])"),
              AllOf(Says(R"("is_cancelled":true)"), Says(R"("reason":"FillOrKillWouldNotFill")")));
  EXPECT_THAT(desk.call("/v1/balances"),
              Says(R"("currency":"USD","amount":"100000000","available":"100000000")"));
}

TEST(Orders, HoldMoneyUntilTheyAreCancelled) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
  EXPECT_THAT(desk.call(kNew, R"("symbol":"ethbtc","amount":"2.5","price":"0.06","side":"sell",)"
                              R"("type":"exchange limit")"),
              Accepted());
  EXPECT_THAT(desk.call("/v1/balances"),
              AllOf(Says(R"("currency":"USD","amount":"100000000","available":"99985000",)"
                         R"("availableForWithdrawal":"99985000")"),
                    Says(R"("currency":"ETH","amount":"20000","available":"19997.5")"),
                    Says(R"("currency":"BTC","amount":"1000","available":"1000")")));
  EXPECT_THAT(desk.call("/v1/order/cancel", R"("order_id":106817811)"), Accepted());
  EXPECT_THAT(desk.call("/v1/balances"), Says(R"("available":"100000000")"));
}

TEST(Orders, NeedTheirMoneyToTheLastDigit) {
  Desk desk;
  const std::string sell =
      R"("symbol":"btcusd","price":"1.00","side":"sell","type":"exchange limit","amount":)";
  EXPECT_THAT(desk.call(kNew, sell + R"("1000.00000001")"), RefusedAs("InsufficientFunds", 406));
  EXPECT_THAT(desk.call(kNew, sell + R"("999.99999999")"), Accepted());
  EXPECT_THAT(desk.call(kNew, sell + R"("0.00001001")"), RefusedAs("InsufficientFunds", 406));
  const std::string buy =
      R"("symbol":"btcusd","amount":"100","side":"buy","type":"exchange limit","price":)";
  EXPECT_THAT(desk.call(kNew, buy + R"("1000000.01")"), RefusedAs("InsufficientFunds", 406));
  EXPECT_THAT(desk.call(kNew, buy + R"("1000000.00")"), Accepted());
  EXPECT_THAT(desk.call(kNew, buy + R"("0.01")"), RefusedAs("InsufficientFunds", 406));
}

TEST(Orders, WorthMoreThanAnyNumberAreInsufficientFunds) {
  Desk desk;
  EXPECT_THAT(
      desk.call(kNew,
                R"("symbol":"btcusd","amount":"999999999999999999","price":"999999999999999999",)"
                R"("side":"buy","type":"exchange limit")"),
      RefusedAs("InsufficientFunds", 406));
}

TEST(Orders, TakeAmountsAsNumbersToo) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, R"("symbol":"btcusd","amount":5e-1,"price":30000,"side":"buy",)"
                              R"("type":"exchange limit")"),
              AllOf(Accepted(), Says(R"("price":"30000","original_amount":"5e-1")")));
  EXPECT_THAT(desk.call("/v1/balances"), Says(R"("available":"99985000")"));
}

TEST(Orders, WithAStopRestToo) {
  Desk desk;
  EXPECT_THAT(
      desk.call(kNew, R"("symbol":"btcusd","amount":"1","price":"31000","stop_price":"30500",)"
                      R"("side":"buy","type":"exchange stop limit")"),
      AllOf(Says(R"("type":"exchange stop limit")"), Says(R"("stop_price":"30500")"),
            Says(R"("is_live":true)")));
}

// `members` replace or are added to those of a good order.
struct Bad {
  const char* reason;
  const char* members;

  friend void PrintTo(const Bad& row, std::ostream* out) { *out << row.members; }
};
class BadOrders : public ::testing::TestWithParam<Bad> {};

std::string order_with(const std::string& change) {
  std::string members;
  const std::pair<std::string, std::string> good[] = {{"symbol", R"("btcusd")"},
                                                      {"amount", R"("0.5")"},
                                                      {"price", R"("30000")"},
                                                      {"side", R"("buy")"},
                                                      {"type", R"("exchange limit")"}};
  for (const auto& [key, value] : good) {
    if (change == "-" + key || change.find("\"" + key + "\":") != std::string::npos) continue;
    members += (members.empty() ? "\"" : ",\"") + key + "\":" + value;
  }
  return change.starts_with('-') ? members : members + "," + change;
}

TEST_P(BadOrders, AreRefusedAndHoldNothing) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, order_with(GetParam().members)), RefusedAs(GetParam().reason, 400));
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[]");
  EXPECT_THAT(desk.call("/v1/balances"), Says(R"("available":"100000000")"));
  EXPECT_THAT(desk.call(kNew, order_with(R"("x":1)")), Accepted());  // It was that member.
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadOrders,
    ::testing::Values(
        Bad{"MissingOrderField", "-symbol"}, Bad{"MissingOrderField", "-amount"},
        Bad{"MissingOrderField", "-price"}, Bad{"MissingOrderField", "-side"},
        Bad{"MissingOrderField", "-type"}, Bad{"InvalidSymbol", R"("symbol":"dogeusd")"},
        Bad{"InvalidSymbol", R"("symbol":"BTCUSD")"}, Bad{"InvalidSymbol", R"("symbol":7)"},
        Bad{"InvalidSide", R"("side":"BUY")"}, Bad{"InvalidSide", R"("side":"")"},
        Bad{"InvalidSide", R"("side":null)"}, Bad{"InvalidOrderType", R"("type":"limit")"},
        Bad{"InvalidOrderType", R"("type":"exchange market")"},
        Bad{"InvalidOrderType", R"("type":null)"},
        Bad{"MissingOrderField", R"("type":"exchange stop limit")"},
        Bad{"InvalidPrice", R"("type":"exchange stop limit","stop_price":"1.001")"},
        Bad{"UnsupportedOption",
            R"("type":"exchange stop limit","stop_price":"1","options":["maker-or-cancel"])"},
        Bad{"InvalidQuantity", R"("amount":"0")"}, Bad{"InvalidQuantity", R"("amount":"-1")"},
        Bad{"InvalidQuantity", R"("amount":"0.000000001")"},
        Bad{"InvalidQuantity", R"("amount":"0.00000999")"},
        Bad{"InvalidQuantity", R"("amount":"1,5")"}, Bad{"InvalidQuantity", R"("amount":[1])"},
        Bad{"InvalidQuantity", R"("amount":true)"}, Bad{"InvalidQuantity", R"("amount":"1e999")"},
        Bad{"InvalidPrice", R"("price":"0.00")"}, Bad{"InvalidPrice", R"("price":"")"},
        Bad{"InvalidPrice", R"("price":"30000.001")"}, Bad{"InvalidPrice", R"("price":-1)"},
        Bad{"InvalidPrice", R"("price":"1234567890123456789")"},
        Bad{"OptionsMustBeArray", R"("options":"maker-or-cancel")"},
        Bad{"OptionsMustBeArray", R"("options":{})"},
        Bad{"UnsupportedOption", R"("options":["auction-only"])"},
        Bad{"UnsupportedOption", R"("options":[1])"},
        Bad{"UnsupportedOption", R"("options":[["maker-or-cancel"]])"},
        Bad{"ConflictingOptions", R"("options":["maker-or-cancel","fill-or-kill"])"},
        Bad{"ConflictingOptions", R"("options":["maker-or-cancel","maker-or-cancel"])"},
        Bad{"UnsupportedOption", R"("margin_order":true)"},
        Bad{"ClientOrderIdMustBeString", R"("client_order_id":5)"},
        Bad{"ClientOrderIdMustBeString", R"("client_order_id":"")"},
        Bad{"ClientOrderIdMustBeString", R"("client_order_id":"a b")"}));

TEST(Orders, TakeAClientOrderIdOfAHundredCharactersAndNotOneMore) {
  Desk desk;
  const auto with = [](std::size_t size) {
    return order_with(R"("client_order_id":")" + std::string(size, 'x') + "\"");
  };
  EXPECT_THAT(desk.call(kNew, with(101)), RefusedAs("ClientOrderIdTooLong", 400));
  EXPECT_THAT(desk.call(kNew, with(100)), Accepted());
}

TEST(Orders, ThatDoNotExistAreNotFound) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());  // 106817811
  for (const char* path : {"/v1/order/status", "/v1/order/cancel"}) {
    EXPECT_THAT(desk.call(path), RefusedAs("MissingOrderField", 400));
    for (const char* id : {"1", "\"1\"", "-1", "1.5", "\"\"", "\"106817811x\"", "106817811.0",
                           "true", "99999999999999999999999"})
      EXPECT_THAT(desk.call(path, std::string{R"("order_id":)"} + id),
                  RefusedAs("OrderNotFound", 404))
          << id;
  }
  EXPECT_THAT(desk.call("/v1/order/status", R"("client_order_id":"a-1")"),
              RefusedAs("OrderNotFound", 404));
}

// The first order without a name of its own is not the one that is asked for.
TEST(Orders, WithoutANameAreNotFoundByTheEmptyOne) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
  EXPECT_THAT(desk.call("/v1/order/status", R"("client_order_id":"")"),
              RefusedAs("MissingOrderField", 400));
  EXPECT_THAT(desk.call("/v1/order/status", R"("client_order_id":"","order_id":106817811)"),
              Accepted());
}

TEST(Heartbeats, LostForThirtySecondsCancelTheOrdersOfTheirKeyOnly) {
  Desk desk;
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
  EXPECT_THAT(desk.call_as("account-beating", kNew, kBuy), Accepted());
  desk.clock.advance(std::chrono::seconds{30});
  EXPECT_THAT(desk.call("/v1/orders"), Says("106817812"));
  desk.clock.advance(std::chrono::nanoseconds{1});
  EXPECT_THAT(desk.call("/v1/orders"), AllOf(Says("106817811"), Not(Says("106817812"))));
  EXPECT_THAT(desk.call("/v1/order/status", R"("order_id":106817812)"),
              Says(R"("reason":"HeartbeatLost")"));
}

TEST(Heartbeats, AreAnyAuthenticRequestButNoForgedOne) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-beating", kNew, kBuy), Accepted());
  for (int i = 0; i < 5; ++i) {
    desk.clock.advance(std::chrono::seconds{20});
    EXPECT_THAT(desk.call_as("account-beating", i % 2 == 0 ? "/v1/heartbeat" : "/v1/balances"),
                Accepted());
  }
  EXPECT_THAT(desk.call("/v1/orders"), Says("106817811"));
  desk.clock.advance(std::chrono::seconds{20});
  EXPECT_THAT(desk.send(signed_request("wrong", "account-beating", "/v1/heartbeat",
                                       R"({"request":"/v1/heartbeat","nonce":1900000000000})")),
              RefusedAs("InvalidSignature", 400));
  desk.clock.advance(std::chrono::seconds{11});
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[]");
}

// Straight at the book: 100,000 signed requests would take long.
OrderForm small_order() {
  OrderForm form;
  form.symbol = find_symbol("btcusd");
  form.amount = Money::of(1, 5);
  form.price = Money::of(1);
  return form;
}

TEST(Books, RefuseOrdersBeyondTheirLimit) {
  Book book;
  for (std::uint64_t id = 1; id <= Book::kMostOrders; ++id)
    ASSERT_TRUE(book.place(small_order(), kTraderKey, id, {}));
  const auto refused = book.place(small_order(), kTraderKey, Book::kMostOrders + 1, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::system);
  book.cancel(1, "Requested");
  EXPECT_TRUE(book.place(small_order(), kTraderKey, Book::kMostOrders + 1, {}));
}

TEST(Books, ForgetTheOldestDeadOrders) {
  Book book;
  OrderForm form = small_order();
  form.execution = Execution::immediate_or_cancel;
  for (std::uint64_t id = 1; id <= Book::kMostOrders + 1; ++id)
    ASSERT_TRUE(book.place(form, kTraderKey, id, {}));
  EXPECT_EQ(book.find(1), nullptr);
  EXPECT_NE(book.find(2), nullptr);
}

}  // namespace
}  // namespace hsm::sim
