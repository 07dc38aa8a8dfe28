#include "hsm_signer/sim/answers.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace hsm::sim {
namespace {

namespace json = boost::json;

json::string_view view(std::string_view text) { return {text.data(), text.size()}; }

json::object order_object(const Order& order, Trades trades) {
  const OrderForm& form = order.form;
  const auto millis =
      std::chrono::floor<std::chrono::milliseconds>(order.placed).time_since_epoch().count();
  const std::string id = std::to_string(order.id);
  json::object body{{"order_id", id}, {"id", id}, {"symbol", view(form.symbol->name)}};
  body["exchange"] = "gemini";
  body["avg_execution_price"] = "0.00";
  body["side"] = form.side == Side::buy ? "buy" : "sell";
  body["type"] = form.stop ? "exchange stop limit" : "exchange limit";
  body["timestamp"] = std::to_string(millis / 1000);
  body["timestampms"] = millis;
  body["is_live"] = order.live;
  body["is_cancelled"] = !order.live;
  body["is_hidden"] = false;
  if (!order.live) body["reason"] = view(order.cancel_reason);
  body["was_forced"] = false;
  body["executed_amount"] = "0";
  if (!form.client_order_id.empty()) body["client_order_id"] = form.client_order_id;
  json::array& options = body["options"].emplace_array();
  if (form.execution != Execution::rest) options.emplace_back(view(option_name(form.execution)));
  if (form.stop) body["stop_price"] = form.stop_price_text;
  body["price"] = form.price_text;
  body["original_amount"] = form.amount_text;
  body["remaining_amount"] = form.amount_text;
  if (trades == Trades::include) body["trades"].emplace_array();
  return body;
}

}  // namespace

std::string error_body(const Refusal& refusal) {
  return json::serialize(json::object{
      {"result", "error"}, {"reason", view(name(refusal.reason))}, {"message", refusal.message}});
}

std::string ok_body() { return json::serialize(json::object{{"result", "ok"}}); }

std::string order_body(const Order& order, Trades trades) {
  return json::serialize(order_object(order, trades));
}

std::string orders_body(const std::vector<const Order*>& orders, Trades trades) {
  json::array body;
  for (const Order* order : orders) body.emplace_back(order_object(*order, trades));
  return json::serialize(body);
}

std::string balances_body(const Wallet& wallet) {
  json::array body;
  for (const auto& [currency, balance] : wallet.balances()) {
    const std::string available = balance.available().text();
    body.emplace_back(json::object{{"type", "exchange"},
                                   {"currency", currency},
                                   {"amount", balance.amount.text()},
                                   {"available", available},
                                   {"availableForWithdrawal", available}});
  }
  return json::serialize(body);
}

std::string roles_body(const ApiKey& key) {
  json::object body{{"isAuditor", (key.roles & kAuditor) != 0},
                    {"isFundManager", (key.roles & kFundManager) != 0},
                    {"isTrader", (key.roles & kTrader) != 0}};
  if (key.scope == Scope::master) {
    body["isAccountAdmin"] = (key.roles & kAdministrator) != 0;
    body["counterparty_id"] = "SIMULATED";
  }
  return json::serialize(body);
}

std::string ready_body(std::optional<std::uint16_t> port, const std::string& unix_path) {
  json::object body{{"ready", true}, {"listen", nullptr}, {"port", nullptr}, {"unix", nullptr}};
  if (port) body["listen"] = "127.0.0.1:" + std::to_string(*port);
  if (port) body["port"] = *port;
  if (!unix_path.empty()) body["unix"] = unix_path;
  return json::serialize(body);
}

}  // namespace hsm::sim
