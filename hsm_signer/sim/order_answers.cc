#include "hsm_signer/sim/order_answers.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "hsm_signer/sim/text.h"

namespace hsm::sim {
namespace {

namespace json = boost::json;

json::object trade_object(const Trade& trade) {
  const std::int64_t millis = millis_of(trade.time);
  json::object body{{"price", trade.price},
                    {"amount", trade.amount.text()},
                    {"timestamp", millis / 1000},
                    {"timestampms", millis},
                    {"type", trade.side == Side::buy ? "Buy" : "Sell"},
                    {"aggressor", false},
                    {"fee_currency", view(trade.symbol->quote)},
                    {"fee_amount", "0"},
                    {"tid", trade.id},
                    {"order_id", std::to_string(trade.order)}};
  if (!trade.client_order_id.empty()) body["client_order_id"] = trade.client_order_id;
  body["exchange"] = "gemini";
  body["is_clearing_fill"] = false;
  body["symbol"] = upper(trade.symbol->name);
  return body;
}

// A cancelled order, a filled one or neither.
void put_state(const Order& order, json::object& body) {
  const bool filled = order.executed == order.form.amount;
  body["is_live"] = order.live;
  body["is_cancelled"] = !order.live && !filled;
  body["is_hidden"] = false;
  if (!order.live && !filled) body["reason"] = view(order.cancel_reason);
  body["was_forced"] = false;
  body["executed_amount"] = order.executed.text();
}

json::object order_object(const Shown& shown) {
  const Order& order = *shown.order;
  const OrderForm& form = order.form;
  const std::int64_t millis = millis_of(order.placed);
  const std::string id = std::to_string(order.id);
  json::object body{{"order_id", id}, {"id", id}, {"symbol", view(form.symbol->name)}};
  body["exchange"] = "gemini";
  body["avg_execution_price"] = order.executed.is_zero() ? "0.00" : view(form.price_text);
  body["side"] = form.side == Side::buy ? "buy" : "sell";
  body["type"] = form.stop ? "exchange stop limit" : "exchange limit";
  body["timestamp"] = std::to_string(millis / 1000);
  body["timestampms"] = millis;
  put_state(order, body);
  if (!form.client_order_id.empty()) body["client_order_id"] = form.client_order_id;
  json::array& options = body["options"].emplace_array();
  if (form.execution != Execution::rest) options.emplace_back(view(option_name(form.execution)));
  if (form.stop) body["stop_price"] = form.stop_price_text;
  body["price"] = form.price_text;
  body["original_amount"] = form.amount_text;
  body["remaining_amount"] =
      order.executed.is_zero() ? form.amount_text : form.amount.minus(order.executed)->text();
  if (!shown.trades) return body;
  json::array& trades = body["trades"].emplace_array();
  for (const Trade* trade : *shown.trades) trades.emplace_back(trade_object(*trade));
  return body;
}

}  // namespace

std::string order_body(const Shown& shown) { return json::serialize(order_object(shown)); }

std::string orders_body(const std::vector<Shown>& orders) {
  json::array body;
  for (const Shown& shown : orders) body.emplace_back(order_object(shown));
  return json::serialize(body);
}

std::string cancelled_body(const std::vector<std::uint64_t>& ids) {
  json::array cancelled;
  for (std::uint64_t id : ids) cancelled.emplace_back(id);
  return json::serialize(json::object{
      {"result", "ok"},
      {"details",
       json::object{{"cancelledOrders", std::move(cancelled)}, {"cancelRejects", json::array{}}}}});
}

std::string trades_body(const std::vector<const Trade*>& trades) {
  json::array body;
  for (const Trade* trade : trades) body.emplace_back(trade_object(*trade));
  return json::serialize(body);
}

std::string trade_body(const Trade& trade) { return json::serialize(trade_object(trade)); }

}  // namespace hsm::sim
