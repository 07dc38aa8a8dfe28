// One account's orders, their trades and the money they hold. Nothing is ever matched: a limit
// order rests until it is cancelled, or until whoever runs the simulator fills it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/sim/market.h"
#include "hsm_signer/sim/order_form.h"

namespace hsm::sim {

struct Order {
  std::uint64_t id = 0;
  std::string key;  // API key id that placed it: its "session".
  OrderForm form;
  Clock::Wall placed;
  bool live = false;
  std::string_view cancel_reason;  // Empty while live, and when it was filled.
  Money held;                      // While live, in currency().
  Money executed;                  // Of form.amount.
  std::string_view currency() const {
    return form.side == Side::buy ? form.symbol->quote : form.symbol->base;
  }
};

struct Trade {
  std::uint64_t id = 0;
  std::uint64_t order = 0;
  const Symbol* symbol = nullptr;
  Side side = Side::buy;
  std::string price;  // As the order has it.
  Money amount;
  Money cost;  // amount × price, in quote.
  std::string client_order_id;
  Clock::Wall time;
};

// All of one account: the exchange shows an account's orders to all keys of that account.
class Book {
 public:
  // Beyond this many live orders new ones are refused; beyond this many dead ones, and this many
  // trades, the oldest are forgotten.
  static constexpr std::size_t kMostOrders = 100'000;

  // Rests a limit order or kills an immediate one, and says which by Order::live. Not changed by a
  // refusal.
  Outcome<const Order*> place(OrderForm form, std::string key, std::uint64_t id, Clock::Wall now);
  // Trades `amount` of a live order, at its price, with somebody outside of the simulator. Not
  // changed by a refusal.
  Outcome<const Trade*> fill(std::uint64_t id, Money amount, std::uint64_t trade, Clock::Wall now);
  const Order* find(std::uint64_t id) const;
  std::vector<const Order*> find_by_client_id(std::string_view client_order_id) const;
  std::vector<const Order*> live() const;                      // By id, oldest first.
  std::vector<const Order*> closed() const;                    // The same: filled or cancelled.
  const std::deque<Trade>& trades() const { return trades_; }  // Oldest first.
  std::vector<const Trade*> trades_of(std::uint64_t order) const;
  // Nothing happens to an order that is dead already.
  void cancel(std::uint64_t id, std::string_view reason);
  // The ids of those that were cancelled.
  std::vector<std::uint64_t> cancel_all(std::string_view reason);
  std::vector<std::uint64_t> cancel_session(std::string_view key, std::string_view reason);
  const Wallet& wallet() const { return wallet_; }
  Wallet& wallet() { return wallet_; }

 private:
  void bury(Order& order, std::string_view reason);

  Wallet wallet_;
  std::map<std::uint64_t, Order> orders_;
  std::set<std::uint64_t> live_;
  std::deque<std::uint64_t> dead_;  // Oldest first.
  std::deque<Trade> trades_;
};

}  // namespace hsm::sim
