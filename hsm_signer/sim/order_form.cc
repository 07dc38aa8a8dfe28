#include "hsm_signer/sim/order_form.h"

#include <algorithm>
#include <array>

namespace hsm::sim {
namespace {

constexpr std::size_t kMostClientOrderId = 100;

struct Option {
  std::string_view name;
  Execution execution;
};
constexpr std::array kOptions{Option{"maker-or-cancel", Execution::maker_or_cancel},
                              Option{"immediate-or-cancel", Execution::immediate_or_cancel},
                              Option{"fill-or-kill", Execution::fill_or_kill}};

bool may_stand_in_client_order_id(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{":-_.#"}.find(c) != std::string_view::npos;
}

Outcome<void> require(const Payload& payload) {
  for (const char* name : {"symbol", "amount", "price", "side", "type"}) {
    if (payload.find(name) == nullptr)
      return refuse(Reason::missing_order_field, std::string{"Missing order field: "} + name);
  }
  return {};
}

Outcome<Execution> read_options(const Payload& payload) {
  const Value* options = payload.find("options");
  if (options == nullptr) return Execution::rest;
  if (options->kind != Kind::array)
    return refuse(Reason::options_must_be_array, "options must be an array of strings.");
  Execution execution = Execution::rest;
  for (const Value& item : options->items) {
    const auto* found = std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& option) {
      return option.name == item.text;  // No other kind of value has such a text.
    });
    if (found == kOptions.end()) {
      return refuse(Reason::unsupported_option,
                    "Supported options: maker-or-cancel, immediate-or-cancel, fill-or-kill.");
    }
    if (execution != Execution::rest)
      return refuse(Reason::conflicting_options, "An order takes at most one execution option.");
    execution = found->execution;
  }
  return execution;
}

Outcome<std::string> read_client_order_id(const Payload& payload) {
  const Value* id = payload.find("client_order_id");
  if (id == nullptr) return std::string{};
  if (id->kind != Kind::text)
    return refuse(Reason::client_order_id_must_be_string, "client_order_id must be a string.");
  if (id->text.size() > kMostClientOrderId) {
    return refuse(Reason::client_order_id_too_long,
                  "client_order_id must be at most 100 characters.");
  }
  if (id->text.empty() ||
      !std::all_of(id->text.begin(), id->text.end(), may_stand_in_client_order_id)) {
    return refuse(Reason::client_order_id_must_be_string,
                  "client_order_id must match [:\\-_\\.#a-zA-Z0-9]{1,100}.");
  }
  return id->text;
}

Outcome<void> read_type(const Payload& payload, OrderForm& form) {
  const std::string* type = payload.text("type");
  form.stop = type != nullptr && *type == "exchange stop limit";
  if (type != nullptr && *type == "exchange market") {
    return refuse(Reason::invalid_order_type,
                  "exchange market is not simulated: there is no other side to trade with.");
  }
  if (type == nullptr || (!form.stop && *type != "exchange limit"))
    return refuse(Reason::invalid_order_type,
                  "type must be exchange limit or exchange stop limit.");
  if (!form.stop) return {};
  if (form.execution != Execution::rest)
    return refuse(Reason::unsupported_option, "A stop limit order takes no options.");
  if (payload.find("stop_price") == nullptr)
    return refuse(Reason::missing_order_field, "Missing order field: stop_price");
  ADMIT_VOID(read_money(payload, "stop_price", form.symbol->tick, Reason::invalid_price));
  form.stop_price_text = payload.find("stop_price")->text;
  return {};
}

Outcome<void> read_instrument(const Payload& payload, OrderForm& form) {
  const std::string* symbol = payload.text("symbol");
  form.symbol = symbol == nullptr ? nullptr : find_symbol(*symbol);
  if (form.symbol == nullptr)
    return refuse(Reason::invalid_symbol, "symbol must be one of btcusd, ethusd, ethbtc, solusd.");
  const std::string* side = payload.text("side");
  if (side == nullptr || (*side != "buy" && *side != "sell"))
    return refuse(Reason::invalid_side, "side must be buy or sell.");
  form.side = *side == "buy" ? Side::buy : Side::sell;
  return {};
}

}  // namespace

std::string_view option_name(Execution execution) {
  for (const Option& option : kOptions) {
    if (option.execution == execution) return option.name;
  }
  return {};
}

Outcome<Money> read_money(const Payload& payload, std::string_view name, Money step,
                          Reason reason) {
  const Value* value = payload.find(name);
  const bool right_kind =
      value != nullptr && (value->kind == Kind::text || value->kind == Kind::number);
  const std::optional<Money> money = right_kind ? Money::parse(value->text) : std::nullopt;
  if (!money || money->is_zero())
    return refuse(reason, std::string{name} + " must be a positive decimal.");
  if (!money->is_multiple_of(step))
    return refuse(reason, std::string{name} + " must be a multiple of " + step.text() + ".");
  return *money;
}

Outcome<OrderForm> read_order_form(const Payload& payload) {
  OrderForm form;
  ADMIT_VOID(require(payload));
  ADMIT(form.execution, read_options(payload));
  const Value* margin = payload.find("margin_order");
  if (margin != nullptr && margin->text != "false")
    return refuse(Reason::unsupported_option, "margin_order is not simulated.");
  ADMIT(form.client_order_id, read_client_order_id(payload));
  ADMIT_VOID(read_instrument(payload, form));
  ADMIT_VOID(read_type(payload, form));
  ADMIT(form.amount, read_money(payload, "amount", form.symbol->lot, Reason::invalid_quantity));
  if (form.amount < form.symbol->least) {
    return refuse(Reason::invalid_quantity,
                  "amount must be at least " + form.symbol->least.text() + ".");
  }
  ADMIT(form.price, read_money(payload, "price", form.symbol->tick, Reason::invalid_price));
  form.amount_text = payload.find("amount")->text;
  form.price_text = payload.find("price")->text;
  return form;
}

}  // namespace hsm::sim
