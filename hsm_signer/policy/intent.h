// What a request would do, in the words that a policy limits. One reading for every endpoint that
// commits its owner to something; what an endpoint does not say, no rule can limit there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::policy {

// What an endpoint's members say. `amount` counts the symbol of an order, the currency of a
// transfer. `price` is one that binds the exchange.
enum class Fact : std::uint8_t {
  symbol,
  side,
  type,
  options,
  amount,
  price,
  destination,
  counterparty,
};
using Facts = std::uint32_t;
constexpr Facts bit(Fact fact) { return 1U << static_cast<unsigned>(fact); }
std::string_view name(Fact fact);
// Of a set that is not empty.
Fact lowest(Facts facts);
// What the row of the endpoint can say; nothing for those that commit to nothing.
Facts facts_of(const venue::Endpoint& endpoint);

// Whether a request of that class commits its owner to something: trade, move, widen, admin. Limits
// are for these; a cancel is never refused by one.
bool commits(venue::Class cls);

// Of an order, how its price was given.
enum class Pricing : std::uint8_t {
  none,     // Has no price: a transfer.
  limit,    // `price` binds.
  market,   // Whatever the market gives.
  unclear,  // A type that is not known, or no price where one should stand.
};

// One bit for a symbol: a rule whose symbols have another bit need not be asked.
std::uint64_t asset_bit(std::string_view asset);

// Views live as long as the payload.
struct Intent {
  Facts facts = 0;
  // Lower case: the exchange takes both, and "BTC" must not be another limit than "btc".
  std::string asset;
  std::string_view side;
  std::string_view type;
  std::optional<Decimal> amount;
  std::optional<Decimal> price;
  Pricing pricing = Pricing::none;

  // asset_bit() of `asset`; all where the endpoint names none, so that every rule is asked.
  std::uint64_t asset_bit = ~std::uint64_t{0};

  bool says(Fact fact) const { return (facts & bit(fact)) != 0; }
  bool is_order() const { return says(Fact::symbol); }
};
Intent intent_of(const venue::Payload& payload);

// Where a withdrawal goes. A network that is empty is to be found from the currency by the rule
// (v1 paths name none). A memo that is absent is not an empty one.
struct Destination {
  std::string network;
  std::string ticker;
  std::string address;
  std::optional<std::string> memo;
  bool operator==(const Destination&) const = default;
};
// Nothing where the payload says it incompletely or otherwise (a bank account).
std::optional<Destination> destination_of(const venue::Payload& payload);

// A string member, or nothing; a member of another type is nothing too.
std::optional<std::string_view> text_member(const venue::Payload& payload, std::string_view member);
std::string lower_case(std::string_view text);

}  // namespace hsm::policy
