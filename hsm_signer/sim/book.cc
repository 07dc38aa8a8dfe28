#include "hsm_signer/sim/book.h"

namespace hsm::sim {
namespace {

// What an order must have behind it while it lives; none where that is more than anyone has.
std::optional<Money> needed(const OrderForm& form) {
  return form.side == Side::buy ? form.price.times(form.amount) : std::optional{form.amount};
}

// Why an order that must trade at once dies on a book without other side; empty for those that
// rest.
std::string_view dies_of(Execution execution) {
  switch (execution) {
    case Execution::immediate_or_cancel:
      return "ImmediateOrCancelWouldPost";
    case Execution::fill_or_kill:
      return "FillOrKillWouldNotFill";
    case Execution::maker_or_cancel:  // Nothing to take, so it always makes.
    case Execution::rest:
      break;
  }
  return {};
}

}  // namespace

Outcome<const Order*> Book::place(OrderForm form, std::string key, std::uint64_t id,
                                  Clock::Wall now) {
  if (live_.size() >= kMostOrders)
    return refuse(Reason::system, "The simulator keeps at most 100000 live orders.");
  const std::optional<Money> hold = needed(form);
  Order order{.id = id,
              .key = std::move(key),
              .form = std::move(form),
              .placed = now,
              .live = true,
              .cancel_reason = {},
              .held = hold.value_or(Money{}),
              .executed = {}};
  if (!hold || !wallet_.hold(order.currency(), *hold)) {
    return refuse(Reason::insufficient_funds, "Insufficient funds: the order needs more " +
                                                  std::string{order.currency()} +
                                                  " than is available.");
  }
  Order& kept = orders_.emplace(id, std::move(order)).first->second;
  live_.insert(id);
  const std::string_view death = dies_of(kept.form.execution);
  if (!death.empty()) bury(kept, death);
  return &kept;
}

Outcome<const Trade*> Book::fill(std::uint64_t id, Money amount, std::uint64_t trade,
                                 Clock::Wall now) {
  const auto found = orders_.find(id);
  if (found == orders_.end() || !found->second.live)
    return refuse(Reason::order_not_found, "Order " + std::to_string(id) + " is not live.");
  Order& order = found->second;
  const OrderForm& form = order.form;
  const std::optional<Money> left = form.amount.minus(order.executed)->minus(amount);
  if (!left || amount.is_zero() || !amount.is_multiple_of(form.symbol->lot)) {
    return refuse(Reason::invalid_quantity, "amount must be positive, a multiple of " +
                                                form.symbol->lot.text() +
                                                " and at most what remains of the order.");
  }
  // Exact: prices and quantities are multiples of tick and lot, so nothing is ever rounded.
  const std::optional<Money> value = form.price.times(amount);
  const Money cost = value.value_or(Money{});
  const bool buys = form.side == Side::buy;
  if (!value ||
      !wallet_.receive(buys ? form.symbol->base : form.symbol->quote, buys ? amount : cost))
    return refuse(Reason::system, "The account cannot hold that much.");
  const Money paid = buys ? cost : amount;
  wallet_.spend(order.currency(), paid);
  order.held = order.held.minus(paid).value();
  order.executed = order.executed.plus(amount).value();
  trades_.push_back({trade, id, form.symbol, form.side, form.price_text, amount, cost,
                     form.client_order_id, now});
  if (trades_.size() > kMostOrders) trades_.pop_front();
  if (left->is_zero()) bury(order, {});
  return &trades_.back();
}

std::vector<const Trade*> Book::trades_of(std::uint64_t order) const {
  std::vector<const Trade*> found;
  for (const Trade& trade : trades_) {
    if (trade.order == order) found.push_back(&trade);
  }
  return found;
}

const Order* Book::find(std::uint64_t id) const {
  const auto found = orders_.find(id);
  return found == orders_.end() ? nullptr : &found->second;
}

std::vector<const Order*> Book::find_by_client_id(std::string_view client_order_id) const {
  std::vector<const Order*> found;
  for (const auto& [id, order] : orders_) {
    if (order.form.client_order_id == client_order_id) found.push_back(&order);
  }
  return found;
}

std::vector<const Order*> Book::live() const {
  std::vector<const Order*> found;
  for (std::uint64_t id : live_) found.push_back(&orders_.at(id));
  return found;
}

std::vector<const Order*> Book::closed() const {
  std::vector<const Order*> found;
  for (const auto& [id, order] : orders_) {
    if (!order.live) found.push_back(&order);
  }
  return found;
}

void Book::cancel(std::uint64_t id, std::string_view reason) {
  const auto found = orders_.find(id);
  if (found != orders_.end() && found->second.live) bury(found->second, reason);
}

std::vector<std::uint64_t> Book::cancel_all(std::string_view reason) {
  std::vector<std::uint64_t> cancelled{live_.begin(), live_.end()};
  for (std::uint64_t id : cancelled) cancel(id, reason);
  return cancelled;
}

std::vector<std::uint64_t> Book::cancel_session(std::string_view key, std::string_view reason) {
  std::vector<std::uint64_t> cancelled;
  for (const Order* order : live()) {
    if (order->key == key) cancelled.push_back(order->id);
  }
  for (std::uint64_t id : cancelled) cancel(id, reason);
  return cancelled;
}

void Book::bury(Order& order, std::string_view reason) {
  wallet_.release(order.currency(), order.held);
  order.live = false;
  order.held = Money{};
  order.cancel_reason = reason;
  live_.erase(order.id);
  dead_.push_back(order.id);
  if (dead_.size() <= kMostOrders) return;
  orders_.erase(dead_.front());  // Never the one just buried: that stands at the back.
  dead_.pop_front();
}

}  // namespace hsm::sim
