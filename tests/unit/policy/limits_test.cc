// Every limit of a rule at its boundary: equal, one unit over, zero, negative, exponent, number and
// string. A row is a limit, what the request says, and what the refusal says; nothing: allowed.
#include "tests/unit/policy/limits_fixture.h"

namespace hsm::policy {
namespace {

using testing::HasSubstr;

TEST(PolicyLimits, Symbols) {
  constexpr std::string_view kLimits = R"(symbols = ["btcusd", "ethusd"])";
  expect_orders({{kLimits, R"("symbol":"btcusd")"},
                 {kLimits, R"("symbol":"BTCUSD")"},  // The exchange takes either case.
                 {kLimits, R"("symbol":"ethusd")"},
                 {kLimits, R"("symbol":"solusd")", "does not allow the symbol \"solusd\""},
                 {kLimits, R"("symbol":"btcusd ")", "does not allow the symbol"},
                 {kLimits, R"("symbol":"btcusdperp")", "does not allow the symbol"},
                 {kLimits, R"("symbol":"")", "does not allow the symbol \"\""}});
}

TEST(PolicyLimits, AnOrderWithoutASymbolIsNotOneOfTheSymbols) {
  expect({"", "", "does not allow the symbol"},
         judge("\"/v1/order/new\"", R"(symbols = ["btcusd"])",
               R"({"request":"/v1/order/new","amount":"1","price":"1","side":"buy"})", any_role()));
}

TEST(PolicyLimits, Sides) {
  constexpr std::string_view kBuys = R"(sides = ["buy"])";
  expect_orders({{kBuys, R"("side":"buy")"},
                 {kBuys, R"("side":"sell")", "does not allow the side \"sell\""},
                 {kBuys, R"("side":"BUY")", "does not allow the side \"BUY\""},
                 {kBuys, R"("side":"")", "does not allow the side"}});
}

TEST(PolicyLimits, OrderTypesAndOptions) {
  constexpr std::string_view kTypes = R"(order_types = ["exchange limit"])";
  constexpr std::string_view kOptions = R"(options = ["maker-or-cancel"])";
  expect_orders(
      {{kTypes, R"("type":"exchange limit")"},
       {kTypes, R"("type":"exchange market")", "does not allow the order type \"exchange market\""},
       {kTypes, R"("type":"exchange stop limit","stop_price":"1")",
        "does not allow the order type"},
       {kTypes, R"("type":"limit")", "does not allow the order type"},
       {kOptions, R"("options":["maker-or-cancel"])"},
       {kOptions, R"("options":[])"},
       {kOptions, ""},
       {kOptions, R"("options":["fill-or-kill"])", "does not allow the option \"fill-or-kill\""},
       {kOptions, R"("options":["maker-or-cancel","immediate-or-cancel"])",
        "does not allow the option \"immediate-or-cancel\""},
       {kOptions, R"("options":["MAKER-OR-CANCEL"])", "does not allow the option"},
       {kOptions, R"("options":[""])", "does not allow the option \"\""},
       {kOptions, R"("options":["maker-or-cancel\"","x"])", "does not allow the option"}});
}

TEST(PolicyLimits, AmountsAtTheirBoundaries) {
  constexpr std::string_view kMost = R"(max_amount = { btcusd = "2.5" })";
  constexpr std::string_view kLeast = R"(min_amount = { btcusd = "0.5" })";
  constexpr std::string_view kNone = R"(max_amount = { btcusd = "0" })";
  expect_orders({{kMost, R"("amount":"2.5")"},
                 {kMost, R"("amount":2.5)"},
                 {kMost, R"("amount":25e-1)"},
                 {kMost, R"("amount":"2.50000")"},
                 {kMost, R"("amount":"0")"},
                 {kMost, R"("amount":"2.500000000000000001")",
                  "allows btcusd at most 2.5 (max_amount), this is 2.500000000000000001"},
                 {kMost, R"("amount":2.500000000000000001)", "at most 2.5"},
                 {kMost, R"("amount":26e-1)", "at most 2.5"},
                 {kMost, R"("amount":"999999999999999999")", "at most 2.5"},
                 {kMost, R"("symbol":"ethusd")", "names no max_amount of \"ethusd\""},
                 {kLeast, R"("amount":"0.5")"},
                 {kLeast, R"("amount":"0.499999999999999999")", "at least 0.5"},
                 {kLeast, R"("amount":5e-2)", "at least 0.5"},
                 {kLeast, R"("amount":"0")", "at least 0.5"},
                 {kNone, R"("amount":"0")"},
                 {kNone, R"("amount":"0.000000000000000001")", "at most 0 "}});
}

TEST(PolicyLimits, NegativeAmountsNeverReachALimit) {
  for (std::string_view amount : {"\"-1\"", "-1", "\"+1\"", "1e100", "\"1e3\"", "\"\"", "null"})
    EXPECT_FALSE(venue::Payload::parse_request(order_with("\"amount\":" + std::string{amount})))
        << amount;
}

TEST(PolicyLimits, AnOrderWithoutAnAmountIsRefusedWhereAmountsAreLimited) {
  for (std::string_view limits :
       {R"(max_amount = { btcusd = "1" })", R"(min_amount = { btcusd = "0" })"})
    expect({limits, "", "limits the amount, and the request names none"},
           judge("\"/v1/order/new\"", limits,
                 R"({"request":"/v1/order/new","symbol":"btcusd","price":"1","side":"buy"})",
                 any_role()));
}

TEST(PolicyLimits, PricesAtTheirBoundaries) {
  constexpr std::string_view kLeast = R"(min_price = { btcusd = "20000" })";
  constexpr std::string_view kMost = R"(max_price = { btcusd = "20000" })";
  expect_orders({{kLeast, R"("price":"20000")"},
                 {kLeast, R"("price":2e4)"},
                 {kLeast, R"("price":"19999.999999999999999999")", "at least 20000 (min_price)"},
                 {kLeast, R"("price":"0.01","side":"sell")", "at least 20000"},
                 {kLeast, R"("price":"0")", "at least 20000"},
                 {kLeast, R"("symbol":"ethusd")", "names no min_price of \"ethusd\""},
                 {kLeast, R"("type":"exchange market")", "a market order has none"},
                 {kLeast, R"("type":"something new")", "of this order none is known"},
                 {kLeast, R"("type":"exchange stop limit","stop_price":"1","price":"19999")",
                  "at least 20000"},
                 {kMost, R"("price":"20000")"},
                 {kMost, R"("price":20000.0)"},
                 {kMost, R"("price":"20000.000000000000000001")", "at most 20000 (max_price)"},
                 {kMost, R"("price":21e3)", "at most 20000"},
                 {kMost, R"("type":"exchange market","price":"1")", "a market order has none"}});
}

References reference_of(std::string_view price, Clock::Wall at = {}) {
  References references;
  EXPECT_TRUE(references.push("btcusd", *Decimal::parse_plain(price), at,
                              {at, Clock::Steady{at.time_since_epoch()}}));
  return references;
}

TEST(PolicyLimits, APriceBandOnBothSidesOfTheReference) {
  constexpr std::string_view kBand = R"(price_band = "5%"
reference = { max_age = "10s" })";
  const References twenty = reference_of("20000");
  expect_orders({{kBand, R"("price":"21000")"},
                 {kBand, R"("price":"19000")"},
                 {kBand, R"("price":"21000.000000000000000001")",
                  "allows btcusd within 5% of the reference 20000"},
                 {kBand, R"("price":"18999.999999999999999999")", "within 5% of the reference"},
                 {kBand, R"("price":"0.01","side":"sell")", "within 5% of the reference"},
                 {kBand, R"("price":0)", "within 5% of the reference"},
                 {kBand, R"("type":"exchange market")", "a market order has none"},
                 {kBand, R"("symbol":"ethusd")", "needs a reference price of \"ethusd\""}},
                &twenty);
  // A share of a price that no decimal of ours could hold.
  const References odd = reference_of("0.000000000000000003");
  expect_orders({{kBand, R"("price":"0.000000000000000003")"},
                 {kBand, R"("price":"0.000000000000000004")", "within 5%"},
                 {kBand, R"("price":"0.000000000000000002")", "within 5%"}},
                &odd);
}

TEST(PolicyLimits, AReferenceThatIsTooOldIsNone) {
  using std::chrono::seconds;
  constexpr std::string_view kBand = R"(price_band = "5%"
reference = { max_age = "10s" })";
  const References twenty = reference_of("20000", Clock::Wall{seconds{1'000}});
  const auto judged = [&](Clock::Wall wall, Clock::Steady steady) {
    const Rules rules = rules_of(
        with_clients("[[rule]]\nname = \"limited\"\nclient = \"mm-bot\"\nkey = \"env:sandbox\"\n"
                     "allow = [\"/v1/order/new\"]\n" +
                     std::string{kBand}));
    const KeyFacts key = any_role();
    return decide({.rules = rules, .references = &twenty, .now = wall, .steady = steady}, kMmBot,
                  &key, payload_of(order_with("")))
        .allowed();
  };
  const Clock::Steady came{seconds{1'000}};
  EXPECT_TRUE(judged(Clock::Wall{seconds{1'010}}, came + seconds{10}));
  EXPECT_FALSE(
      judged(Clock::Wall{seconds{1'010}}, came + seconds{10} + std::chrono::nanoseconds{1}));
  EXPECT_FALSE(judged(Clock::Wall{seconds{1'011}}, came + seconds{10}));
  // A wall clock that was set back keeps no price alive.
  EXPECT_FALSE(judged(Clock::Wall{seconds{900}}, came + seconds{11}));
}

TEST(PolicyLimits, NotionalOfBuysAndSells) {
  constexpr std::string_view kMost = R"(max_notional = { usd = "20000" }
reference = { max_age = "10s" })";
  const References thirty = reference_of("30000");
  expect_orders(
      {{kMost, R"("price":"20000")"},
       {kMost, R"("amount":"0.5","price":"40000")"},
       {kMost, R"("price":"20000.000000000000000001")", "allows at most 20000 usd (max_notional)"},
       {kMost, R"("amount":1.000000000000000001,"price":2e4)", "this is 20000.00000000000002"},
       {kMost, R"("amount":"999999999999999999","price":"999999999999999999")", "beyond counting"},
       // Sold at 0.01 it would seem to be worth nothing.
       {kMost, R"("side":"sell","price":"0.01")",
        "at most 20000 usd (max_notional), this is 30000"},
       {kMost, R"("side":"sell","price":"0.01","amount":"0.5")"},
       {kMost, R"("side":"sell","price":"40000","amount":"0.5")"},
       {kMost, R"("side":"sell","price":"40001","amount":"0.5")", "this is 20000.5"},
       {kMost, R"("type":"exchange market","amount":"0.5")"},
       {kMost, R"("type":"exchange market","amount":"0.7","price":"0.01")", "this is 21000"},
       {kMost, R"("side":"Sell","price":"0.01")", "neither buy nor sell"},
       {kMost, R"("symbol":"btceur","price":"1")", "names no max_notional of \"eur\""},
       {kMost, R"("symbol":"btcxyz","price":"1")", "what \"btcxyz\" is paid in is not known"}},
      &thirty);
  expect_orders(
      {{kMost, R"("price":"20000")"},  // A buy pays no more than it says.
       {kMost, R"("side":"sell","price":"0.01")", "needs a reference price of \"btcusd\""},
       {kMost, R"("type":"exchange market")", "needs a reference price of \"btcusd\""}});
}

TEST(PolicyLimits, ASellWithoutAReferenceIsCountedWhereItsPriceAndAmountsAreBounded) {
  constexpr std::string_view kBounded = R"(max_notional = { usd = "20000" }
min_price = { btcusd = "10000" }
window = [ { per = "1h", max_amount = { btcusd = "5" } } ])";
  expect_orders({{kBounded, R"("side":"sell","price":"20000")"},
                 {kBounded, R"("side":"sell","price":"10000")"},
                 {kBounded, R"("side":"sell","price":"9999.99")", "at least 10000"},
                 {kBounded, R"("side":"sell","price":"20000.01")", "at most 20000 usd"}});
}

TEST(PolicyLimits, AddressesAreExactAndAMemoThatIsNotNamedMustBeAbsent) {
  constexpr std::string_view kTo = R"(addresses = [
  { network = "bitcoin", ticker = "btc", address = "bc1qdesk" },
  { network = "xrpl", ticker = "xrp", address = "rDesk", memo = "104242" } ])";
  const auto judged = [&](std::string_view limits, std::string_view request,
                          std::string_view members) {
    return judge(
        R"("/v2/withdraw/{network}/{ticker}", "/v1/withdraw/{currency}", "/v1/withdraw/usd")",
        limits,
        R"({"request":")" + std::string{request} + R"(","amount":"1",)" + std::string{members} +
            "}",
        any_role());
  };
  const std::string mapped = std::string{kTo} + "\nnetworks = { btc = \"bitcoin\" }";
  struct Withdrawal {
    std::string_view limits, request, members, refusal{};
  };
  for (const Withdrawal& row : std::initializer_list<Withdrawal>{
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"bc1qdesk")"},
           {kTo, "/v2/withdraw/bitcoin/BTC", R"("address":"bc1qdesk")"},
           {kTo, "/v2/withdraw/xrpl/xrp", R"("address":"rDesk","memo":"104242")"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"bc1qthief")", "that address"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"BC1QDESK")", "that address"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"bc1qdesk ")", "that address"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"rDesk")", "that address"},
           {kTo, "/v2/withdraw/ethereum/btc", R"("address":"bc1qdesk")", "that address"},
           {kTo, "/v2/withdraw/bitcoin/eth", R"("address":"bc1qdesk")", "that address"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"bc1qdesk","memo":"1")",
            "with that memo"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("address":"bc1qdesk","memo":"")", "with that memo"},
           {kTo, "/v2/withdraw/xrpl/xrp", R"("address":"rDesk")", "without a memo"},
           {kTo, "/v2/withdraw/xrpl/xrp", R"("address":"rDesk","memo":"104243")", "with that memo"},
           {kTo, "/v2/withdraw/bitcoin/btc", R"("clientTransferId":"x")", "names none"},
           {kTo, "/v1/withdraw/btc", R"("address":"bc1qdesk")", "does not say which network"},
           {mapped, "/v1/withdraw/btc", R"("address":"bc1qdesk")"},
           {mapped, "/v1/withdraw/BTC", R"("address":"bc1qdesk")"},
           {mapped, "/v1/withdraw/btc", R"("address":"bc1qthief")", "that address"},
           {mapped, "/v1/withdraw/xrp", R"("address":"rDesk","memo":"104242")",
            "does not say which network"},
           {mapped, "/v1/withdraw/usd", R"("accountId":"x")", "or a bank account"}})
    expect({row.limits, row.members, row.refusal}, judged(row.limits, row.request, row.members));
}

TEST(PolicyLimits, AmountsOfTransfersCountTheirCurrency) {
  constexpr std::string_view kMost = R"(max_amount = { btc = "2" })";
  const auto judged = [&](std::string_view request, std::string_view members) {
    return judge(
        R"("/v2/withdraw/{network}/{ticker}", "/v1/withdraw/{currency}", "/v1/staking/stake")",
        kMost, R"({"request":")" + std::string{request} + "\"," + std::string{members} + "}",
        any_role());
  };
  expect({}, judged("/v2/withdraw/bitcoin/btc", R"("address":"a","amount":"2")"));
  expect({}, judged("/v1/withdraw/BTC", R"("address":"a","amount":2)"));
  expect({"", "", "at most 2"}, judged("/v1/withdraw/BTC", R"("address":"a","amount":2.1)"));
  expect({"", "", "names no max_amount of \"eth\""},
         judged("/v1/withdraw/eth", R"("address":"a","amount":"0.1")"));
  expect({}, judged("/v1/staking/stake", R"("currency":"BTC","providerId":"p","amount":"2")"));
  expect({"", "", "at most 2"},
         judged("/v1/staking/stake", R"("currency":"btc","providerId":"p","amount":"3")"));
  expect({"", "", "limits the amount"}, judged("/v2/withdraw/bitcoin/btc", R"("address":"a")"));
}

TEST(PolicyLimits, AccountsOfTheMemberAndOfBothEndsOfATransfer) {
  constexpr std::string_view kOnly = R"(accounts = ["primary", "cold"])";
  KeyFacts master = any_role();
  master.scope = Scope::master;
  const auto judged = [&](std::string_view members, const KeyFacts& key) {
    return judge(R"("class:read", "class:cancel", "class:trade", "class:move")",
                 std::string{kOnly} + "\nopen_counterparty = true", members, key);
  };
  const std::string transfer =
      R"({"request":"/v1/account/transfer/btc","amount":"1","sourceAccount":)";
  expect({}, judged(order_with(R"("account":"primary")"), master));
  expect({"", "", "that account"}, judged(order_with(R"("account":"other")"), master));
  expect({}, judged(transfer + R"("primary","targetAccount":"cold"})", master));
  expect({"", "", "that targetAccount"},
         judged(transfer + R"("primary","targetAccount":"thief"})", master));
  expect({"", "", "that sourceAccount"},
         judged(transfer + R"("other","targetAccount":"cold"})", master));
  for (const auto& [members, absent] :
       {std::pair{R"("sourceAccount":"primary")", "no targetAccount"},
        std::pair{R"("targetAccount":"primary")", "no sourceAccount"},
        std::pair{R"("account":"primary")", "no sourceAccount"}})
    expect({"", members, absent}, judged(R"({"request":"/v1/account/transfer/btc","amount":"1",)" +
                                             std::string{members} + "}",
                                         master));
  expect({"", "", "that account"},
         judged(R"({"request":"/v1/balances","account":"other"})", master));
  expect({"", "", "that account"}, judged(R"({"request":"/v1/balances","account":7})", any_role()));
  expect({}, judged(R"({"request":"/v1/balances"})", any_role()));
}

TEST(PolicyLimits, AMasterKeyHasToNameItsAccount) {
  KeyFacts master = any_role();
  master.scope = Scope::master;
  for (std::string_view json :
       {R"({"request":"/v1/balances"})", R"({"request":"/v1/balances","account":""})",
        R"({"request":"/v1/balances","account":1})", R"({"request":"/v1/order/cancel/all"})"}) {
    const Decision decision = judge(R"("class:read", "class:cancel")", "", json, master);
    EXPECT_EQ(decision.code, Code::denied);
    EXPECT_FALSE(decision.allowed());
    EXPECT_THAT(decision.sentence, HasSubstr("needs the member \"account\"")) << json;
  }
  EXPECT_TRUE(judge("\"class:read\"", "", R"({"request":"/v1/roles"})", master).allowed());
}

TEST(PolicyLimits, CounterpartiesOfClearingOrders) {
  constexpr std::string_view kAllow =
      R"("/v1/clearing/new", "/v1/clearing/broker/new", "/v1/clearing/confirm")";
  constexpr std::string_view kNamed = R"(counterparties = ["DESK-B", "DESK-C"])";
  const std::string clearing =
      R"({"request":"/v1/clearing/new","symbol":"btcusd","amount":"1","price":"1","side":"buy")";
  const std::string broker =
      R"({"request":"/v1/clearing/broker/new","symbol":"btcusd","amount":"1","price":"1","side":"buy","expires_in_hrs":1)";
  const std::string confirm =
      R"({"request":"/v1/clearing/confirm","clearing_id":"x","symbol":"btcusd","amount":"1","price":"1","side":"buy"})";
  struct Clearing {
    std::string_view limits;
    std::string json;
    std::string_view refusal{};
  };
  for (const Clearing& row : std::initializer_list<Clearing>{
           {kNamed, clearing + R"(,"counterparty_id":"DESK-B"})"},
           {kNamed, clearing + R"(,"counterparty_id":"desk-b"})", "that counterparty_id"},
           {kNamed, clearing + R"(,"counterparty_id":""})", "that counterparty_id"},
           {kNamed, clearing + "}", "names no counterparty"},
           {kNamed, confirm, "names no counterparty"},
           {kNamed,
            broker + R"(,"source_counterparty_id":"DESK-B","target_counterparty_id":"DESK-C"})"},
           {kNamed, broker + R"(,"source_counterparty_id":"DESK-B","target_counterparty_id":"X"})",
            "that target_counterparty_id"},
           {kNamed, broker + R"(,"source_counterparty_id":"X","target_counterparty_id":"DESK-C"})",
            "that source_counterparty_id"},
           {"", clearing + R"(,"counterparty_id":"ANY"})"},
           {"", clearing + "}", "names no counterparty"},
           {"open_counterparty = true", clearing + "}"},
           {"open_counterparty = true", confirm}})
    expect({row.limits, row.json, row.refusal}, judge(kAllow, row.limits, row.json, any_role()));
}

TEST(PolicyLimits, ExtraMembersAreThoseNamedAndNoOthers) {
  constexpr std::string_view kExtra = R"(extra_members = ["tag", "note"])";
  expect_orders({{kExtra, R"("tag":"x")"},
                 {kExtra, R"("tag":"x","note":{"a":1})"},
                 {kExtra, R"("tag":"x","other":1)", "does not allow the member \"other\""},
                 {"", R"("tag":"x")", "does not allow the member \"tag\""}});
}

TEST(PolicyLimits, ExpiresToTheInstant) {
  constexpr std::string_view kEnd = R"(expires = "2026-12-31T23:59:59Z")";
  const Clock::Wall end = *parse_rfc3339("2026-12-31T23:59:59.000000Z");
  expect_orders({{kEnd, ""}}, nullptr, end - std::chrono::nanoseconds{1});
  expect_orders({{kEnd, "", "expired 2026-12-31T23:59:59.000000Z"}}, nullptr, end);
}

TEST(PolicyLimits, HoursHoldBackAllButCancels) {
  constexpr std::string_view kOffice = R"(hours = "Mon-Fri 07:00-22:00 America/New_York")";
  constexpr std::string_view kAllow =
      R"("class:read", "class:cancel", "/v1/order/new", "/v1/heartbeat")";
  const Clock::Wall sunday = *parse_rfc3339("2026-11-29T15:00:00.000000Z");
  const Clock::Wall monday = sunday + std::chrono::days{1};
  for (const std::string& json :
       {order_with(""), std::string{kBalances}, std::string{R"({"request":"/v1/heartbeat"})"}}) {
    expect({}, judge(kAllow, kOffice, json, any_role(), monday));
    expect({"", json, "allows this only Mon-Fri 07:00-22:00 America/New_York"},
           judge(kAllow, kOffice, json, any_role(), sunday));
  }
  expect({}, judge(kAllow, kOffice, kCancel, any_role(), sunday));
}

TEST(PolicyLimits, ApprovalsComeLastAndOnlyForWhatCommits) {
  constexpr std::string_view kTwo = R"(approvals = { group = "officers", need = 2, within = "15m" }
max_amount = { btcusd = "1" })";
  const Decision asks =
      judge("\"class:read\", \"/v1/order/new\"", kTwo, order_with(""), any_role());
  EXPECT_EQ(asks.code, Code::approval_required);
  EXPECT_THAT(asks.sentence, HasSubstr("needs 2 approvals of the group \"officers\""));
  ASSERT_NE(asks.granted, nullptr);
  EXPECT_EQ(asks.granted->conditions.approvals->need, 2U);
  const Decision over =
      judge("\"class:read\", \"/v1/order/new\"", kTwo, order_with(R"("amount":"2")"), any_role());
  EXPECT_EQ(over.code, Code::denied);
  EXPECT_TRUE(judge("\"class:read\", \"/v1/order/new\"", kTwo, kBalances, any_role()).allowed());
}

TEST(PolicyLimits, WhatAClassHoldsButDoesNotSayTheLimitIsRefused) {
  constexpr std::string_view kLimits = R"(max_amount = { btcusd = "1" }
symbols = ["btcusd"])";
  expect({"", "", "limits the symbol, which /v1/prediction-markets/order/batch does not say"},
         judge("\"class:trade\"", kLimits,
               R"({"request":"/v1/prediction-markets/order/batch","orders":[]})", any_role()));
}

}  // namespace
}  // namespace hsm::policy
