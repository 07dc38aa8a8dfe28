#include <gtest/gtest.h>

#include "hsm_signer/sim/control.h"
#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Cut = http::Delivery::Cut;
using namespace std::chrono_literals;

constexpr const char* kNew = "/v1/order/new";
constexpr const char* kBuy =
    R"("symbol":"btcusd","amount":"0.5","price":"30000.00","side":"buy","type":"exchange limit")";

// A desk whose exchange fails to order.
class Faults : public ::testing::Test {
 protected:
  http::Response control(const std::string& method, const std::string& path,
                         const std::string& body = "") {
    return control_.handle({.method = method, .target = path, .headers = {}, .body = body});
  }
  void order(const std::string& fault) {
    const http::Response response = control("POST", "/faults", fault);
    ASSERT_EQ(response.status, 200U) << response.body;
  }
  bool has_orders() { return desk.call("/v1/orders").response.body != "[]"; }

  Desk desk;
  MovedClock moved{desk.clock};
  Control control_{desk.exchange(), moved};
};

TEST_F(Faults, AnswerTheExchangesOwnTroubleInItsEnvelopeAndDoNothing) {
  struct Row {
    const char* status;
    const char* body;
  };
  for (const Row& row :
       {Row{"429", R"({"result":"error","reason":"RateLimit","message":"Too Many Requests"})"},
        Row{"500", R"({"result":"error","reason":"System","message":"The server encountered an )"
                   R"(error"})"},
        Row{"502", R"({"result":"error","reason":"System","message":"Technical issues are )"
                   R"(preventing the request from being satisfied"})"},
        Row{"503", R"({"result":"error","reason":"Maintenance","message":"The exchange is down )"
                   R"(for maintenance"})"}}) {
    order(std::string{R"({"fault":"error","status":)"} + row.status + "}");
    const auto handled = desk.call(kNew, kBuy);
    EXPECT_EQ(std::to_string(handled.response.status), row.status);
    EXPECT_EQ(handled.response.body, row.body);
    EXPECT_TRUE(handled.entry.untouched);
    EXPECT_EQ(handled.entry.fault, "error");
    EXPECT_EQ(handled.entry.status, handled.response.status);
    EXPECT_NE(http::find(handled.response.headers, "Date"), nullptr);
    EXPECT_FALSE(has_orders());
  }
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
}

TEST_F(Faults, DoNotSpendTheNonceOfWhatTheyHideFromTheExchange) {
  order(R"({"fault":"error"})");
  const std::string payload = R"({"request":"/v1/heartbeat","nonce":5})";
  EXPECT_EQ(desk.raw(kTraderKey, "/v1/heartbeat", payload).response.status, 503U);
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/heartbeat", payload), Accepted());
}

// The order is placed, and the client hears that something went wrong: the ambiguous failure.
TEST_F(Faults, MayHideThatTheRequestWasHandled) {
  order(R"({"fault":"error","status":502,"handled":true})");
  const auto handled = desk.call(kNew, kBuy);
  EXPECT_EQ(handled.response.status, 502U);
  EXPECT_THAT(handled.response.body, Not(HasSubstr("order_id")));
  EXPECT_FALSE(handled.entry.untouched);
  EXPECT_TRUE(has_orders());
}

TEST_F(Faults, CloseBeforeTheAnswerWithAndWithoutTheDeed) {
  order(R"({"fault":"close"})");
  auto handled = desk.call(kNew, kBuy);
  EXPECT_EQ(handled.response.delivery.cut, Cut::before_head);
  EXPECT_EQ(handled.entry.status, std::nullopt);
  EXPECT_FALSE(has_orders());
  order(R"({"fault":"close","handled":true})");
  handled = desk.call(kNew, kBuy);
  EXPECT_EQ(handled.response.delivery.cut, Cut::before_head);
  EXPECT_TRUE(has_orders());
}

TEST_F(Faults, CloseInsideTheAnswerOfWhatWasDone) {
  for (const auto& [at, cut] :
       {std::pair{"before-body", Cut::before_body}, std::pair{"inside-body", Cut::inside_body},
        std::pair{"after-body", Cut::after_body}}) {
    order(std::string{R"({"fault":"close","at":")"} + at + "\"}");
    const auto handled = desk.call(kNew, kBuy);
    EXPECT_THAT(handled, Says("order_id"));
    EXPECT_EQ(handled.response.delivery.cut, cut);
    EXPECT_EQ(handled.entry.status, 200U);
  }
}

TEST_F(Faults, BreakTheJsonOfATrueAnswer) {
  order(R"({"fault":"bad-json"})");
  EXPECT_EQ(desk.call("/v1/heartbeat").response.body, R"({"result":"ok")");
  order(R"({"fault":"bad-json"})");
  EXPECT_EQ(desk.call("/v1/orders").response.body, "[");
}

