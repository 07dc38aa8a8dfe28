// Each check: a policy that it speaks of, and the nearest ones that it has nothing to say of.
#include "hsm_signer/policy_tools/lint.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "hsm_signer/policy_tools/users.h"
#include "tests/support/error_is.h"

namespace hsm::policy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Clock::Wall now() { return *parse_rfc3339("2026-03-02T15:00:00.000000Z"); }

std::vector<LintFinding> lint_of(const std::string& rules) {
  const std::string text = R"(version = 1
[[client]]
name = "bot"
uid = "1001"
[[client]]
name = "other"
uid = "1002"
[[client]]
name = "feed"
uid = "1003"
push_reference = true
)" + rules;
  const Result<Rules> read = Rules::parse(text, "policy.toml", any_users());
  if (!read) {
    ADD_FAILURE() << read.error().sentence() << "\n" << rules;
    return {};
  }
  return lint(*read, now());
}

std::string rule(const std::string& name, const std::string& rest,
                 const std::string& client = "bot", const std::string& key = "desk") {
  return "[[rule]]\nname = \"" + name + "\"\nclient = \"" + client + "\"\nkey = \"" + key + "\"\n" +
         rest + "\n";
}

const std::string kBounds = R"(
max_amount = { btcusd = "1" }
min_price = { btcusd = "1" }
)";
const std::string kOrders = "allow = [\"/v1/order/new\"]\n";
const std::string kOfficers = "approvals = { group = \"officers\", need = 2, within = \"15m\" }\n";
const std::string kWithdraw = "allow = [\"/v2/withdraw/{network}/{ticker}\"]\n" + kOfficers;
const std::string kTo = R"(addresses = [ { network = "bitcoin", ticker = "btc", address = "a" } ]
)";
const std::string kKeyWindow =
    R"(window = [ { per = "1h", by = "key", max_amount = { btcusd = "1" } } ]
)";
const std::string kClientWindow =
    R"(window = [ { per = "1h", by = "client", max_amount = { btcusd = "1" } } ]
)";

struct Row {
  const char* check;
  bool speaks;
  const char* why;
  std::string rules;
};

