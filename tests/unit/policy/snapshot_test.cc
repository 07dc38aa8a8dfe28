// The decision table of each shipped policy is committed beside this file, so that a change which
// loosens one shows in its diff. After a change that is meant: HSM_UPDATE_SNAPSHOTS=1
// tests/policy_test, and read the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "hsm_signer/policy/development.h"
#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

constexpr const char* kTable = "tests/unit/policy/development.decisions";
constexpr uid_t kDeveloper = 1000;

struct Column {
  std::string_view title;
  uid_t uid;
  KeyFacts key;
};

std::vector<Column> columns() {
  using venue::kAdministrator, venue::kAuditor, venue::kFundManager, venue::kTrader;
  constexpr auto kSand = Environment::sandbox;
  constexpr auto kActive = VersionState::active;
  const venue::Roles all = kTrader | kFundManager | kAdministrator;
  const KeyFacts master{"k", kSand, Scope::master, all, kActive};
  return {{"trader", kDeveloper, {"k", kSand, Scope::account, kTrader, kActive}},
          {"funds", kDeveloper, {"k", kSand, Scope::account, kFundManager, kActive}},
          {"auditor", kDeveloper, {"k", kSand, Scope::account, kAuditor, kActive}},
          {"master", kDeveloper, master},
          {"staged", kDeveloper, {"k", kSand, Scope::master, all, VersionState::staged}},
          {"production", kDeveloper, {"k", Environment::production, Scope::master, all, kActive}},
          {"stranger", kDeveloper + 1, master}};
}

std::string_view sample(venue::Type type) {
  switch (type) {
    case venue::Type::text:
      return "\"x\"";
    case venue::Type::integer:
    case venue::Type::any:
      return "1";
    case venue::Type::amount:
      return "\"1\"";
    case venue::Type::boolean:
      return "true";
    case venue::Type::texts:
      return "[]";
  }
  return "null";
}

std::string request_of(std::string_view path) {
  std::string out;
  for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{')) {
    out.append(path.substr(0, open)).append("btc");
    path.remove_prefix(path.find('}') + 1);
  }
  return out.append(path);
}

std::string json_of(const venue::Endpoint& endpoint, Scope scope) {
  std::string json = R"({"request":")" + request_of(endpoint.path) + "\"";
  if (scope == Scope::master) json.append(R"(,"account":"primary")");
  for (const venue::Member& member : endpoint.members) {
    if (member.required)
      json.append(",\"").append(member.name).append("\":").append(sample(member.type));
  }
  return json + "}";
}

std::string decision_table(const Rules& rules) {
  std::ostringstream out;
  out << "class     ";
  for (const Column& column : columns())
    out << ' ' << column.title << std::string(11 - column.title.size(), ' ');
  out << "endpoint\n";
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    out << venue::name(endpoint.cls) << std::string(10 - venue::name(endpoint.cls).size(), ' ');
    for (const Column& column : columns()) {
      const venue::Payload payload = payload_of(json_of(endpoint, column.key.scope));
      EXPECT_EQ(payload.endpoint().path, endpoint.path);
      const Decision decision =
          decide({rules}, Who{.uid = column.uid, .gid = 1}, &column.key, payload);
      std::string cell =
          decision.allowed() ? "allow " + std::string{name(decision.durability)} : "-";
      if (decision.code == Code::key_not_active) cell = "inactive";
      if (decision.code == Code::unauthorized) cell = "unknown";
      cell.resize(11, ' ');
      out << ' ' << cell;
    }
    out << (endpoint.method == venue::Method::get ? "GET " : "POST ") << endpoint.path << '\n';
  }
  return out.str();
}

TEST(PolicySnapshot, TheDevelopmentPolicyDecidesAsCommitted) {
  const std::string table = decision_table(rules_of(development_policy(kDeveloper)));
  if (std::getenv("HSM_UPDATE_SNAPSHOTS") != nullptr) std::ofstream{kTable} << table;
  std::ifstream file{kTable};
  ASSERT_TRUE(file) << "run from the top of the source tree; missing: " << kTable;
  std::stringstream committed;
  committed << file.rdbuf();
  EXPECT_EQ(table, committed.str()) << "see the top of snapshot_test.cc";
}

}  // namespace
}  // namespace hsm::policy
