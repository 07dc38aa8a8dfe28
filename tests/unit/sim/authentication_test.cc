#include <gtest/gtest.h>

#include <ostream>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::Not;

constexpr const char* kBalances =
    R"({"request":"/v1/balances","nonce":1700000000000,"account":"primary"})";

http::Request good() { return signed_request(kSecret, kTraderKey, "/v1/balances", kBalances); }

// gemini-api vectors: key, path, payload header, signature header, as they stand in the
// documentation.
struct Vector {
  const char* name;
  const char* key;
  const char* path;
  const char* payload;
  const char* signature;

  friend void PrintTo(const Vector& row, std::ostream* out) { *out << row.name; }
};

constexpr Vector kVectors[] = {
    {"V1", "account-documented", "/v1/order/status",
     "ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgogICAgIm9yZGVyX"
     "2lkIjogMTg4"
     "MzQKfQo=",
     "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee10719ff70d7"
     "10f"},
    {"V2", kTraderKey, "/v1/balances",
     "eyJyZXF1ZXN0IjoiL3YxL2JhbGFuY2VzIiwibm9uY2UiOjE3MDAwMDAwMDAwMDAsImFjY291bnQiOiJwcmltYXJ5In0=",
     "82faa56c051276fb51f65045585036d1ff3ac0ab2393506d3a070bcfa60754fb1b54ef912dda417ff31a0fc9e0ada"
     "5e2"},
    {"V3", kTraderKey, "/v1/order/new",
     "eyJyZXF1ZXN0IjoiL3YxL29yZGVyL25ldyIsIm5vbmNlIjoiMTcwMDAwMDAwMCIsImNsaWVudF9vcmRlcl9pZCI6InQtM"
     "SIsInN5bWJv"
     "bCI6ImJ0Y3VzZCIsImFtb3VudCI6IjAuMDEiLCJwcmljZSI6IjEwMDAuMDAiLCJzaWRlIjoiYnV5IiwidHlwZSI6ImV4Y"
     "2hhbmdlIGxp"
     "bWl0Iiwib3B0aW9ucyI6WyJtYWtlci1vci1jYW5jZWwiXX0=",
     "25e02a20af959bb7f37fb74db2eaf03b7dffa8acc5e67dfb8d24b8ab9450d49fe053b578a39dea91c9c38629d8778"
     "eb2"},
    {"V5", kTraderKey, "/v1/balances",
     "eyJyZXF1ZXN0IjogIi92MS9iYWxhbmNlcyIsICJub25jZSI6IDE3MDAwMDAwMDAuMDAwMDAxfQ==",
     "244fa10336bd67257a03147a59ad4931be997d7c8347ffcdf0b74449b1257df70cd47ba56086bb64a10b480ff3468"
     "1e9"},
};

class Vectors : public ::testing::TestWithParam<Vector> {};

TEST_P(Vectors, AreAuthenticAndTheNonceIsReadAsSent) {
  const Vector& v = GetParam();
  Desk desk;
  const http::Request request{.method = "POST",
                              .target = v.path,
                              .headers = {{"X-GEMINI-APIKEY", v.key},
                                          {"X-GEMINI-PAYLOAD", v.payload},
                                          {"X-GEMINI-SIGNATURE", v.signature}},
                              .body = ""};
  const Exchange::Handled handled = desk.send(request);
  // V1 asks for an order that nobody placed: all checks of authenticity lie behind it.
  if (std::string{v.name} == "V1") {
    EXPECT_THAT(handled, RefusedAs("OrderNotFound", 404));
    EXPECT_EQ(handled.entry.nonce, "123456");
    return;
  }
  EXPECT_THAT(handled, Accepted());
  EXPECT_FALSE(handled.entry.nonce.empty());
  EXPECT_THAT(desk.send(request), RefusedAs("InvalidNonce", 400));
}

INSTANTIATE_TEST_SUITE_P(Documented, Vectors, ::testing::ValuesIn(kVectors),
                         [](const auto& row) { return row.param.name; });