TEST_F(Faults, DelayATrueAnswerOrAnyOther) {
  order(R"({"fault":"delay","delay_ms":250})");
  const auto late = desk.call("/v1/heartbeat");
  EXPECT_THAT(late, Accepted());
  EXPECT_EQ(late.response.delivery.delay, 250ms);
  order(R"({"fault":"error","delay_ms":60000})");
  EXPECT_EQ(desk.call("/v1/heartbeat").response.delivery.delay, 60'000ms);
}

TEST_F(Faults, RefuseAGoodNonceInTheExchangesWordsAndDoNotSpendIt) {
  order(R"({"fault":"nonce"})");
  const std::string payload = R"({"request":"/v1/heartbeat","nonce":"5"})";
  const auto handled = desk.raw(kTraderKey, "/v1/heartbeat", payload);
  EXPECT_THAT(handled, AllOf(RefusedAs("InvalidNonce", 400),
                             Says("Nonce '5' has not increased since your last call")));
  EXPECT_EQ(handled.entry.fault, "nonce");
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/heartbeat", payload), Accepted());
}

TEST_F(Faults, OfNoncesLeaveForgeriesForgeries) {
  order(R"({"fault":"nonce"})");
  EXPECT_THAT(desk.send(signed_request("wrong", kTraderKey, "/v1/heartbeat",
                                       R"({"request":"/v1/heartbeat","nonce":5})")),
              RefusedAs("InvalidSignature", 400));
}

TEST_F(Faults, SpoilAsManyRequestsAsOrderedInTheOrderOfTheQueue) {
  order(R"({"fault":"error","count":2})");
  order(R"({"fault":"bad-json"})");
  EXPECT_EQ(desk.call("/v1/heartbeat").response.status, 503U);
  EXPECT_EQ(control("GET", "/faults").body,
            R"([{"fault":"error","count":1,"handled":false,"status":503,"reason":"Maintenance"},)"
            R"({"fault":"bad-json","count":1,"handled":true}])");
  EXPECT_EQ(desk.call("/v1/heartbeat").response.status, 503U);
  EXPECT_EQ(desk.call("/v1/heartbeat").response.body, R"({"result":"ok")");
  EXPECT_THAT(desk.call("/v1/heartbeat"), Accepted());
  EXPECT_EQ(control("GET", "/faults").body, "[]");
}

TEST_F(Faults, WaitForTheirPathAndKeyAndLetOthersPass) {
  order(R"({"fault":"error","path":"/v1/order/new","key":"account-trader"})");
  EXPECT_THAT(desk.call("/v1/orders"), Accepted());
  EXPECT_THAT(desk.call_as("account-beating", kNew, kBuy), Accepted());
  http::Request request = signed_request(kSecret, kTraderKey, "/v1/order/new?x", "{}");
  EXPECT_EQ(desk.send(request).response.status, 503U);  // The query does not count.
  EXPECT_THAT(desk.call(kNew, kBuy), Accepted());
}

TEST_F(Faults, AreTakenBack) {
  order(R"({"fault":"error","count":1000000})");
  EXPECT_EQ(control("DELETE", "/faults").body, R"({"queued":0})");
  EXPECT_THAT(desk.call("/v1/heartbeat"), Accepted());
}

TEST_F(Faults, TakeAnyReasonAndTheShortEnvelope) {
  order(R"({"fault":"error","status":400,"reason":"MarketNotOpen","message":"closed",)"
        R"("short":true,"retry_after":3})");
  const auto handled = desk.call("/v1/heartbeat");
  EXPECT_EQ(handled.response.status, 400U);
  EXPECT_EQ(handled.response.body, R"({"error":"MarketNotOpen","message":"closed"})");
  EXPECT_EQ(*http::find(handled.response.headers, "Retry-After"), "3");
}

TEST_F(Faults, ThatAreNoneAreRefusedByName) {
  struct Row {
    const char* body;
    const char* says;
  };
  for (const Row& row :
       {Row{"", "not a JSON object"},
        Row{"[]", "not a JSON object"},
        Row{"{}", "must be one of error, nonce"},
        Row{R"({"fault":"fire"})", "must be one of"},
        Row{R"({"fault":["error"]})", "must be one of"},
        Row{R"({"fault":"error","cuont":2})", "\\\"cuont\\\" is not known"},
        Row{R"({"fault":"error","count":0})", "1 to 1000000"},
        Row{R"({"fault":"error","count":"2"})", "whole number"},
        Row{R"({"fault":"error","count":1.5})", "whole number"},
        Row{R"({"fault":"error","status":200})", "400 to 599"},
        Row{R"({"fault":"error","status":404})", "reason"},
        Row{R"({"fault":"error","handled":"yes"})", "true or false"},
        Row{R"({"fault":"error","path":7})", "must be a string"},
        Row{R"({"fault":"error","at":"before-head"})", "no meaning"},
        Row{R"({"fault":"close","status":503})", "no meaning"},
        Row{R"({"fault":"close","at":"middle"})", "before-head, before-body"},
        Row{R"({"fault":"close","at":"inside-body","handled":false})", "has no answer"},
        Row{R"({"fault":"bad-json","handled":false})", "no meaning"},
        Row{R"({"fault":"delay"})", "needs"},
        Row{R"({"fault":"delay","delay_ms":60001})", "0 to 60000"},
        Row{R"({"fault":"error","fault":"close"})", "distinct names"}}) {
    const http::Response response = control("POST", "/faults", row.body);
    EXPECT_EQ(response.status, 400U) << row.body;
    EXPECT_THAT(response.body, HasSubstr(row.says)) << row.body;
  }
  EXPECT_EQ(control("GET", "/faults").body, "[]");
}

TEST_F(Faults, AreAThousandAtMost) {
  for (std::size_t i = 0; i < FaultQueue::kMost; ++i) order(R"({"fault":"error"})");
  EXPECT_EQ(control("POST", "/faults", R"({"fault":"error"})").status, 500U);
}

TEST_F(Faults, CanOnlyBeOrderedOverControl) {
  const auto handled = desk.send(
      {.method = "POST", .target = "/faults", .headers = {}, .body = R"({"fault":"error"})"});
  EXPECT_THAT(handled, RefusedAs("EndpointNotFound", 404));
  EXPECT_THAT(desk.call("/v1/heartbeat"), Accepted());
}

TEST_F(Faults, ControlKnowsNothingElse) {
  for (const auto& [method, path] :
       {std::pair{"GET", "/"}, std::pair{"POST", "/v1/heartbeat"}, std::pair{"PUT", "/faults"},
        std::pair{"GET", "/clock"}, std::pair{"POST", "/faults/"}})
    EXPECT_EQ(control(method, path).status, 404U) << path;
}

TEST_F(Faults, ControlFillsAnOrder) {
  desk.call(kNew, kBuy);
  EXPECT_THAT(control("POST", "/fill", R"({"order_id":"106817811","amount":"0.2"})").body,
              HasSubstr(R"("order_id":"106817811")"));
  EXPECT_THAT(desk.call("/v1/mytrades"), Says(R"("amount":"0.2")"));
  EXPECT_EQ(control("POST", "/fill", R"({"order_id":1,"amount":"0.2"})").status, 404U);
  EXPECT_EQ(control("POST", "/fill", R"({"order_id":106817811,"amount":"9"})").status, 400U);
  EXPECT_EQ(control("POST", "/fill", R"({"order_id":106817811})").status, 400U);
  EXPECT_EQ(control("POST", "/fill", R"({"amount":"9"})").status, 400U);
  EXPECT_THAT(control("POST", "/fill", R"({"order_id":106817811,"amount":"0.1","at":1})").body,
              HasSubstr("not known"));
}

TEST(MovedClock, IsWrongInTheTimeOfDayAlone) {
  const FakeClock right;
  const MovedClock behind{right, -20s};
  EXPECT_EQ(right.wall() - behind.wall(), 20s);
  EXPECT_EQ(behind.steady(), right.steady());
  EXPECT_EQ(behind.moved(), 0s);
}

TEST_F(Faults, ControlMovesTheClockForwardOnly) {
  const Clock::Wall wall = moved.wall();
  const Clock::Steady steady = moved.steady();
  EXPECT_EQ(control("POST", "/clock", R"({"advance_ms":31000})").body, R"({"ahead_ms":31000})");
  EXPECT_EQ(moved.wall() - wall, 31s);
  EXPECT_EQ(moved.steady() - steady, 31s);
  for (const char* bad : {"{}", R"({"advance_ms":-1})", R"({"advance_ms":1.5})",
                          R"({"advance_ms":99999999999999})", R"({"advance_s":1})"})
    EXPECT_EQ(control("POST", "/clock", bad).status, 400U) << bad;
  for (int year = 0; year < 9; ++year)
    EXPECT_EQ(control("POST", "/clock", R"({"advance_ms":31622400000})").status, 200U);
  EXPECT_EQ(control("POST", "/clock", R"({"advance_ms":31622400000})").status, 400U);
}

}  // namespace
}  // namespace hsm::sim
