// Money is conserved: whatever is asked of the exchange in whatever order, what the accounts have,
// what was withdrawn and what the market was paid add up to what was there at the start.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/sim/desk.h"

namespace hsm::sim {
namespace {

const char* const kAccounts[] = {"primary", "savings", "closed"};
const char* const kCurrencies[] = {"BTC", "ETH", "SOL", "USD", "XRP"};

// What random clients do. Half of it is meant to be refused.
class Crowd {
 public:
  Crowd(Desk& desk, unsigned seed) : desk_{desk}, random_{seed} {}

  void act() {
    switch (pick(9)) {
      case 0:
      case 1:
        return place();
      case 2:
        return call("/v1/order/cancel", R"("order_id":)" + some_order());
      case 3:
        return call(pick(2) == 0 ? "/v1/order/cancel/all" : "/v1/order/cancel/session", "");
      case 4:
      case 5:
        return fill();
      case 6:
        return withdraw();
      case 7:
        return transfer();
      default:
        return wait();
    }
  }
  int accepted = 0;
  int refused = 0;

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }
  template <std::size_t N>
  std::string one_of(const char* const (&list)[N]) {
    return list[pick(N)];
  }
  // Mostly small, now and then more than anybody has, now and then an awkward fraction.
  std::string amount() {
    static const char* const amounts[] = {"0.5",    "1",      "2.00000001", "0.00001", "250", "999",
                                          "400000", "123.45", "0.123456",   "5e2",     "0"};
    return one_of(amounts);
  }
  std::string some_order() {
    return std::to_string(106'817'811 + pick(static_cast<std::size_t>(placed_) + 3));
  }
  void count(bool done) { ++(done ? accepted : refused); }
  void call(const std::string& path, std::string members) {
    if (!members.empty()) members += ",";
    members += R"("account":")" + one_of(kAccounts) + "\"";
    const std::string key = pick(4) == 0 ? "account-beating" : "master-funds";
    const bool done = desk_.call_as(key, path, members).response.status == 200;
    if (done && path == "/v1/order/new") ++placed_;
    count(done);
  }
  void place() {
    static const char* const symbols[] = {"btcusd", "ethusd", "ethbtc", "solusd"};
    static const char* const prices[] = {"0.01", "30000", "1999.99", "0.06", "0.00001", "1000000"};
    static const char* const options[] = {"", "", R"(,"options":["fill-or-kill"])"};
    call("/v1/order/new", R"("symbol":")" + one_of(symbols) + R"(","amount":")" + amount() +
                              R"(","price":")" + one_of(prices) + R"(","side":")" +
                              (pick(2) == 0 ? "buy" : "sell") + R"(","type":"exchange limit")" +
                              one_of(options));
  }
  void fill() {
    const Outcome<Trade> trade =
        desk_.exchange().fill(std::stoull(some_order()), *Money::parse(amount()));
    if (trade) ++placed_;  // Trades take numbers of the same series.
    count(trade.has_value());
  }
  void withdraw() {
    static const char* const calls[] = {"/v1/withdraw/btc", "/v2/withdraw/ethereum/eth",
                                        "/v1/withdraw/SOL", "/v2/withdraw/xrpl/xrp"};
    static const char* const addresses[] = {"bc1-cold", "0xCold", "SoCold", "rCold", "thief"};
    static const char* const extras[] = {
        "", R"(,"memo":"7")", R"(,"clientTransferId":"aa97b177-9383-4934-8543-0f91a7a02838")"};
    call(one_of(calls), R"("address":")" + one_of(addresses) + R"(","amount":")" + amount() + "\"" +
                            one_of(extras));
  }
  void transfer() {
    static const char* const currencies[] = {"btc", "ETH", "usd", "sol", "xrp", "doge"};
    call("/v1/account/transfer/" + one_of(currencies),
         R"("sourceAccount":")" + one_of(kAccounts) + R"(","targetAccount":")" + one_of(kAccounts) +
             R"(","amount":")" + amount() + "\"");
  }
  void wait() {
    desk_.clock.advance(std::chrono::seconds{pick(40)});
    call("/v1/heartbeat", "");
  }

  Desk& desk_;
  std::mt19937 random_;
  int placed_ = 0;
};

// Sums of one currency, held apart because Money has no sign.
struct Sums {
  Money in;   // What the accounts have, what was withdrawn and what the market was paid.
  Money out;  // What the market paid.
};

Sums sum_of(Desk& desk, std::string_view currency) {
  Sums sums;
  const auto add = [](Money& to, Money amount) { to = to.plus(amount).value(); };
  for (const Account& account : desk.house().accounts()) {
    add(sums.in, account.book.wallet().balances().find(currency)->second.amount);
    for (const Withdrawal& withdrawal : account.withdrawals)
      if (withdrawal.currency->name == currency) add(sums.in, withdrawal.amount);
    for (const Trade& trade : account.book.trades()) {
      const bool buys = trade.side == Side::buy;
      if (trade.symbol->base == currency) add(buys ? sums.out : sums.in, trade.amount);
      if (trade.symbol->quote == currency) add(buys ? sums.in : sums.out, trade.cost);
    }
  }
  return sums;
}

void expect_conserved(Desk& desk) {
  for (const char* currency : kCurrencies) {
    const Sums sums = sum_of(desk, currency);
    const Money start = Wallet{}.balances().at(currency).amount;
    EXPECT_EQ(sums.in.text(), start.plus(start)->plus(start)->plus(sums.out)->text()) << currency;
  }
}

// What is held is what the live orders need, so it is never more than there is.
void expect_held_by_orders(Desk& desk) {
  for (const Account& account : desk.house().accounts()) {
    std::map<std::string, Money, std::less<>> held;
    for (const Order* order : account.book.live()) {
      Money& sum = held[std::string{order->currency()}];
      sum = sum.plus(order->held).value();
    }
    for (const auto& [currency, balance] : account.book.wallet().balances()) {
      EXPECT_EQ(balance.held.text(), held[currency].text()) << account.name << " " << currency;
      EXPECT_LE(balance.held, balance.amount) << account.name << " " << currency;
      EXPECT_LE(balance.available(), balance.amount) << account.name << " " << currency;
    }
  }
}

class Conservation : public ::testing::TestWithParam<unsigned> {};

TEST_P(Conservation, IsConservedWhateverIsAsked) {
  Desk desk;
  Crowd crowd{desk, GetParam()};
  for (int step = 0; step < 1'500 && !::testing::Test::HasFailure(); ++step) {
    crowd.act();
    expect_conserved(desk);
    expect_held_by_orders(desk);
  }
  // Both ways of every rule were taken, or the test would show little.
  EXPECT_GT(crowd.accepted, 300);
  EXPECT_GT(crowd.refused, 300);
  for (Account& account : desk.house().accounts()) account.book.cancel_all("End");
  expect_conserved(desk);
  expect_held_by_orders(desk);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Conservation, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace hsm::sim
