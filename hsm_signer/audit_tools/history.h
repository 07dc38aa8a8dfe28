// What the exchange itself says that an account did: the answers of /v1/orders/history,
// /v1/mytrades, /v2/transfers and /v1/transfers, saved as files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit_tools {

enum class Event : std::uint8_t { order, trade, transfer };
std::string_view name(Event event);

// Texts are the exchange's: printable() before they go to a terminal.
struct Item {
  Event event = Event::order;
  std::string id;         // order_id, tid, eid
  std::string client_id;  // client_order_id, clientTransferId; may be empty.
  std::string order_id;   // trade
  std::string asset;      // Symbol or currency, small letters.
  std::string side;       // "buy", "sell"; transfer: its type, small letters: "withdrawal"
  std::string address;    // transfer: where it went; may be empty.
  Decimal amount;
  std::optional<Decimal> price;  // Nothing of a transfer or of an order at the market's price.
  Clock::Wall time{};
};

// Of all files together. With the record that answers for it, one takes some 850 bytes of memory.
inline constexpr std::size_t kItemsLimit = 1'000'000;

// Appends what the file holds; what is there already (pages overlap) is passed over. usage,
// with file and number of the object: JSON that parsers read unlike, a member missing or of another
// form, an array of something else.
Result<void> read_history(const std::string& path, Event event, std::vector<Item>& items);

// Small letters; "gusd" as "usd": dollars leave the exchange as that token.
std::string asset_name(std::string_view text);
// Of a transfer it is a UUID, which is one in capitals and in small letters.
std::string client_id_name(Event event, std::string_view text);
// Hex addresses (0x…) in small letters: their capitals are a check sum and no part of them.
std::string address_name(std::string_view text);
// "0.50", 1e-2: exact.
Result<Decimal> parse_amount(std::string_view text);

}  // namespace hsm::audit_tools
