// Policies, keys and payloads for the tests of the decision.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "hsm_signer/policy/policy.h"
#include "tests/support/error_is.h"

namespace hsm::policy {

// Users that exist in these tests, whoever is on the machine.
inline Resolver fake_users() {
  static const std::map<std::string, uid_t> kUsers{
      {"root", 0}, {"mmbot", 1001}, {"treasury", 1002}, {"nobody", kOverflowUid}};
  static const std::map<std::string, gid_t> kGroups{{"desk", 2001}, {"nogroup", kOverflowGid}};
  Resolver resolver;
  resolver.user = [](const std::string& name) -> std::optional<uid_t> {
    const auto found = kUsers.find(name);
    return found == kUsers.end() ? std::nullopt : std::optional{found->second};
  };
  resolver.group = [](const std::string& name) -> std::optional<gid_t> {
    const auto found = kGroups.find(name);
    return found == kGroups.end() ? std::nullopt : std::optional{found->second};
  };
  return resolver;
}

inline Rules rules_of(std::string_view text) {
  Result<Rules> rules = Rules::parse(text, "policy.toml", fake_users());
  if (!rules) ADD_FAILURE() << rules.error().sentence();
  return rules ? *std::move(rules) : *Rules::parse("version = 1", "empty", fake_users());
}

inline venue::Payload payload_of(std::string_view json) {
  Result<venue::Payload> payload = venue::Payload::parse_request(json);
  if (!payload) ADD_FAILURE() << payload.error().sentence() << " in " << json;
  return payload ? *std::move(payload)
                 : *venue::Payload::parse_request(R"({"request":"/v1/heartbeat"})");
}

inline KeyFacts sandbox_trader() {
  return {.name = "sand.trade",
          .environment = Environment::sandbox,
          .scope = Scope::account,
          .roles = venue::kTrader,
          .state = VersionState::active};
}
inline KeyFacts production_trader() {
  KeyFacts key = sandbox_trader();
  key.name = "desk-a.trade";
  key.environment = Environment::production;
  return key;
}

inline constexpr std::string_view kOrder =
    R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"20000","side":"buy","type":"exchange limit"})";
inline constexpr std::string_view kCancel = R"({"request":"/v1/order/cancel","order_id":1})";
inline constexpr std::string_view kBalances = R"({"request":"/v1/balances"})";
inline constexpr std::string_view kWithdraw =
    R"({"request":"/v1/withdraw/btc","address":"bc1qx","amount":"1"})";

inline constexpr Who kMmBot{.uid = 1001, .gid = 1001};
inline constexpr Who kTreasury{.uid = 1002, .gid = 1002};

// A client with these rules and, beside it, one whose rules must never matter to it.
inline std::string with_clients(std::string_view rules) {
  return std::string{R"(version = 1
[[client]]
name = "mm-bot"
uid = "mmbot"
[[client]]
name = "treasury"
uid = "treasury"
[[rule]]
name = "treasury does everything"
client = "treasury"
key = "env:production"
allow = ["class:read", "class:trade", "class:move"]
)"}
      .append(rules);
}

}  // namespace hsm::policy
