// Who comes too often, and who comes from the wrong place.
#include <gtest/gtest.h>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using namespace std::chrono_literals;

std::chrono::milliseconds delay_of(const Exchange::Handled& handled) {
  return handled.response.delivery.delay;
}

// "If you send 20 requests in close succession …: the first ten requests are processed, the next
// five requests are queued, the next five requests receive a 429" (Gemini documentation).
TEST(RateLimits, ServeTenQueueFiveAndRefuseFiveOfTwenty) {
  Desk desk{Limits::on};
  for (int i = 0; i < 10; ++i) {
    const auto handled = desk.call("/v1/heartbeat");
    EXPECT_THAT(handled, Accepted()) << i;
    EXPECT_EQ(delay_of(handled), 0ms) << i;
  }
  for (int i = 1; i <= 5; ++i) {
    const auto handled = desk.call("/v1/heartbeat");
    EXPECT_THAT(handled, Accepted()) << i;
    EXPECT_EQ(delay_of(handled), 100ms * i);
  }
  for (int i = 0; i < 5; ++i) {
    const auto handled = desk.call("/v1/heartbeat");
    EXPECT_EQ(handled.response.body,
              R"({"result":"error","reason":"RateLimit","message":"Too Many Requests"})");
    EXPECT_EQ(handled.response.status, 429U);
    const std::string* retry_after = http::find(handled.response.headers, "Retry-After");
    ASSERT_NE(retry_after, nullptr);
    EXPECT_EQ(*retry_after, "1");
    EXPECT_EQ(delay_of(handled), 0ms);
  }
}

TEST(RateLimits, ForgiveAfterAPauseAndHoldSixHundredAMinute) {
  Desk desk{Limits::on};
  int served = 0;
  for (int i = 0; i < 2'000; ++i) {  // Over a minute.
    served += desk.call("/v1/heartbeat").response.status == 200 ? 1 : 0;
    desk.clock.advance(30ms);
  }
  EXPECT_GE(served, 600);
  EXPECT_LE(served, 615);
  EXPECT_GT(delay_of(desk.call("/v1/heartbeat")), 0ms);
  desk.clock.advance(2s);
  EXPECT_EQ(delay_of(desk.call("/v1/heartbeat")), 0ms);
}

TEST(RateLimits, NeverTouchWhoKeepsToThem) {
  Desk desk{Limits::on};
  for (int i = 0; i < 1'000; ++i) {
    const auto handled = desk.call("/v1/heartbeat");
    ASSERT_THAT(handled, Accepted());
    ASSERT_EQ(delay_of(handled), 0ms);
    desk.clock.advance(100ms);
  }
}

TEST(RateLimits, AreEachKeysOwnAndCountAuthenticRequestsOnly) {
  Desk desk{Limits::on};
  for (int i = 0; i < 30; ++i) {
    EXPECT_THAT(desk.send(signed_request("wrong", kTraderKey, "/v1/heartbeat",
                                         R"({"request":"/v1/heartbeat","nonce":1})")),
                RefusedAs("InvalidSignature", 400));
  }
  EXPECT_EQ(delay_of(desk.call("/v1/heartbeat")), 0ms);
  for (int i = 0; i < 30; ++i) desk.call("/v1/heartbeat");
  EXPECT_THAT(desk.call("/v1/heartbeat"), RefusedAs("RateLimit", 429));
  EXPECT_THAT(desk.call_as("account-funds", "/v1/heartbeat"), Accepted());
}

TEST(RateLimits, RefuseBeforeAnythingIsDoneButSpendTheNonce) {
  Desk desk{Limits::on};
  for (int i = 0; i < 15; ++i) desk.call("/v1/heartbeat");
  const auto request = signed_request(
      kSecret, kTraderKey, "/v1/order/new",
      R"({"request":"/v1/order/new","nonce":1900000000000,"symbol":"btcusd","amount":"1",)"
      R"("price":"1","side":"buy","type":"exchange limit"})");
  EXPECT_THAT(desk.send(request), RefusedAs("RateLimit", 429));
  desk.clock.advance(10s);
  EXPECT_THAT(desk.send(request), RefusedAs("InvalidNonce", 400));
  EXPECT_EQ(desk.available("primary", "USD").text(), "100000000");
}

