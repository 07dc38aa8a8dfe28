// Bodies about orders and trades, shaped as the exchange documents them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/sim/book.h"

namespace hsm::sim {

struct Shown {
  const Order* order;
  std::optional<std::vector<const Trade*>> trades;  // Where they were asked for.
};

std::string order_body(const Shown& shown);
std::string orders_body(const std::vector<Shown>& orders);
std::string cancelled_body(const std::vector<std::uint64_t>& ids);
std::string trades_body(const std::vector<const Trade*>& trades);
std::string trade_body(const Trade& trade);

}  // namespace hsm::sim
