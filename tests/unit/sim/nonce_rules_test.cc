#include <gtest/gtest.h>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

constexpr const char* kPath = "/v1/heartbeat";
constexpr const char* kSecondsKey = "account-seconds";

std::string payload(const std::string& nonce) {
  return R"({"request":"/v1/heartbeat","nonce":)" + nonce + "}";
}

TEST(IncrementingKeys, RefuseTheSameAndALowerNonceInTheExchangesWords) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1000")), Accepted());
  for (const char* nonce : {"1000", "999", "0", "1000.0", "\"1000\"", "999.999999999"})
    EXPECT_THAT(desk.raw(kTraderKey, kPath, payload(nonce)), RefusedAs("InvalidNonce", 400))
        << nonce;
  EXPECT_EQ(
      desk.raw(kTraderKey, kPath, payload("999")).response.body,
      R"({"result":"error","reason":"InvalidNonce","message":"Nonce '999' has not increased since your )"
      R"(last call to the Gemini API."})");
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1000.000000001")), Accepted());
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("\"1001\"")), Accepted());
}

TEST(IncrementingKeys, RememberTheHighestAndNotTheFirst) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1000")), Accepted());
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("2000")), Accepted());
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1500")), RefusedAs("InvalidNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("2000")), RefusedAs("InvalidNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("2001")), Accepted());
}

TEST(IncrementingKeys, CompareNumbersBeyondSixtyFourBits) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("99999999999999999998")), Accepted());
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("99999999999999999997")),
              RefusedAs("InvalidNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("99999999999999999999")), Accepted());
}

TEST(IncrementingKeys, HaveAMemoryEach) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1000")), Accepted());
  EXPECT_THAT(desk.raw("account-funds", kPath, payload("5")), Accepted());
}

TEST(IncrementingKeys, CareNothingForTheClock) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("1")), Accepted());
  desk.clock.step_wall(std::chrono::hours{-1000});
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("2")), Accepted());
}

TEST(Nonces, AreSpentByARequestThatIsRefusedLater) {
  Desk desk;
  const std::string nonce = R"({"request":"/v1/order/new","nonce":50})";
  EXPECT_THAT(desk.raw("account-auditor", "/v1/order/new", nonce), RefusedAs("MissingRole", 403));
  EXPECT_THAT(desk.raw("account-auditor", kPath, payload("50")), RefusedAs("InvalidNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/order/new", nonce), RefusedAs("MissingOrderField", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("50")), RefusedAs("InvalidNonce", 400));
}

TEST(Nonces, AreNotSpentByARequestThatFailsBeforeThem) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/roles", payload("50")), RefusedAs("EndpointMismatch", 400));
  http::Request forged = signed_request("wrong", kTraderKey, kPath, payload("60"));
  EXPECT_THAT(desk.send(forged), RefusedAs("InvalidSignature", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("50")), Accepted());
}

TEST(Nonces, AreMissingWhenAbsentOrNull) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, R"({"request":"/v1/heartbeat"})"),
              RefusedAs("MissingNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload("null")), RefusedAs("MissingNonce", 400));
}

class NotANonce : public ::testing::TestWithParam<const char*> {};

TEST_P(NotANonce, IsRefused) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, kPath, payload(GetParam())), RefusedAs("InvalidNonce", 400));
}

INSTANTIATE_TEST_SUITE_P(Each, NotANonce,
                         ::testing::Values("\"\"", "\"abc\"", "-1", "\"-1\"", "\"+1\"", "1e3",
                                           "\"1e3\"", "\"1.\"", "\".5\"", "\" 1\"", "\"1 \"",
                                           "\"0x10\"", "true", "[1]", "{\"n\":1}",
                                           "100000000000000000000", "1.0000000001", "\"1.2.3\""));

TEST(TimeBasedKeys, TakeThirtySecondsEitherWayAndNotMore) {
  Desk desk;  // The server's clock shows 1800000000 s.
  for (const char* nonce :
       {"1800000000", "1799999970", "1800000030", "\"1800000030\"", "1799999970.000000000"})
    EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload(nonce)), Accepted()) << nonce;
  for (const char* nonce : {"1799999969", "1800000031", "1799999969.999999999",
                            "1800000030.000000001", "0", "1800000000000", "99999999999999999999"})
    EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload(nonce)), RefusedAs("InvalidNonce", 400))
        << nonce;
}

TEST(TimeBasedKeys, AreRefusedInTheExchangesWordsWithTheStrayQuote) {
  Desk desk;
  EXPECT_EQ(
      desk.raw(kSecondsKey, kPath, payload("1800000000000")).response.body,
      R"({"result":"error","reason":"InvalidNonce","message":"Nonce '1800000000000' is not within 30 )"
      R"(seconds of server time '1800000000''"})");
}

TEST(TimeBasedKeys, FollowTheServersClock) {
  Desk desk;
  desk.clock.advance(std::chrono::nanoseconds{1});
  EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload("1799999970")), RefusedAs("InvalidNonce", 400));
  desk.clock.step_wall(std::chrono::seconds{-1});
  EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload("1799999970")), Accepted());
}

TEST(TimeBasedKeys, MayRepeatAndGoDownInsideTheWindow) {
  Desk desk;
  EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload("1800000010")), Accepted());
  EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload("1800000010")), Accepted());
  EXPECT_THAT(desk.raw(kSecondsKey, kPath, payload("1800000009")), Accepted());
}

}  // namespace
}  // namespace hsm::sim
