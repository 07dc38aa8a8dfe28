// What a policy file says of limits, and how it is told that it cannot mean it.
#include <gmock/gmock.h>

#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// The limits begin at line 11, column 1.
Result<Rules> parse(std::string_view limits, std::string_view allow = "\"/v1/order/new\"") {
  return Rules::parse(R"(version = 1
[[client]]
name = "mm-bot"
uid = "mmbot"
[[rule]]
name = "limited"
client = "mm-bot"
key = "env:sandbox"

allow = [)" + std::string{allow} +
                          "]\n" + std::string{limits},
                      "policy.toml", fake_users());
}

struct Bad {
  std::string_view limits;
  std::string_view sentence;
};

TEST(PolicyLimitsFile, RefusesWhatIsOutOfFormWithItsPlace) {
  for (const Bad& bad : std::initializer_list<Bad>{
           {"symbols = []", "must not be empty"},
           {"symbols = \"btcusd\"", "must be an array of strings"},
           {"symbols = [\"BTCUSD\"]", "must be a symbol in lower case: BTCUSD"},
           {"symbols = [\"btc usd\"]", "must be a symbol in lower case"},
           {"symbols = [\"btcusd\", \"btcusd\"]", "named twice: btcusd"},
           {"sides = [\"BUY\"]", "must be buy or sell"},
           {"order_types = [\"market\"]", "must be exchange limit"},
           {"options = [\"maker\"]", "must be an option of an order"},
           {"max_amount = 2.5", "must be a table"},
           {"max_amount = {}", "must not be empty"},
           {"max_amount = { btcusd = 2.5 }", "must be a string"},
           {"max_amount = { btcusd = \"-1\" }", "must be a decimal"},
           {"max_amount = { btcusd = \"1e3\" }", "must be a decimal"},
           {"max_amount = { btcusd = \".5\" }", "must be a decimal"},
           {"max_amount = { btcusd = \"1.0000000000000000001\" }", "must be a decimal"},
           {"max_amount = { BTCUSD = \"1\" }", "in lower case"},
           {"price_band = \"5\"\nreference = { max_age = \"5s\" }", "such as \"5%\""},
           {"price_band = \"0%\"\nreference = { max_age = \"5s\" }", "such as \"5%\""},
           {"price_band = \"101%\"\nreference = { max_age = \"5s\" }", "such as \"5%\""},
           {"reference = { max_age = \"2h\" }", "too long: at most: 1h"},
           {"reference = { age = \"5s\" }", "missing key: max_age"},
           {"accounts = [\"pri\u00e4r\"]", "must be printable ASCII"},
           {"hours = \"9 to 5\"", "hours"},
           {"expires = \"tomorrow\"", "must be a time in UTC"},
           {"expires = 2026-12-31", "must be a string"},
           {"window = []", "must not be empty"},
           {"window = [ { max_count = 1 } ]", "missing key: per"},
           {"window = [ { per = \"1h\" } ]", "needs max_count, max_amount or max_notional"},
           {"window = [ { per = \"32d\", max_count = 1 } ]", "too long: at most: 31d"},
           {"window = [ { per = \"1.5h\", max_count = 1 } ]", "a length of time"},
           {"window = [ { per = \"0s\", max_count = 1 } ]", "a length of time"},
           {"window = [ { per = \"1h\", max_count = -1 } ]", "out of range"},
           {"window = [ { per = \"1h\", max_count = 1, by = \"desk\" } ]", "must be rule, client"},
           {"window = [ { per = \"1h\", max = 1 } ]", "unknown key"},
           {"rate = { per_second = 0 }", "out of range"},
           {"rate = \"5/s\"", "must be a table"},
           {"rate = { per_second = 5, every = \"1s\" }", "unknown key"},
           {"approvals = { group = \"officers\", need = 0, within = \"1h\" }", "out of range"},
           {"approvals = { group = \"officers\", need = 1 }", "missing key: within"},
           {"approvals = { group = \"officers\", need = 1, within = \"25h\" }", "at most: 1d"},
           {"approvals = { group = \"\", need = 1, within = \"1h\" }", "must be printable ASCII"},
           {"extra_members = []", "must not be empty"}})
    EXPECT_THAT(parse(bad.limits),
                ErrorIs(Code::usage,
                        AllOf(StartsWith("policy.toml:1"), HasSubstr(std::string{bad.sentence}))))
        << bad.limits;
}

