#include "hsm_signer/sim/call.h"
#include "hsm_signer/sim/order_answers.h"
#include "hsm_signer/sim/page.h"

namespace hsm::sim {
namespace {

constexpr std::size_t kUsualTrades = 50;
constexpr std::size_t kMostTrades = 500;

// An order number as the documentation has it (integer) or as ccxt sends it (its digits in a
// string).
Outcome<std::uint64_t> read_order_id(const Payload& payload) {
  const Value* value = payload.find("order_id");
  if (value == nullptr) return refuse(Reason::missing_order_field, "Missing order field: order_id");
  const std::optional<std::uint64_t> id = value->whole();
  if (!id) return refuse(Reason::order_not_found, "order_id must be the number of an order.");
  return *id;
}

Outcome<const Order*> read_order(const Payload& payload, const Book& book) {
  ADMIT(const std::uint64_t id, read_order_id(payload));
  const Order* order = book.find(id);
  if (order == nullptr)
    return refuse(Reason::order_not_found, "Order " + std::to_string(id) + " not found");
  return order;
}

Shown shown(const Order* order, const Book& book, bool with_trades) {
  if (!with_trades) return {order, std::nullopt};
  return {order, book.trades_of(order->id)};
}

}  // namespace

Outcome<std::string> new_order(const Call& call) {
  ADMIT(OrderForm form, read_order_form(call.payload));
  ADMIT(const Order* const order,
        call.account->book.place(std::move(form), call.key.id, call.house.next_number(), call.now));
  call.house.use_number();
  return order_body({order, std::nullopt});
}

Outcome<std::string> order_status(const Call& call) {
  const Book& book = call.account->book;
  const Value* include = call.payload.find("include_trades");
  const bool with_trades = include != nullptr && include->text == "true";
  const std::string* client_id = call.payload.text("client_order_id");
  // None has the empty one: those without a name of their own.
  if (client_id == nullptr || client_id->empty() || call.payload.find("order_id") != nullptr) {
    ADMIT(const Order* const order, read_order(call.payload, book));
    return order_body(shown(order, book, with_trades));
  }
  std::vector<Shown> found;
  for (const Order* order : book.find_by_client_id(*client_id))
    found.push_back(shown(order, book, with_trades));
  if (found.empty()) return refuse(Reason::order_not_found, "No order has this client_order_id");
  return orders_body(found);
}

Outcome<std::string> cancel_order(const Call& call) {
  ADMIT(const Order* const order, read_order(call.payload, call.account->book));
  call.account->book.cancel(order->id, "Requested");
  return order_body({order, std::nullopt});
}

Outcome<std::string> cancel_all(const Call& call) {
  return cancelled_body(call.account->book.cancel_all("Requested"));
}

Outcome<std::string> cancel_session(const Call& call) {
  return cancelled_body(call.account->book.cancel_session(call.key.id, "Requested"));
}

Outcome<std::string> orders(const Call& call) {
  std::vector<Shown> live;
  for (const Order* order : call.account->book.live()) live.push_back({order, std::nullopt});
  return orders_body(live);
}

Outcome<std::string> my_trades(const Call& call) {
  ADMIT(const Symbol* const symbol, read_symbol(call.payload));
  ADMIT(const std::optional<Clock::Wall> since, read_timestamp(call.payload));
  ADMIT(const std::size_t limit,
        read_limit(call.payload, "limit_trades", kUsualTrades, kMostTrades));
  std::vector<const Trade*> found;
  for (const Trade& trade : call.account->book.trades()) {
    if (!is_before(trade.time, since) && (symbol == nullptr || trade.symbol == symbol))
      found.push_back(&trade);
  }
  return trades_body(page_of(std::move(found), limit, since.has_value()));
}

}  // namespace hsm::sim