TEST(RateLimits, LetDepositAddressesBeAskedOnceInTwoSecondsPerAccount) {
  Desk desk{Limits::on};
  EXPECT_THAT(desk.call("/v1/addresses/bitcoin"), Accepted());
  desk.clock.advance(2s - 1ns);
  const auto early = desk.call_as("account-funds", "/v1/deposit/bitcoin/newAddress");
  EXPECT_THAT(early, RefusedAs("RateLimit", 429));
  EXPECT_THAT(desk.call_as("account-savings", "/v1/addresses/bitcoin"), Accepted());
  desk.clock.advance(1ns);
  EXPECT_THAT(desk.call_as("account-funds", "/v1/deposit/bitcoin/newAddress"), Accepted());
  EXPECT_THAT(desk.call("/v1/addresses/bitcoin"), RefusedAs("RateLimit", 429));
}

TEST(RateLimits, LetTheFirstVersionOfTransfersBeAskedOnceInFiveSecondsPerAccount) {
  Desk desk{Limits::on};
  EXPECT_THAT(desk.call("/v1/transfers"), Accepted());
  desk.clock.advance(5s - 1ns);
  EXPECT_THAT(desk.call_as("account-auditor", "/v1/transfers"), RefusedAs("RateLimit", 429));
  EXPECT_THAT(desk.call_as("account-savings", "/v1/transfers"), Accepted());
  EXPECT_THAT(desk.call("/v2/transfers"), Accepted());
  EXPECT_THAT(desk.call("/v1/addresses/bitcoin"), Accepted());
  desk.clock.advance(1ns);
  EXPECT_THAT(desk.call_as("account-auditor", "/v1/transfers"), Accepted());
}

TEST(RateLimits, AreOffUnlessSwitchedOn) {
  Desk desk;
  for (int i = 0; i < 100; ++i) {
    const auto handled = desk.call("/v1/addresses/bitcoin");
    ASSERT_THAT(handled, Accepted());
    ASSERT_EQ(delay_of(handled), 0ms);
    ASSERT_THAT(desk.call("/v1/transfers"), Accepted());
  }
}

http::Request public_request(const std::string& path, const std::string& peer) {
  return {.method = "GET", .target = path, .headers = {}, .body = "", .peer = peer};
}

TEST(PublicEndpoints, TellTheMarketInTheDocumentedShape) {
  Desk desk;
  EXPECT_EQ(desk.send(public_request("/v1/symbols", "127.0.0.1")).response.body,
            R"(["btcusd","ethusd","ethbtc","solusd"])");
  EXPECT_EQ(desk.send(public_request("/v1/symbols/details/btcusd", "127.0.0.1")).response.body,
            R"({"symbol":"BTCUSD","base_currency":"BTC","quote_currency":"USD",)"
            R"("tick_size":0.00000001,"quote_increment":0.01,"min_order_size":"0.00001",)"
            R"("status":"open","wrap_enabled":false,"product_type":"spot",)"
            R"("contract_type":"vanilla","contract_price_currency":"USD"})");
  EXPECT_THAT(desk.send(public_request("/v1/symbols/details/dogeusd", "127.0.0.1")),
              RefusedAs("InvalidSymbol", 400));
}

TEST(PublicEndpoints, AreLimitedToHundredAndTwentyAMinutePerAddress) {
  Desk desk{Limits::on};
  int served = 0;
  int queued = 0;
  for (int i = 0; i < 20; ++i) {
    const auto handled = desk.send(public_request("/v1/symbols", "127.0.0.1"));
    served += handled.response.status == 200 ? 1 : 0;
    queued += delay_of(handled) > 0ms ? 1 : 0;
  }
  EXPECT_EQ(served, 7);  // Two a second, and five queued.
  EXPECT_EQ(queued, 5);
  EXPECT_THAT(desk.send(public_request("/v1/symbols", "127.0.0.1")), RefusedAs("RateLimit", 429));
  EXPECT_THAT(desk.send(public_request("/v1/symbols", "127.0.0.2")), Accepted());
  EXPECT_THAT(desk.call("/v1/heartbeat"), Accepted());
}

TEST(RateGates, ForgetCallersThatAreIdle) {
  RateGates gates{kPublicRate};
  Clock::Steady now{1h};
  for (std::size_t i = 0; i < RateGates::kMost; ++i) gates.admit(std::to_string(i), now);
  EXPECT_EQ(gates.size(), RateGates::kMost);
  gates.admit("one more", now + 1min);
  EXPECT_EQ(gates.size(), 1U);
}