TEST(Authentication, KeepsAFractionOfASecondInTheNonce) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances",
                       R"({"request":"/v1/balances","nonce":1700000000.000001})"),
              Accepted());
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances",
                       R"({"request":"/v1/balances","nonce":1700000000.000001})"),
              RefusedAs("InvalidNonce", 400));
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances",
                       R"({"request":"/v1/balances","nonce":1700000000.000002})"),
              Accepted());
}

struct Missing {
  const char* header;
  const char* reason;
  int status;

  friend void PrintTo(const Missing& row, std::ostream* out) { *out << row.header; }
};
class Headers : public ::testing::TestWithParam<Missing> {};

TEST_P(Headers, AreRefusedWhenAbsentEmptyOrRepeated) {
  const Missing& row = GetParam();
  Desk desk;
  http::Request absent = good();
  std::erase_if(absent.headers,
                [&](const http::Header& header) { return header.name == row.header; });
  EXPECT_THAT(desk.send(absent), RefusedAs(row.reason, row.status));
  http::Request empty = good();
  for (http::Header& header : empty.headers) {
    if (header.name == row.header) header.value = "";
  }
  EXPECT_THAT(desk.send(empty), RefusedAs(row.reason, row.status));
  http::Request repeated = good();
  repeated.headers.push_back({row.header, *http::find(repeated.headers, row.header)});
  EXPECT_THAT(desk.send(repeated), RefusedAs(row.reason, row.status));
}

INSTANTIATE_TEST_SUITE_P(Each, Headers,
                         ::testing::Values(Missing{"X-GEMINI-APIKEY", "MissingApikeyHeader", 401},
                                           Missing{"X-GEMINI-PAYLOAD", "MissingPayloadHeader", 400},
                                           Missing{"X-GEMINI-SIGNATURE", "MissingSignatureHeader",
                                                   400}),
                         [](const auto& row) { return row.param.reason; });

TEST(Authentication, TakesHeaderNamesInAnyCase) {
  Desk desk;
  http::Request request = good();
  for (http::Header& header : request.headers) {
    for (char& c : header.name) c = static_cast<char>(std::tolower(c));
  }
  EXPECT_THAT(desk.send(request), Accepted());
}

TEST(Authentication, IgnoresTheBody) {
  Desk desk;
  http::Request request = good();
  request.body = R"({"request":"/v1/order/new"})";  // ccxt sends one.
  EXPECT_THAT(desk.send(request), AllOf(Accepted(), Says(R"("currency":"BTC")")));
}

TEST(Authentication, RefusesAKeyThatWasNeverGivenOut) {
  Desk desk;
  const Exchange::Handled handled =
      desk.send(signed_request(kSecret, "account-nobody", "/v1/balances", kBalances));
  EXPECT_THAT(handled, RefusedAs("InvalidApiKey", 400));
  EXPECT_EQ(handled.entry.key, "");
}

// Each makes one change to a good request; the MAC is made before it.
struct Tampering {
  const char* name;
  void (*change)(http::Request&);

  friend void PrintTo(const Tampering& row, std::ostream* out) { *out << row.name; }
};
class Signatures : public ::testing::TestWithParam<Tampering> {};

TEST_P(Signatures, AreRefusedWhenWrong) {
  Desk desk;
  http::Request request = good();
  GetParam().change(request);
  EXPECT_THAT(desk.send(request), RefusedAs("InvalidSignature", 400));
  EXPECT_THAT(desk.send(good()), Accepted());  // And the nonce was not spent.
}

void sign_anew(http::Request& request, std::string_view secret = kSecret) {
  request.headers[2].value =
      hex_encode(hmac_sha384(as_bytes(secret), as_bytes(request.headers[1].value)));
}

