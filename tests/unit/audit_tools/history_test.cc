#include "hsm_signer/audit_tools/history.h"

#include "hsm_signer/audit_tools/json_array.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit_tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// As docs.gemini.com shows them, shortened.
constexpr std::string_view kOrder =
    R"({"order_id":"44375901","id":"44375901","symbol":"BTCUSD","exchange":"gemini",
        "avg_execution_price":"400.00","side":"buy","type":"exchange limit","timestamp":"1494870642",
        "timestampms":1494870642156,"is_live":false,"is_cancelled":false,"is_hidden":false,
        "was_forced":false,"executed_amount":"3","remaining_amount":"0","client_order_id":"mine-1",
        "options":[],"price":"400.00","original_amount":"3.0",
        "trades":[{"price":"400.00","amount":"3","tid":17,"fee_currency":"USD"}]})";
constexpr std::string_view kTrade =
    R"({"price":"3648.09","amount":"0.0027343246","timestamp":1547232911,
        "timestampms":1547232911021,"type":"Buy","aggressor":true,"fee_currency":"USD",
        "fee_amount":"0.024937","tid":107317526,"order_id":"107317524","exchange":"gemini",
        "is_auction_fill":false,"symbol":"BTCUSD"})";
constexpr std::string_view kTransfer =
    R"({"type":"Withdrawal","status":"Complete","timestampms":1535451930431,"eid":341167014,
        "currency":"GUSD","amount":"1.00","txHash":"7bffd858",
        "destination":"0xd24400ae8BfEBb18cA49Be86258a3C749cf46853"})";

class History : public ::testing::Test {
 protected:
  std::string file(std::string_view text) const {
    audit::spit(dir_ / "history.json", text);
    return dir_ / "history.json";
  }
  Result<std::vector<Item>> read(std::string_view text, Event event) const {
    std::vector<Item> items;
    TRY_VOID(read_history(file(text), event, items));
    return items;
  }
  static std::string array(std::string_view object) { return "[" + std::string{object} + "]"; }
  static std::string with(std::string_view object, const std::string& from, const std::string& to) {
    std::string text{object};
    return array(text.replace(text.find(from), from.size(), to));
  }

  const TempDir dir_;
};

TEST_F(History, ReadsOrders) {
  const auto items = read(array(kOrder), Event::order);
  ASSERT_THAT(items, Succeeds());
  ASSERT_EQ(items->size(), 1U);
  const Item& item = items->front();
  EXPECT_EQ(item.id, "44375901");
  EXPECT_EQ(item.client_id, "mine-1");
  EXPECT_EQ(item.asset, "btcusd");
  EXPECT_EQ(item.side, "buy");
  EXPECT_EQ(item.amount.text(), "3");
  EXPECT_EQ(item.price->text(), "400");
  EXPECT_EQ(rfc3339(item.time), "2017-05-15T17:50:42.156000Z");
}

TEST_F(History, ReadsNoPriceOfAnOrderAtTheMarketsPrice) {
  const auto items = read(with(kOrder, "exchange limit", "market buy"), Event::order);
  ASSERT_THAT(items, Succeeds());
  EXPECT_FALSE(items->front().price.has_value());
}

TEST_F(History, ReadsTradesAndTransfers) {
  const auto trades = read(array(kTrade), Event::trade);
  ASSERT_THAT(trades, Succeeds());
  EXPECT_EQ(trades->front().order_id, "107317524");
  EXPECT_EQ(trades->front().id, "107317526");
  EXPECT_EQ(trades->front().side, "buy");
  const auto transfers = read(array(kTransfer), Event::transfer);
  ASSERT_THAT(transfers, Succeeds());
  EXPECT_EQ(transfers->front().id, "341167014");
  EXPECT_EQ(transfers->front().asset, "usd");
  EXPECT_EQ(transfers->front().side, "withdrawal");
  EXPECT_EQ(transfers->front().address, "0xd24400ae8bfebb18ca49be86258a3c749cf46853");
}

// Of two accounts of one owner each shows its side, perhaps under one number.
TEST_F(History, KeepsBothSidesOfATransferBetweenAccountsAndOfATrade) {
  const std::string came = with(kTransfer, "Withdrawal", "Deposit");
  std::vector<Item> items;
  ASSERT_THAT(read_history(file(came), Event::transfer, items), Succeeds());
  ASSERT_THAT(read_history(file(array(kTransfer)), Event::transfer, items), Succeeds());
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[1].side, "withdrawal");
  ASSERT_THAT(read_history(file(array(kTrade)), Event::trade, items), Succeeds());
  ASSERT_THAT(read_history(file(with(kTrade, "Buy", "Sell")), Event::trade, items), Succeeds());
  EXPECT_EQ(items.size(), 4U);
}

TEST_F(History, ReadsTheClientsIdOfATransferInSmallLetters) {
  const std::string id = R"("clientTransferId":"AA97B177","eid")";
  const auto items = read(with(kTransfer, R"("eid")", id), Event::transfer);
  ASSERT_THAT(items, Succeeds());
  EXPECT_EQ(items->front().client_id, "aa97b177");
  const auto orders = read(with(kOrder, "mine-1", "Mine-1"), Event::order);
  ASSERT_THAT(orders, Succeeds());
  EXPECT_EQ(orders->front().client_id, "Mine-1");
}