TEST(TrustedIps, RefuseOtherAddressesInTheDocumentedWordsAndSpendNothing) {
  Desk desk;
  const std::string payload = R"({"request":"/v1/heartbeat","nonce":1})";
  http::Request request = signed_request(kSecret, "account-trusted", "/v1/heartbeat", payload);
  for (const char* peer : {"127.0.0.2", "10.1.2.3", "", "127.0.0.1.example", "::1"}) {
    request.peer = peer;
    EXPECT_EQ(desk.send(request).response.body,
              R"({"result":"error","reason":"ApiKeyIpFilteringFailure",)"
              R"("message":"ApiKey fails IP Filtering Check for some accounts"})")
        << peer;
  }
  EXPECT_THAT(desk.send(request), RefusedAs("ApiKeyIpFilteringFailure", 403));
  request.peer = "127.0.0.1";
  EXPECT_THAT(desk.send(request), Accepted());
}

TEST(TrustedIps, AreNotTakenFromHeaders) {
  Desk desk;
  http::Request request = signed_request(kSecret, "account-trusted", "/v1/heartbeat",
                                         R"({"request":"/v1/heartbeat","nonce":1})");
  request.peer = "127.0.0.2";
  for (const char* name : {"X-Forwarded-For", "Forwarded", "X-Real-IP"})
    request.headers.push_back({name, "127.0.0.1"});
  EXPECT_THAT(desk.send(request), RefusedAs("ApiKeyIpFilteringFailure", 403));
}

TEST(TrustedIps, MayBeBlocksAndAbsentMeansEverywhere) {
  Desk desk;
  const auto from = [&](const std::string& key, const char* peer) {
    http::Request request =
        signed_request(kSecret, key, "/v1/heartbeat",
                       R"({"request":"/v1/heartbeat","nonce":)" + desk.nonce() + "}");
    request.peer = peer;
    return desk.send(request);
  };
  EXPECT_THAT(from("master-funds", "10.1.255.255"), Accepted());
  EXPECT_THAT(from("master-funds", "10.2.0.0"), RefusedAs("ApiKeyIpFilteringFailure", 403));
  EXPECT_THAT(from(kTraderKey, "203.0.113.9"), Accepted());
  EXPECT_THAT(from(kTraderKey, ""), Accepted());
}

TEST(IpRanges, ReadAddressesAndBlocksStrictly) {
  for (const char* good : {"0.0.0.0/0", "127.0.0.1", "127.0.0.1/32", "10.0.0.0/8", "128.0.0.0/1"})
    EXPECT_TRUE(IpRange::parse(good)) << good;
  for (const char* bad :
       {"", "127.0.0", "127.0.0.1.", "127.0.0.1/", "127.0.0.1/33", "10.0.0.1/8", "256.0.0.1",
        "01.0.0.1", "1.2.3.4/08", "1.2.3.-4", " 1.2.3.4", "1.2.3.4 ", "::1", "localhost", "1/8"})
    EXPECT_FALSE(IpRange::parse(bad)) << bad;
  EXPECT_TRUE(IpRange::parse("0.0.0.0/0")->contains("203.0.113.9"));
  EXPECT_FALSE(IpRange::parse("0.0.0.0/0")->contains(""));
  EXPECT_TRUE(IpRange::parse("128.0.0.0/1")->contains("255.255.255.255"));
  EXPECT_FALSE(IpRange::parse("128.0.0.0/1")->contains("127.255.255.255"));
}

TEST(Heartbeats, OfOneAccountDoNotCancelForAnother) {
  Desk desk;
  constexpr const char* kBuy =
      R"("symbol":"btcusd","amount":"0.5","price":"30000.00","side":"buy","type":"exchange limit")";
  EXPECT_THAT(desk.call_as("account-beating", "/v1/order/new", kBuy), Accepted());
  EXPECT_THAT(desk.call_as("account-savings", "/v1/order/new", kBuy), Accepted());
  desk.clock.advance(31s);
  EXPECT_THAT(desk.call_as("account-savings", "/v1/orders"), Says("106817812"));
  EXPECT_EQ(desk.available("primary", "USD").text(), "100000000");
}

}  // namespace
}  // namespace hsm::sim
