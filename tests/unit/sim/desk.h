// A trading desk for tests: signs as a Gemini client does and hands the request to an Exchange.
#pragma once

#include <gmock/gmock.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/sim/exchange.h"
#include "tests/support/fake_clock.h"

namespace hsm::sim {

inline constexpr const char* kTraderKey = "account-trader";
inline constexpr const char* kSecret = "conformance-api-secret";

inline ApiKey api_key(std::string id, Roles roles = kTrader, std::string_view secret = kSecret) {
  ApiKey key;
  key.id = std::move(id);
  key.secret = SecretBytes::copy_of(as_bytes(secret));
  key.roles = roles;
  return key;
}

// Where desk's accounts may send money to from the start: one address of the group per network, and
// one that is savings' alone.
inline std::vector<Approved> desk_approved() {
  const auto of = [](std::string account, std::string network, std::string address,
                     std::string memo = "") {
    Approved approved;
    approved.account = std::move(account);
    approved.network = std::move(network);
    approved.address = std::move(address);
    approved.label = "cold";
    approved.memo = std::move(memo);
    return approved;
  };
  return {of("", "bitcoin", "bc1-cold"),      of("", "ethereum", "0xCold"),
          of("", "solana", "SoCold"),         of("", "xrpl", "rCold"),
          of("", "xrpl", "rTagged", "tag-7"), of("savings", "bitcoin", "bc1-savings")};
}

inline std::vector<ApiKey> desk_keys() {
  std::vector<ApiKey> keys;
  keys.push_back(api_key(kTraderKey));
  keys.push_back(api_key("account-documented", kTrader, "1234abcd"));
  keys.push_back(api_key("account-auditor", kAuditor));
  keys.push_back(api_key("account-funds", kFundManager));
  keys.push_back(api_key("account-seconds"));
  keys.back().nonce = NonceRule::time_based;
  keys.push_back(api_key("account-beating"));
  keys.back().heartbeat = true;
  keys.push_back(api_key("master-desk", kTrader));
  keys.back().scope = Scope::master;
  keys.push_back(api_key("master-funds", kTrader | kFundManager));
  keys.back().scope = Scope::master;
  keys.back().trusted_ips = {*IpRange::parse("10.1.0.0/16"), *IpRange::parse("127.0.0.1")};
  keys.push_back(api_key("account-savings", kTrader | kFundManager));
  keys.back().account = "savings";
  keys.push_back(api_key("account-trusted", kTrader | kFundManager));
  keys.back().trusted_ips = {*IpRange::parse("127.0.0.1")};
  for (ApiKey& key : keys) {
    if (key.scope == Scope::account && key.account.empty()) key.account = "primary";
  }
  return keys;
}

inline Setup desk_setup() {
  return {desk_keys(), {{"primary", true}, {"savings", true}, {"closed", false}}, desk_approved()};
}

inline http::Request signed_request(std::string_view secret, const std::string& key,
                                    const std::string& path, const std::string& payload) {
  const std::string base64 = base64_encode(as_bytes(payload));
  return {.method = "POST",
          .target = path,
          .headers = {{"X-GEMINI-APIKEY", key},
                      {"X-GEMINI-PAYLOAD", base64},
                      {"X-GEMINI-SIGNATURE",
                       hex_encode(hmac_sha384(as_bytes(secret), as_bytes(base64)))}},
          .body = "",
          .peer = "127.0.0.1"};
}

class Desk {
 public:
  explicit Desk(Limits limits = Limits::off) : exchange_{desk_setup(), clock, limits} {}

  // The next free nonce of all keys, in milliseconds.
  std::string nonce() { return std::to_string(++nonce_); }

  Exchange::Handled send(const http::Request& request) { return exchange_.handle(request); }
  // `payload` as it stands.
  Exchange::Handled raw(const std::string& key, const std::string& path,
                        const std::string& payload) {
    return send(signed_request(kSecret, key, path, payload));
  }
  // `members` are added to a good request and nonce: R"("order_id":1)".
  Exchange::Handled call_as(const std::string& key, const std::string& path,
                            const std::string& members = "") {
    return raw(key, path,
               R"({"request":")" + path + R"(","nonce":")" + nonce() + "\"" +
                   (members.empty() ? "" : ",") + members + "}");
  }
  Exchange::Handled call(const std::string& path, const std::string& members = "") {
    return call_as(kTraderKey, path, members);
  }

  Exchange& exchange() { return exchange_; }
  House& house() { return exchange_.house(); }
  Money available(const std::string& account, const char* currency) {
    return house().find(account)->book.wallet().balances().find(currency)->second.available();
  }

  FakeClock clock;

 private:
  std::uint64_t nonce_ = 1'800'000'000'000;
  Exchange exchange_;
};

// A refusal with this reason, the status that belongs to it, and Gemini's envelope.
MATCHER_P2(RefusedAs, reason, status, std::string{"is refused as "} + reason) {
  *result_listener << "which is " << arg.response.status << " " << arg.response.body;
  return arg.response.status == static_cast<unsigned>(status) &&
         arg.response.body.starts_with(std::string{R"({"result":"error","reason":")"} + reason +
                                       R"(","message":")") &&
         arg.entry.refused && name(*arg.entry.refused) == reason;
}

MATCHER(Accepted, "is accepted") {
  *result_listener << "which is " << arg.response.status << " " << arg.response.body;
  return arg.response.status == 200 && !arg.entry.refused;
}

// EXPECT_THAT(handled, Says(R"("is_live":true)")).
MATCHER_P(Says, part, std::string{"says "} + part) {
  *result_listener << "which is " << arg.response.status << " " << arg.response.body;
  return arg.response.body.find(part) != std::string::npos;
}

}  // namespace hsm::sim