TEST(PolicyLimitsFile, RefusesAddressesThatSayTooLittle) {
  for (const Bad& bad : std::initializer_list<Bad>{
           {"addresses = []", "must not be empty"},
           {"addresses = [ \"bc1q\" ]", "array of tables"},
           {"addresses = [ { ticker = \"btc\", address = \"x\" } ]", "missing key: network"},
           {"addresses = [ { network = \"bitcoin\", address = \"x\" } ]", "missing key: ticker"},
           {"addresses = [ { network = \"bitcoin\", ticker = \"btc\" } ]", "missing key: address"},
           {"addresses = [ { network = \"Bitcoin\", ticker = \"btc\", address = \"x\" } ]",
            "must be a network in lower case"},
           {"addresses = [ { network = \"bitcoin\", ticker = \"btc\", address = \"\" } ]",
            "must be printable ASCII"},
           {"addresses = [ { network = \"bitcoin\", ticker = \"btc\", address = \"x\", memo = \"\" "
            "} ]",
            "must be printable ASCII"},
           {"addresses = [ { network = \"b\", ticker = \"c\", address = \"x\" }, { network = "
            "\"b\", "
            "ticker = \"c\", address = \"x\" } ]",
            "named twice"},
           {"networks = { btc = \"bitcoin\" }", "means nothing without addresses"}})
    EXPECT_THAT(parse(bad.limits, "\"/v2/withdraw/{network}/{ticker}\""),
                ErrorIs(Code::usage, HasSubstr(std::string{bad.sentence})))
        << bad.limits;
}

TEST(PolicyLimitsFile, RefusesLimitsThatContradictEachOther) {
  for (const Bad& bad : std::initializer_list<Bad>{
           {"min_amount = { btcusd = \"2\" }\nmax_amount = { btcusd = \"1\" }",
            "\"min_amount\": is above the largest that the rule allows: btcusd"},
           {"min_price = { btcusd = \"2\" }\nmax_price = { btcusd = \"1\" }",
            "\"min_price\": is above the largest"},
           {"price_band = \"5%\"", "needs reference"},
           {"reference = { max_age = \"5s\" }", "means nothing without"},
           {"order_types = [\"exchange market\"]\nmin_price = { btcusd = \"1\" }",
            "a market order has no price to bound"},
           {"order_types = [\"exchange market\"]\nsides = [\"buy\"]\nmax_notional = { usd = \"1\" "
            "}",
            "a market order is worth what the reference says"}})
    EXPECT_THAT(parse(bad.limits), ErrorIs(Code::usage, HasSubstr(std::string{bad.sentence})))
        << bad.limits;
  EXPECT_THAT(parse("open_counterparty = true\ncounterparties = [\"A\"]", "\"/v1/clearing/new\""),
              ErrorIs(Code::usage, HasSubstr("exclude each other")));
}

TEST(PolicyLimitsFile, RefusesASellThatWouldCountAsNothing) {
  constexpr std::string_view kSentence = "a sell at a low price would count as little";
  for (std::string_view limits :
       {"max_notional = { usd = \"1\" }", "sides = [\"sell\"]\nmax_notional = { usd = \"1\" }",
        "max_notional = { usd = \"1\" }\nmin_price = { btcusd = \"1\" }",
        "window = [ { per = \"1h\", max_notional = { usd = \"1\" } } ]",
        "max_notional = { usd = \"1\" }\nmin_price = { btcusd = \"1\" }\n"
        "window = [ { per = \"1h\", max_count = 1 } ]",
        "max_notional = { usd = \"1\" }\nwindow = [ { per = \"1h\", max_amount = { btcusd = \"1\" "
        "} } ]"})
    EXPECT_THAT(parse(limits), ErrorIs(Code::usage, HasSubstr(std::string{kSentence}))) << limits;
  for (std::string_view limits :
       {"sides = [\"buy\"]\nmax_notional = { usd = \"1\" }",
        "max_notional = { usd = \"1\" }\nreference = { max_age = \"5s\" }",
        "max_notional = { usd = \"1\" }\nmin_price = { btcusd = \"1\" }\n"
        "window = [ { per = \"1h\", max_amount = { btcusd = \"1\" } } ]"})
    EXPECT_TRUE(parse(limits).has_value()) << limits << parse(limits).error().sentence();
  // What cannot sell needs no such thing.
  EXPECT_TRUE(parse("max_notional = { usd = \"1\" }", "\"/v2/withdraw/{network}/{ticker}\""));
}

