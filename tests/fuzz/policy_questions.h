// What the policy fuzzer asks, and what each request says, read by a person: what a rule allowed is
// held against this and not against the reading that the rule was asked with.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace hsm::fuzz {

// Members that a request does not have are empty.
struct Asked {
  const char* json;
  bool commits = false;
  std::string_view symbol{};  // Of an order.
  std::string_view side{}, type{}, option{};
  std::string_view asset{}, amount{};  // Of an order its symbol, else what moves.
  std::string_view price{};
  std::string_view quote{}, worth{};  // amount × price of an order, in what it is paid in.
  std::string_view network{}, ticker{}, address{};
  std::optional<std::string_view> memo{};
  std::string_view account{}, counterparty{};
  std::string_view unknown{};  // A member that the endpoint does not have.
};

inline constexpr std::array kAsked{
    Asked{.json = R"({"request":"/v1/balances"})"},
    Asked{.json = R"({"request":"/v1/order/cancel","order_id":1,"x":2})"},
    Asked{
        .json =
            R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"2","side":"buy"})",
        .commits = true,
        .symbol = "btcusd",
        .side = "buy",
        .asset = "btcusd",
        .amount = "1"},
    Asked{.json = R"({"request":"/v1/order/new","symbol":"btcusd","unknown":"1"})",
          .commits = true,
          .symbol = "btcusd",
          .asset = "btcusd",
          .unknown = "unknown"},
    Asked{.json = R"({"request":"/v1/heartbeat"})"},
    Asked{.json = R"({"request":"/v1/withdraw/btc","address":"bc1qx","amount":"1"})",
          .commits = true,
          .asset = "btc",
          .amount = "1",
          .ticker = "btc",
          .address = "bc1qx"},
    Asked{.json = R"({"request":"/v1/approvedAddresses/btc/request","address":"bc1qx"})",
          .commits = true},
    Asked{.json = R"({"request":"/v1/account/create","name":"x"})", .commits = true},
    Asked{
        .json =
            R"({"request":"/v1/order/new","symbol":"ethusd","amount":3e-1,"price":1e3,"side":"sell","type":"exchange limit","options":["maker-or-cancel"],"account":"primary"})",
        .commits = true,
        .symbol = "ethusd",
        .side = "sell",
        .type = "exchange limit",
        .option = "maker-or-cancel",
        .asset = "ethusd",
        .amount = "0.3",
        .price = "1000",
        .quote = "usd",
        .worth = "300",
        .account = "primary"},
    Asked{
        .json =
            R"({"request":"/v2/withdraw/xrpl/xrp","address":"rX","memo":"1","amount":"2","account":"primary"})",
        .commits = true,
        .asset = "xrp",
        .amount = "2",
        .network = "xrpl",
        .ticker = "xrp",
        .address = "rX",
        .memo = "1",
        .account = "primary"},
    Asked{
        .json =
            R"({"request":"/v1/clearing/new","symbol":"btcusd","amount":"1","price":"2","side":"buy","counterparty_id":"A"})",
        .commits = true,
        .symbol = "btcusd",
        .side = "buy",
        .asset = "btcusd",
        .amount = "1",
        .price = "2",
        .quote = "usd",
        .worth = "2",
        .counterparty = "A"},
    Asked{
        .json =
            R"({"request":"/v1/order/new","symbol":"BTCUSD","amount":"2.50","price":"30000","side":"buy","type":"exchange limit","options":[]})",
        .commits = true,
        .symbol = "btcusd",
        .side = "buy",
        .type = "exchange limit",
        .asset = "btcusd",
        .amount = "2.5",
        .price = "30000",
        .quote = "usd",
        .worth = "75000"},
    Asked{
        .json =
            R"({"request":"/v1/order/new","symbol":"btcusd","amount":"0.1","price":"0.01","side":"sell","type":"exchange market"})",
        .commits = true,
        .symbol = "btcusd",
        .side = "sell",
        .type = "exchange market",
        .asset = "btcusd",
        .amount = "0.1"},
    Asked{
        .json =
            R"({"request":"/v1/account/transfer/btc","account":"primary","sourceAccount":"primary","targetAccount":"cold","amount":"1"})",
        .commits = true,
        .asset = "btc",
        .amount = "1",
        .account = "cold"}};

}  // namespace hsm::fuzz
