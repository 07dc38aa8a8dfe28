// What a client may fill in to place an order, checked before money is looked at.
#pragma once

#include <cstdint>
#include <string>

#include "hsm_signer/sim/market.h"
#include "hsm_signer/sim/payload.h"

namespace hsm::sim {

enum class Side : std::uint8_t { buy, sell };
// At most one execution option (Gemini documentation, "New order").
enum class Execution : std::uint8_t { rest, maker_or_cancel, immediate_or_cancel, fill_or_kill };
std::string_view option_name(Execution execution);  // "maker-or-cancel"; empty for rest.

struct OrderForm {
  const Symbol* symbol = nullptr;
  Side side = Side::buy;
  bool stop = false;  // exchange stop limit
  Execution execution = Execution::rest;
  Money amount;
  Money price;
  // As sent, for the answer.
  std::string amount_text;
  std::string price_text;
  std::string stop_price_text;
  std::string client_order_id;
};

Outcome<OrderForm> read_order_form(const Payload& payload);
// A positive multiple of `step`, from a string or a number; else `reason`.
Outcome<Money> read_money(const Payload& payload, std::string_view name, Money step, Reason reason);

}  // namespace hsm::sim