TEST(PolicyLimitsFile, RefusesALimitThatANamedEndpointDoesNotSay) {
  EXPECT_THAT(
      parse("symbols = [\"btcusd\"]", "\"/v1/order/new\", \"/v2/withdraw/{network}/{ticker}\""),
      ErrorIs(Code::usage, HasSubstr("/v2/withdraw/{network}/{ticker} says no symbol")));
  EXPECT_THAT(parse("max_amount = { btcusd = \"1\" }", "\"/v1/prediction-markets/order/batch\""),
              ErrorIs(Code::usage, HasSubstr("says no amount")));
  EXPECT_THAT(parse("addresses = [ { network = \"b\", ticker = \"c\", address = \"x\" } ]"),
              ErrorIs(Code::usage, HasSubstr("/v1/order/new says no destination")));
  EXPECT_THAT(parse("symbols = [\"btcusd\"]", "\"class:read\", \"class:cancel\""),
              ErrorIs(Code::usage, HasSubstr("nothing that this rule allows says what it limits")));
}

TEST(PolicyLimitsFile, RefusesLimitsOfARuleThatOnlyDenies) {
  for (std::string_view limits : {"symbols = [\"btcusd\"]", "hours = \"Mon 07:00-08:00 UTC\"",
                                  "rate = { per_second = 1 }", "durability = \"os\""}) {
    const auto rules = Rules::parse(
        with_clients("[[rule]]\nname = \"no\"\nclient = \"mm-bot\"\nkey = \"env:sandbox\"\n"
                     "deny = [\"class:move\"]\n" +
                     std::string{limits}),
        "policy.toml", fake_users());
    EXPECT_THAT(rules, ErrorIs(Code::usage, HasSubstr("a rule that allows nothing has none")));
  }
}

TEST(PolicyLimitsFile, SerialAndMarkets) {
  const auto with_head = [](std::string_view head) {
    return Rules::parse("version = 1\n" + std::string{head}, "policy.toml", fake_users());
  };
  EXPECT_EQ(with_head("")->serial(), 0U);
  EXPECT_EQ(with_head("serial = 7")->serial(), 7U);
  EXPECT_THAT(with_head("serial = -1"), ErrorIs(Code::usage, HasSubstr("out of range")));
  EXPECT_THAT(with_head("serial = \"7\""), ErrorIs(Code::usage, HasSubstr("must be an integer")));
  EXPECT_EQ(with_head("")->markets().quote_of("stgusd"), "gusd");
  EXPECT_EQ(
      with_head("[[market]]\nsymbol = \"stgusd\"\nquote = \"usd\"")->markets().quote_of("stgusd"),
      "usd");
  EXPECT_THAT(with_head("[[market]]\nsymbol = \"STGUSD\"\nquote = \"usd\""),
              ErrorIs(Code::usage, HasSubstr("in lower case")));
  EXPECT_THAT(with_head("[[market]]\nsymbol = \"a\"\nquote = \"usd\"\n"
                        "[[market]]\nsymbol = \"a\"\nquote = \"eur\""),
              ErrorIs(Code::usage, HasSubstr("a second market")));
}

TEST(PolicyMarkets, ReadTheEndingOfASymbol) {
  const Markets markets;
  for (const auto& [symbol, quote] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{{"btcusd", "usd"},
                                                                            {"btcgusd", "gusd"},
                                                                            {"ethbtc", "btc"},
                                                                            {"btcgusdperp", "gusd"},
                                                                            {"btcusdt", "usdt"},
                                                                            {"xrprlusd", "rlusd"},
                                                                            {"usd", ""},
                                                                            {"perp", ""},
                                                                            {"", ""},
                                                                            {"btcxyz", ""}})
    EXPECT_EQ(markets.quote_of(symbol), quote) << symbol;
}

}  // namespace
}  // namespace hsm::policy