constexpr Tampering kTamperings[] = {
    {"LastDigitChanged", [](http::Request& r) { r.headers[2].value.back() ^= 1; }},
    {"FirstDigitChanged", [](http::Request& r) { r.headers[2].value.front() ^= 1; }},
    {"DigitDropped", [](http::Request& r) { r.headers[2].value.pop_back(); }},
    {"DigitAdded", [](http::Request& r) { r.headers[2].value += '0'; }},
    {"UpperCase",
     [](http::Request& r) {
       for (char& c : r.headers[2].value) c = static_cast<char>(std::toupper(c));
     }},
    {"OfAnotherPayload", [](http::Request& r) { r.headers[1].value[10] ^= 1; }},
    {"OfAnotherSecret", [](http::Request& r) { sign_anew(r, "conformance-api-secres"); }},
    {"OverTheJsonInsteadOfTheBase64",
     [](http::Request& r) {
       r.headers[2].value = hex_encode(hmac_sha384(as_bytes(kSecret), as_bytes(kBalances)));
     }},
    {"OfAnotherKey", [](http::Request& r) { r.headers[0].value = "account-documented"; }},
    {"PaddingDropped",
     [](http::Request& r) {
       r.headers[1].value.pop_back();
       sign_anew(r);
     }},
    {"PadBitsSet",  // "…9" for "…0=": the same bytes, another text.
     [](http::Request& r) {
       r.headers[1].value[r.headers[1].value.size() - 2] ^= 1;
       sign_anew(r);
     }},
    {"LineBreakInside",
     [](http::Request& r) {
       r.headers[1].value.insert(4, "\n");
       sign_anew(r);
     }},
    {"PlainJsonAsPayload",
     [](http::Request& r) {
       r.headers[1].value = kBalances;
       sign_anew(r);
     }},
};
INSTANTIATE_TEST_SUITE_P(Each, Signatures, ::testing::ValuesIn(kTamperings),
                         [](const auto& row) { return row.param.name; });

class NotJson : public ::testing::TestWithParam<const char*> {};

TEST_P(NotJson, IsRefused) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances", GetParam()), RefusedAs("InvalidJson", 400));
}

INSTANTIATE_TEST_SUITE_P(
    Each, NotJson,
    ::testing::Values(
        " ", "1700000000", "\"text\"", "null", "true", "[]", R"([{"request":"/v1/balances"}])",
        R"({"request":"/v1/balances","nonce":1)", R"({"request":"/v1/balances","nonce":1}})",
        R"({"request":"/v1/balances","nonce":1} x)", R"({"request":"/v1/balances","nonce":01})",
        R"({"request":"/v1/balances","nonce":1,})", R"({'request':'/v1/balances','nonce':1})",
        R"({"request":"/v1/balances","nonce":1,"nonce":2})",
        R"({"request":"/v1/balances","nonce":1,"\u006eonce":2})",
        R"({"request":"/v1/balances","nonce":1/**/})", R"({"request":"/v1/balances","nonce":NaN})",
        "{\"request\":\"/v1/balances\",\"nonce\":1,\"x\":\"\xFF\"}",
        "\xEF\xBB\xBF{\"request\":\"/v1/balances\",\"nonce\":1}"));

TEST(Authentication, RefusesAnObjectBuriedTooDeep) {
  Desk desk;
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances",
                       R"({"request":"/v1/balances","nonce":1,"x":)" + deep + "}"),
              RefusedAs("InvalidJson", 400));
}

TEST(Authentication, TakesWhiteSpaceUnknownMembersAndAnyOrder) {
  Desk desk;
  EXPECT_THAT(
      desk.raw(
          kTraderKey, "/v1/balances",
          "\n{ \"x\" : [1, {\"nonce\": 5, \"request\": [\"no\"]}, [[2]]],\n\t\"nonce\":\"7\" , "
          "\"request\":\"\\/v1\\/balances\" }\r\n"),
      Accepted());
}

class WrongRequest : public ::testing::TestWithParam<const char*> {};