std::vector<Row> trades() {
  return {
      {"trade-without-amount", true, "no limit", rule("r", kOrders)},
      {"trade-without-amount", true, "of a class", rule("r", "allow = [\"class:trade\"]")},
      {"trade-without-amount", true, "of all production",
       rule("r", kOrders, "bot", "env:production")},
      {"trade-without-amount", true, "counts only", rule("r", kOrders + R"(
window = [ { per = "1h", max_count = 5 } ])")},
      {"trade-without-amount", false, "of the sandbox", rule("r", kOrders, "bot", "env:sandbox")},
      {"trade-without-amount", false, "max_amount", rule("r", kOrders + kBounds)},
      {"trade-without-amount", false, "a window", rule("r", kOrders + kKeyWindow)},
      {"trade-without-amount", false, "notional",
       rule("r", kOrders + "max_notional = { usd = \"1\" }\nsides = [\"buy\"]")},
      {"trade-without-amount", false, "officers", rule("r", kOrders + kOfficers)},
      {"trade-without-amount", false, "reads", rule("r", "allow = [\"class:read\"]")},
      {"trade-without-amount", false, "denied",
       rule("r", kOrders) + rule("d", "deny = [\"class:trade\"]")},
      {"trade-without-amount", false, "denied for all production",
       rule("r", kOrders) + rule("d", "deny = [\"class:trade\"]", "bot", "env:production")},
      {"trade-without-amount", true, "denied for the sandbox",
       rule("r", kOrders) + rule("d", "deny = [\"class:trade\"]", "bot", "env:sandbox")},
      {"trade-without-amount", true, "denied to another client",
       rule("r", kOrders) + rule("d", "deny = [\"class:trade\"]", "other")},

      {"trade-without-price", true, "amounts alone",
       rule("r", kOrders + "max_amount = { btcusd = \"1\" }")},
      {"trade-without-price", true, "clearing",
       rule("r", "allow = [\"/v1/clearing/new\"]\nmax_amount = { btcusd = \"1\" }")},
      {"trade-without-price", false, "min_price", rule("r", kOrders + kBounds)},
      {"trade-without-price", false, "a band",
       rule("r", kOrders + "price_band = \"5%\"\nreference = { max_age = \"10s\" }")},
      {"trade-without-price", false, "notional",
       rule("r", kOrders + "max_notional = { usd = \"1\" }\nsides = [\"buy\"]")},
      {"trade-without-price", false, "market orders alone",
       rule("r", kOrders + "order_types = [\"exchange market\"]\nmax_amount = { btcusd = \"1\" }")},
      {"trade-without-price", false, "officers", rule("r", kOrders + kOfficers)},
      {"trade-without-price", false, "of the sandbox", rule("r", kOrders, "bot", "env:sandbox")},

      {"sell-without-floor", true, "max_price alone",
       rule("r", kOrders + "max_price = { btcusd = \"1\" }")},
      {"sell-without-floor", false, "min_price", rule("r", kOrders + kBounds)},
      {"sell-without-floor", false, "a band",
       rule("r", kOrders + "price_band = \"5%\"\nreference = { max_age = \"10s\" }")},
      {"sell-without-floor", false, "buys alone",
       rule("r", kOrders + "sides = [\"buy\"]\nmax_price = { btcusd = \"1\" }")},
  };
}

std::vector<Row> moves() {
  return {
      {"withdrawal-without-addresses", true, "v2", rule("r", kWithdraw)},
      {"withdrawal-without-addresses", true, "v1",
       rule("r", "allow = [\"/v1/withdraw/{currency}\"]\n" + kOfficers)},
      {"withdrawal-without-addresses", true, "of a class",
       rule("r", "allow = [\"class:move\"]\n" + kOfficers)},
      {"withdrawal-without-addresses", false, "addresses", rule("r", kWithdraw + kTo)},
      {"withdrawal-without-addresses", false, "of the sandbox",
       rule("r", "allow = [\"class:move\"]", "bot", "env:sandbox")},
      {"withdrawal-without-addresses", false, "a fee estimate",
       rule("r", "allow = [\"/v2/withdraw/{network}/{ticker}/feeEstimate\"]")},

      {"move-without-approvals", true, "a withdrawal",
       rule("r", "allow = [\"/v2/withdraw/{network}/{ticker}\"]\n" + kTo)},
      {"move-without-approvals", true, "an address",
       rule("r", "allow = [\"/v1/approvedAddresses/{network}/request\"]")},
      {"move-without-approvals", true, "an account", rule("r", "allow = [\"class:admin\"]")},
      {"move-without-approvals", false, "officers", rule("r", kWithdraw + kTo)},
      {"move-without-approvals", false, "an order", rule("r", kOrders + kBounds)},
      {"move-without-approvals", false, "of the sandbox",
       rule("r", "allow = [\"class:move\"]", "bot", "env:sandbox")},

      {"judges-itself", true, "the feed trades",
       rule("r", kOrders + "price_band = \"5%\"\nreference = { max_age = \"10s\" }", "feed")},
      {"judges-itself", false, "the feed trades without references",
       rule("r", kOrders + kBounds, "feed")},
      {"judges-itself", false, "another trades",
       rule("r", kOrders + "price_band = \"5%\"\nreference = { max_age = \"10s\" }")},

      {"open-counterparty", true, "open",
       rule("r", "allow = [\"/v1/clearing/new\"]\nopen_counterparty = true\n" + kOfficers)},
      {"open-counterparty", false, "named",
       rule("r", "allow = [\"/v1/clearing/new\"]\ncounterparties = [\"A\"]\n" + kOfficers)},
      {"open-counterparty", false, "all that are named",
       rule("r", "allow = [\"/v1/clearing/new\"]\n" + kOfficers)},
  };
}

std::vector<Row> together() {
  return {
      {"shadowed-by-deny", true, "the same endpoint",
       rule("r", kOrders) + rule("d", "deny = [\"/v1/order/new\"]")},
      {"shadowed-by-deny", true, "by two denies",
       rule("r", "allow = [\"class:cancel\", \"/v1/heartbeat\"]") +
           rule("c", "deny = [\"class:cancel\"]") + rule("s", "deny = [\"class:session\"]")},
      {"shadowed-by-deny", false, "not all",
       rule("r", "allow = [\"class:read\", \"/v1/heartbeat\"]") +
           rule("s", "deny = [\"class:session\"]")},
      {"shadowed-by-deny", false, "of another client",
       rule("r", kOrders) + rule("d", "deny = [\"/v1/order/new\"]", "other")},
      {"shadowed-by-deny", false, "of another key",
       rule("r", kOrders) + rule("d", "deny = [\"/v1/order/new\"]", "bot", "desk-b")},
      {"shadowed-by-deny", false, "of production, where the key may be of the sandbox",
       rule("r", kOrders) + rule("d", "deny = [\"/v1/order/new\"]", "bot", "env:production")},
      {"shadowed-by-deny", false, "a rule that only denies", rule("d", "deny = [\"class:read\"]")},

      {"window-evaded", true, "another client of that key",
       rule("a", kOrders + kKeyWindow) + rule("b", kOrders + kBounds, "other")},
      {"window-evaded", true, "a window of another length",
       rule("a", kOrders + kKeyWindow) +
           rule("b", kOrders + R"(window = [ { per = "2h", by = "key", max_count = 5 } ])",
                "other")},
      {"window-evaded", true, "the same client",
       rule("a", kOrders + kClientWindow) + rule("b", kOrders + kBounds)},
      {"window-evaded", false, "both have it",
       rule("a", kOrders + kKeyWindow) + rule("b", kOrders + kBounds + kKeyWindow, "other")},
      {"window-evaded", false, "another key",
       rule("a", kOrders + kKeyWindow) + rule("b", kOrders + kBounds, "other", "desk-b")},
      {"window-evaded", false, "another client, counted by client",
       rule("a", kOrders + kClientWindow) + rule("b", kOrders + kBounds, "other")},
      {"window-evaded", false, "another endpoint",
       rule("a", kOrders + kKeyWindow) + rule("b", kWithdraw + kTo, "other")},
      {"window-evaded", false, "reads",
       rule("a", kOrders + kKeyWindow) + rule("b", "allow = [\"class:read\"]", "other")},
      {"window-evaded", false, "a deny",
       rule("a", kOrders + kKeyWindow) + rule("b", "deny = [\"/v1/order/new\"]", "other")},
      {"window-evaded", false, "counted by rule",
       rule("a", kOrders + R"(window = [ { per = "1h", max_count = 5 } ])") +
           rule("b", kOrders + kBounds, "other")},

      {"limits-mean-nothing", true, "a wider one behind",
       rule("a", kOrders + kBounds) + rule("b", "allow = [\"class:trade\"]")},
      {"limits-mean-nothing", true, "a wider one before",
       rule("b", "allow = [\"class:trade\"]") + rule("a", kOrders + kBounds)},
      {"limits-mean-nothing", false, "both limit",
       rule("a", kOrders + kBounds) + rule("b", kOrders + "symbols = [\"ethusd\"]")},
      {"limits-mean-nothing", false, "another endpoint",
       rule("a", kOrders + kBounds) + rule("b", "allow = [\"/v1/wrap/{symbol}\"]")},
      {"limits-mean-nothing", false, "reads",
       rule("a", "allow = [\"class:read\", \"/v1/order/new\"]\n" + kBounds) +
           rule("b", "allow = [\"class:read\"]")},
      {"limits-mean-nothing", false, "another client",
       rule("a", kOrders + kBounds) + rule("b", kOrders, "other")},
      {"limits-mean-nothing", false, "another key",
       rule("a", kOrders + kBounds) + rule("b", kOrders, "bot", "desk-b")},

      {"expired", true, "at that instant",
       rule("r", "allow = [\"class:read\"]\nexpires = \"2026-03-02T15:00:00Z\"")},
      {"expired", false, "a second later",
       rule("r", "allow = [\"class:read\"]\nexpires = \"2026-03-02T15:00:01Z\"")},

      {"refused-in-part", true, "a batch has no symbol",
       rule("r", "allow = [\"class:trade\"]\n" + kBounds)},
      {"refused-in-part", false, "no limits", rule("r", "allow = [\"class:trade\"]")},
      {"refused-in-part", false, "named", rule("r", kOrders + kBounds)},
  };
}

void expect(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto named = Contains(Field(&LintFinding::check, row.check));
    if (row.speaks)
      EXPECT_THAT(lint_of(row.rules), named) << row.check << ": " << row.why;
    else
      EXPECT_THAT(lint_of(row.rules), Not(named)) << row.check << ": " << row.why;
  }
}

