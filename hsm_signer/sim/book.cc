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
              .held = hold.value_or(Money{})};
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

void Book::cancel(std::uint64_t id, std::string_view reason) {
  const auto found = orders_.find(id);
  if (found != orders_.end() && found->second.live) bury(found->second, reason);
}

void Book::cancel_session(std::string_view key, std::string_view reason) {
  for (const Order* order : live()) {
    if (order->key == key) cancel(order->id, reason);
  }
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