TEST_P(WrongRequest, IsAnEndpointMismatch) {
  Desk desk;
  EXPECT_THAT(desk.raw(kTraderKey, "/v1/balances", GetParam()), RefusedAs("EndpointMismatch", 400));
}

INSTANTIATE_TEST_SUITE_P(Each, WrongRequest,
                         ::testing::Values(R"({"nonce":1})",
                                           R"({"request":"/v1/orders","nonce":1})",
                                           R"({"request":17,"nonce":1})",
                                           R"({"request":["/v1/balances"],"nonce":1})",
                                           R"({"request":"/v1/balances/","nonce":1})",
                                           R"({"request":"/v1/Balances","nonce":1})",
                                           R"({"request":"/v1/balances?a=b","nonce":1})",
                                           R"({"request":"/v1/balances ","nonce":1})"));

TEST(Endpoints, ThatDoNotExistAreRefusedBeforeAnythingElse) {
  Desk desk;
  for (const char* path :
       {"/", "/v1", "/v1/withdraw", "/v1/withdraw/", "/v1/withdraw/btc/", "/v1/order/new/",
        "/v2/balances", "", "*", "http://127.0.0.1/v1/balances", "/v1/order/cancel/everything",
        "/v1/order/cancel/all/x", "//v1/orders", "/v1//orders", "/v2/withdraw/btc",
        "/v2/withdraw//btc",
        // Reads whose paths begin as a withdrawal's: not simulated, and not taken for one.
        "/v1/withdraw/btc/feeEstimate", "/v2/withdraw/bitcoin/btc/feeEstimate"}) {
    EXPECT_THAT(desk.send({.method = "POST", .target = path, .headers = {}, .body = ""}),
                RefusedAs("EndpointNotFound", 404))
        << path;
  }
}

TEST(Endpoints, AreNotFoundByAnotherMethodThanPost) {
  Desk desk;
  for (const char* method : {"GET", "PUT", "DELETE", "HEAD", "post"}) {
    http::Request request = good();
    request.method = method;
    EXPECT_THAT(desk.send(request), RefusedAs("EndpointNotFound", 404)) << method;
  }
}

TEST(Endpoints, IgnoreTheQuery) {
  Desk desk;
  http::Request request = good();
  request.target += "?request=/v1/orders";
  EXPECT_THAT(desk.send(request), Accepted());
}

struct RoleRow {
  const char* key;
  const char* path;
  bool allowed;

  friend void PrintTo(const RoleRow& row, std::ostream* out) { *out << row.key << ' ' << row.path; }
};
class RoleTable : public ::testing::TestWithParam<RoleRow> {};

TEST_P(RoleTable, Holds) {
  const RoleRow& row = GetParam();
  Desk desk;
  const Exchange::Handled handled = desk.call_as(row.key, row.path);
  if (row.allowed) {
    EXPECT_THAT(handled, Not(RefusedAs("MissingRole", 403)));
    return;
  }
  EXPECT_THAT(handled, RefusedAs("MissingRole", 403));
  EXPECT_THAT(handled, Says(std::string{"to API key "} + row.key + " which currently has roles ["));
}