TEST_F(History, PassesOverWhatTwoPagesBothShow) {
  std::vector<Item> items;
  const std::string path = file("[" + std::string{kOrder} + " , \n" + std::string{kOrder} + "]\n");
  ASSERT_THAT(read_history(path, Event::order, items), Succeeds());
  ASSERT_THAT(read_history(path, Event::order, items), Succeeds());
  EXPECT_EQ(items.size(), 1U);
}

TEST_F(History, TakesAnEmptyArray) {
  for (const char* text : {"[]", " [ ] ", "[\n]\n"}) {
    const auto items = read(text, Event::order);
    ASSERT_THAT(items, Succeeds());
    EXPECT_TRUE(items->empty());
  }
}

TEST_F(History, RefusesWhatIsNoArrayOfObjects) {
  for (const std::string& text :
       {std::string{}, std::string{"{}"}, std::string{R"({"result":"error"})"}, std::string{"["},
        std::string{"[1]"}, std::string{"[{}"}, std::string{"[{},]"}, std::string{"[,{}]"},
        std::string{"[{} {}]"}, std::string{"[[{}]]"}, std::string{"[]]"}, std::string{"[] x"},
        std::string{"null"}, "[" + std::string{kOrder}, std::string{"\xef\xbb\xbf[]"},
        "[" + std::string{kOrder} + "," + std::string{kOrder.substr(0, 40)}}) {
    const auto items = read(text, Event::order);
    EXPECT_THAT(items, ErrorIs(Code::usage, HasSubstr("history.json"))) << text;
  }
  EXPECT_THAT(read("[" + std::string(kObjectLimit + 10, '{') + "]", Event::order),
              ErrorIs(Code::usage, HasSubstr("larger")));
}

// A quote or brace in a string is no end of an object.
TEST_F(History, IsNotMisledByWhatStandsInStrings) {
  const auto items = read(with(kOrder, "mine-1", R"(}],\"{\\)"), Event::order);
  ASSERT_THAT(items, Succeeds());
  EXPECT_EQ(items->front().client_id, R"(}],"{\)");
}

TEST_F(History, RefusesObjectsThatParsersReadUnlike) {
  for (const std::string& text :
       {with(kOrder, R"("side":"buy")", R"("side":"buy","side":"sell")"),
        with(kOrder, R"("side":"buy")", R"("side":"buy","SIDE":"sell")"),
        with(kOrder, R"("side":"buy")", R"("side":"buy\u0000")"),
        with(kOrder, R"("side":"buy")", R"("side":'buy')"), with(kOrder, "mine-1", "\xff"),
        with(kOrder, "mine-1", R"(\ud800)"), with(kOrder, "1494870642156", "1e400"),
        with(kOrder, "\"options\":[]", "\"options\":[],")}) {
    EXPECT_THAT(read(text, Event::order), ErrorIs(Code::usage, HasSubstr("object 1"))) << text;
  }
}

TEST_F(History, RefusesMembersOfAnotherForm) {
  const std::string order{kOrder};
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {R"("order_id":"44375901")", R"("order_id":"")"},
           {R"("order_id":"44375901")", R"("order_id":[])"},
           {R"("order_id":"44375901")", R"("order_id":null)"},
           {R"("order_id":"44375901",)", ""},
           {R"("order_id":"44375901")", "\"order_id\":\"" + std::string(300, '1') + "\""},
           {R"("symbol":"BTCUSD")", R"("symbol":{})"},
           {R"("side":"buy")", R"("side":"hold")"},
           {R"("original_amount":"3.0")", R"("original_amount":"-3")"},
           {R"("original_amount":"3.0")", R"("original_amount":"much")"},
           {R"("original_amount":"3.0")", R"("original_amount":"0.0000000000000000001")"},
           {R"("price":"400.00","orig)", R"("price":true,"orig)"},
           {"1494870642156", "-5"},
           {"1494870642156", "0"},
           {"1494870642156", "14948706421560000"},
           {"1494870642156", "\"soon\""}}) {
    const auto items = read(with(order, from, to), Event::order);
    EXPECT_THAT(items, ErrorIs(Code::usage, HasSubstr("object 1"))) << from << " → " << to;
  }
  EXPECT_THAT(read(array(kTrade), Event::order), ErrorIs(Code::usage));
  EXPECT_THAT(read(array(kOrder), Event::transfer), ErrorIs(Code::usage));
}

// The exchange's words are no part of a sentence of ours.
TEST_F(History, RepeatsNothingOfTheFileInItsErrors) {
  const auto items = read(with(kOrder, R"("side":"buy")", R"("side":"secret-word")"), Event::order);
  ASSERT_THAT(items, ErrorIs(Code::usage));
  EXPECT_THAT(items.error().sentence(), Not(HasSubstr("secret-word")));
}

TEST_F(History, NamesAssetsAndAddressesInOneSpelling) {
  EXPECT_EQ(asset_name("BTCusd"), "btcusd");
  EXPECT_EQ(asset_name("GUSD"), "usd");
  EXPECT_EQ(address_name("0xAbC"), "0xabc");
  EXPECT_EQ(address_name("bc1QX"), "bc1QX");
  EXPECT_EQ(parse_amount("1e-2")->text(), "0.01");
}

}  // namespace
}  // namespace hsm::audit_tools
