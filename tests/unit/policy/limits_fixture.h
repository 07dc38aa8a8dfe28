// A rule with limits, and requests that it judges.
#pragma once

#include <gmock/gmock.h>

#include <vector>

#include "tests/unit/policy/fixture.h"

namespace hsm::policy {

struct LimitRow {
  std::string_view limits;
  std::string_view members;
  std::string_view refusal{};  // Empty: allowed.
};

inline Decision judge(std::string_view allow, std::string_view limits, std::string_view json,
                      const KeyFacts& key, Clock::Wall now = {},
                      const References* references = nullptr) {
  static std::vector<Rules> kept;  // A decision names rules by address.
  kept.push_back(
      rules_of(with_clients("[[rule]]\nname = \"limited\"\nclient = \"mm-bot\"\n"
                            "key = \"env:sandbox\"\nallow = [" +
                            std::string{allow} + "]\n" + std::string{limits})));
  return decide({.rules = kept.back(), .references = references, .now = now}, kMmBot, &key,
                payload_of(json));
}

inline KeyFacts any_role() {
  KeyFacts key = sandbox_trader();
  key.roles = venue::kTrader | venue::kFundManager;
  return key;
}

inline void expect(const LimitRow& row, const Decision& decision) {
  if (row.refusal.empty()) {
    EXPECT_TRUE(decision.allowed()) << row.limits << row.members << ": " << decision.sentence;
    return;
  }
  EXPECT_FALSE(decision.allowed()) << row.limits << row.members;
  EXPECT_EQ(decision.rule, "limited") << row.limits << row.members;
  EXPECT_THAT(decision.sentence, testing::HasSubstr(std::string{row.refusal})) << row.members;
}

// An order of 1 btcusd at 20,000 to buy but for what the row says in its place.
inline std::string order_with(std::string_view members) {
  std::string json = R"({"request":"/v1/order/new")";
  for (const auto& [name, usual] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"symbol", "\"btcusd\""},
           {"amount", "\"1\""},
           {"price", "\"20000\""},
           {"side", "\"buy\""},
           {"type", "\"exchange limit\""}}) {
    const std::string quoted = "\"" + std::string{name} + "\":";
    if (members.find(quoted) == std::string_view::npos)
      json.append(",").append(quoted).append(usual);
  }
  if (!members.empty()) json.append(",").append(members);
  return json + "}";
}

inline void expect_orders(std::initializer_list<LimitRow> rows,
                          const References* references = nullptr, Clock::Wall now = {}) {
  for (const LimitRow& row : rows)
    expect(row, judge("\"/v1/order/new\"", row.limits, order_with(row.members), any_role(), now,
                      references));
}

}  // namespace hsm::policy
