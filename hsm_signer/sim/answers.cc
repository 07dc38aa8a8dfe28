#include "hsm_signer/sim/answers.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "hsm_signer/sim/text.h"

namespace hsm::sim {
namespace {

namespace json = boost::json;

}  // namespace

std::string error_body(const Refusal& refusal) {
  return json::serialize(json::object{
      {"result", "error"}, {"reason", view(name(refusal.reason))}, {"message", refusal.message}});
}

std::string ok_body() { return json::serialize(json::object{{"result", "ok"}}); }

std::string message_body(const std::string& message) {
  return json::serialize(json::object{{"message", message}});
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

std::string symbols_body() {
  json::array body;
  for (const Symbol& symbol : symbols()) body.emplace_back(view(symbol.name));
  return json::serialize(body);
}

// By hand: the steps are JSON numbers, and exact ones.
std::string symbol_body(const Symbol& symbol) {
  return R"({"symbol":")" + upper(symbol.name) + R"(","base_currency":")" +
         std::string{symbol.base} + R"(","quote_currency":")" + std::string{symbol.quote} +
         R"(","tick_size":)" + symbol.lot.text() + R"(,"quote_increment":)" + symbol.tick.text() +
         R"(,"min_order_size":")" + symbol.least.text() +
         R"(","status":"open","wrap_enabled":false,"product_type":"spot",)"
         R"("contract_type":"vanilla","contract_price_currency":")" +
         std::string{symbol.quote} + R"("})";
}

std::string ready_body(std::optional<std::uint16_t> port, const std::string& unix_path) {
  json::object body{{"ready", true}, {"listen", nullptr}, {"port", nullptr}, {"unix", nullptr}};
  if (port) body["listen"] = "127.0.0.1:" + std::to_string(*port);
  if (port) body["port"] = *port;
  if (!unix_path.empty()) body["unix"] = unix_path;
  return json::serialize(body);
}

}  // namespace hsm::sim
