// What an account did: orders that are over, money that came and went.
#include "hsm_signer/sim/call.h"
#include "hsm_signer/sim/fund_answers.h"
#include "hsm_signer/sim/order_answers.h"
#include "hsm_signer/sim/page.h"

namespace hsm::sim {
namespace {

constexpr std::size_t kUsualOrders = 50;
constexpr std::size_t kMostOrders = 500;
constexpr std::size_t kUsualTransfers = 10;
constexpr std::size_t kMostTransfers = 50;

// Which transfers are asked for; null and empty mean every one.
struct Wanted {
  const Currency* currency = nullptr;
  std::string network;
  std::optional<Clock::Wall> since;
  std::size_t limit = kUsualTransfers;
};

Outcome<Wanted> read_wanted(const Call& call) {
  Wanted wanted;
  ADMIT(const std::string currency, read_optional(call.payload, "currency"));
  if (!currency.empty()) wanted.currency = find_currency(currency);
  if (!currency.empty() && wanted.currency == nullptr)
    return refuse(Reason::unsupported_network, "UnsupportedNetwork: " + currency);
  ADMIT(wanted.since, read_timestamp(call.payload));
  ADMIT(wanted.limit, read_limit(call.payload, "limit_transfers", kUsualTransfers, kMostTransfers));
  // There are no advances here to show or to hide.
  const Value* advances = call.payload.find("show_completed_deposit_advances");
  if (advances != nullptr && advances->kind != Kind::boolean)
    return refuse(Reason::invalid_json, "show_completed_deposit_advances must be true or false.");
  return wanted;
}

bool is_wanted(const Movement& movement, const Wanted& wanted) {
  if (is_before(movement.time, wanted.since)) return false;
  if (wanted.currency != nullptr && movement.currency != wanted.currency) return false;
  // Between accounts no network is used.
  return wanted.network.empty() || (movement.way == Movement::Way::withdrawal &&
                                    movement.currency->network == wanted.network);
}

std::string past_transfers(const Call& call, const Wanted& wanted, Version version) {
  std::vector<const Movement*> found;
  for (const Movement& movement : call.account->movements) {
    if (is_wanted(movement, wanted)) found.push_back(&movement);
  }
  return movements_body(page_of(std::move(found), wanted.limit, wanted.since.has_value()), version);
}

}  // namespace

// Closed ones only, each with its trades: what still rests is in /v1/orders.
Outcome<std::string> past_orders(const Call& call) {
  ADMIT(const Symbol* const symbol, read_symbol(call.payload));
  ADMIT(const std::optional<Clock::Wall> since, read_timestamp(call.payload));
  ADMIT(const std::size_t limit,
        read_limit(call.payload, "limit_orders", kUsualOrders, kMostOrders));
  const Book& book = call.account->book;
  std::vector<const Order*> found;
  for (const Order* order : book.closed()) {
    if (!is_before(order->placed, since) && (symbol == nullptr || order->form.symbol == symbol))
      found.push_back(order);
  }
  std::vector<Shown> shown;
  for (const Order* order : page_of(std::move(found), limit, since.has_value()))
    shown.push_back({order, book.trades_of(order->id)});
  return orders_body(shown);
}

Outcome<std::string> past_transfers_v1(const Call& call) {
  ADMIT(const Wanted wanted, read_wanted(call));
  return past_transfers(call, wanted, Version::v1);
}

// "Only return transfers after this timestamp", where version 1 says "on or after".
Outcome<std::string> past_transfers_v2(const Call& call) {
  ADMIT(Wanted wanted, read_wanted(call));
  ADMIT(wanted.network, read_optional(call.payload, "network"));
  if (!wanted.network.empty() && !is_network(wanted.network))
    return refuse(Reason::unsupported_network, "UnsupportedNetwork: " + wanted.network);
  if (wanted.since) *wanted.since += std::chrono::milliseconds{1};
  return past_transfers(call, wanted, Version::v2);
}

}  // namespace hsm::sim