INSTANTIATE_TEST_SUITE_P(
    Each, RoleTable,
    ::testing::Values(
        RoleRow{kTraderKey, "/v1/order/new", true}, RoleRow{kTraderKey, "/v1/orders", true},
        RoleRow{kTraderKey, "/v1/balances", true}, RoleRow{"account-auditor", "/v1/orders", true},
        RoleRow{"account-auditor", "/v1/balances", true},
        RoleRow{"account-auditor", "/v1/order/new", false},
        RoleRow{"account-auditor", "/v1/order/cancel", false},
        RoleRow{"account-auditor", "/v1/order/status", false},
        RoleRow{"account-funds", "/v1/order/new", false},
        RoleRow{"account-funds", "/v1/order/cancel", false},
        RoleRow{"account-funds", "/v1/order/status", false},
        RoleRow{"account-funds", "/v1/orders", false},
        RoleRow{"account-funds", "/v1/balances", true},
        RoleRow{"account-funds", "/v1/heartbeat", true},
        RoleRow{kTraderKey, "/v1/order/cancel/all", true},
        RoleRow{kTraderKey, "/v1/order/cancel/session", true},
        RoleRow{kTraderKey, "/v1/mytrades", true}, RoleRow{kTraderKey, "/v1/withdraw/btc", false},
        RoleRow{kTraderKey, "/v2/withdraw/bitcoin/btc", false},
        RoleRow{kTraderKey, "/v1/addresses/bitcoin", true},
        RoleRow{kTraderKey, "/v1/deposit/bitcoin/newAddress", false},
        RoleRow{kTraderKey, "/v1/approvedAddresses/bitcoin/request", false},
        RoleRow{kTraderKey, "/v1/approvedAddresses/bitcoin/remove", false},
        RoleRow{kTraderKey, "/v1/approvedAddresses/account/bitcoin", true},
        RoleRow{"account-auditor", "/v1/order/cancel/all", false},
        RoleRow{"account-auditor", "/v1/order/cancel/session", false},
        RoleRow{"account-auditor", "/v1/mytrades", true},
        RoleRow{"account-auditor", "/v1/withdraw/btc", false},
        RoleRow{"account-auditor", "/v2/withdraw/bitcoin/btc", false},
        RoleRow{"account-auditor", "/v1/addresses/bitcoin", true},
        RoleRow{"account-auditor", "/v1/approvedAddresses/account/bitcoin", true},
        RoleRow{"account-auditor", "/v1/approvedAddresses/bitcoin/request", false},
        RoleRow{"account-auditor", "/v1/approvedAddresses/bitcoin/remove", false},
        RoleRow{"account-funds", "/v1/order/cancel/all", false},
        RoleRow{"account-funds", "/v1/order/cancel/session", false},
        RoleRow{"account-funds", "/v1/mytrades", false},
        RoleRow{"account-funds", "/v1/withdraw/btc", true},
        RoleRow{"account-funds", "/v2/withdraw/bitcoin/btc", true},
        RoleRow{"account-funds", "/v1/deposit/bitcoin/newAddress", true},
        RoleRow{"master-desk", "/v1/account/transfer/btc", false},
        RoleRow{"master-desk", "/v1/account/list", true},
        RoleRow{"account-auditor", "/v1/roles", true}));

TEST(Roles, AreNamedInTheRefusal) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-funds", "/v1/orders"),
              AllOf(Says("one of these roles [Trader, Auditor]"), Says("has roles [FundManager]")));
}

TEST(Roles, AreToldToTheKey) {
  Desk desk;
  EXPECT_THAT(desk.call_as("account-auditor", "/v1/roles"),
              Says(R"({"isAuditor":true,"isFundManager":false,"isTrader":false})"));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/roles"),
              Says(R"("isTrader":true,"isAccountAdmin":false)"));
}

TEST(MasterKeys, MustNameAnAccountThatExists) {
  Desk desk;
  EXPECT_THAT(desk.call_as("master-desk", "/v1/balances"), RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/balances", R"("account":["primary"])"),
              RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/balances", R"("account":"other")"),
              RefusedAs("MissingAccounts", 400));
  EXPECT_THAT(desk.call_as("master-desk", "/v1/balances", R"("account":"primary")"), Accepted());
  EXPECT_THAT(desk.call_as("master-desk", "/v1/heartbeat"), Accepted());
}

TEST(Answers, CarryTheServersDate) {
  Desk desk;  // 1800000000 s.
  const Exchange::Handled handled = desk.call("/v1/balances");
  EXPECT_EQ(*http::find(handled.response.headers, "Date"), "Fri, 15 Jan 2027 08:00:00 GMT");
  EXPECT_EQ(*http::find(handled.response.headers, "Content-Type"), "application/json");
}

}  // namespace
}  // namespace hsm::sim