TEST(PolicyLint, SpeaksOfTradesWithoutLimits) { expect(trades()); }
TEST(PolicyLint, SpeaksOfWhatLetsMoneyLeave) { expect(moves()); }
TEST(PolicyLint, SpeaksOfRulesThatUndoEachOther) { expect(together()); }

TEST(PolicyLint, SaysWhereAndOfWhichEndpoints) {
  const auto findings = lint_of(rule("all", "allow = [\"class:trade\"]", "bot", "env:production"));
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].check, "trade-without-amount");
  EXPECT_EQ(findings[0].where, "policy.toml:12:1");
  EXPECT_EQ(findings[0].rule, "all");
  EXPECT_EQ(name(findings[0].weight), "warning");
  EXPECT_THAT(findings[0].sentence, HasSubstr("/v1/order/new, /v1/wrap/{symbol} and 2 more"));
}

TEST(PolicyLint, NotesWithoutWarning) {
  const auto findings = lint_of(rule("r", "allow = [\"class:trade\"]\n" + kBounds));
  EXPECT_THAT(findings, ElementsAre(Field(&LintFinding::weight, Weight::note)));
}

TEST(PolicyLint, HasNothingToSayOfAnEmptyPolicy) { EXPECT_THAT(lint_of(""), IsEmpty()); }

}  // namespace
}  // namespace hsm::policy
