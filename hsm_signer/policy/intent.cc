#include "hsm_signer/policy/intent.h"

#include <algorithm>
#include <array>
#include <bit>

#include "hsm_signer/policy/rules.h"
#include "hsm_signer/venue/ascii.h"

namespace hsm::policy {
namespace {

// Which members of an endpoint say what. A name in braces is a parameter of the path; an `asset` in
// quotes is the same for every request.
struct Reading {
  std::string_view path;
  std::string_view asset;
  std::string_view side{};
  std::string_view type{};
  std::string_view amount{};
  std::string_view price{};
  Facts more = 0;
};
constexpr Facts kOptions = bit(Fact::options);
constexpr Facts kDestination = bit(Fact::destination);
constexpr Facts kCounterparty = bit(Fact::counterparty);

constexpr std::array kReadings{
    Reading{"/v1/order/new", "symbol", "side", "type", "amount", "price", kOptions},
    Reading{"/v1/wrap/{symbol}", "{symbol}", "side", {}, "amount"},
    // Its price is for show: what binds is the quote, which the signer does not see.
    Reading{"/v1/instant/execute", "symbol", "side", {}, "quantity"},
    Reading{"/v1/prediction-markets/order", "symbol", "side", "orderType", "quantity", "price"},
    Reading{"/v1/clearing/new", "symbol", "side", {}, "amount", "price", kCounterparty},
    Reading{"/v1/clearing/broker/new", "symbol", "side", {}, "amount", "price", kCounterparty},
    Reading{"/v1/clearing/confirm", "symbol", "side", {}, "amount", "price", kCounterparty},
    Reading{"/v2/withdraw/{network}/{ticker}", "{ticker}", {}, {}, "amount", {}, kDestination},
    Reading{"/v1/withdraw/{currency}", "{currency}", {}, {}, "amount", {}, kDestination},
    Reading{"/v1/withdraw/usd", "'usd", {}, {}, "amount", {}, kDestination},
    Reading{"/v1/account/transfer/{currency}", "{currency}", {}, {}, "amount"},
    Reading{"/v1/payments/sen/withdraw", "'usd", {}, {}, "amount"},
    Reading{"/v1/staking/stake", "currency", {}, {}, "amount"},
    Reading{"v1/staking/stake", "currency", {}, {}, "amount"},
    Reading{"/v1/staking/unstake", "currency", {}, {}, "amount"},
    Reading{"v1/staking/unstake", "currency", {}, {}, "amount"},
};

constexpr std::array<std::string_view, 8> kFactNames{
    "symbol", "side", "type", "options", "amount", "price", "destination", "counterparty"};

constexpr Facts facts_in(const Reading& reading) {
  Facts facts = reading.more;
  if (!reading.side.empty()) facts |= bit(Fact::side) | bit(Fact::symbol);
  if (!reading.type.empty()) facts |= bit(Fact::type);
  if (!reading.amount.empty()) facts |= bit(Fact::amount);
  if (!reading.price.empty()) facts |= bit(Fact::price);
  return facts;
}

// By index of the endpoint's row; null for those without a reading.
const Reading* reading_of(const venue::Endpoint& endpoint) {
  static const auto table = [] {
    std::array<const Reading*, kEndpointLimit> readings{};
    for (const venue::Endpoint& row : venue::endpoints()) {
      const auto found = std::find_if(kReadings.begin(), kReadings.end(),
                                      [&](const Reading& one) { return one.path == row.path; });
      if (found != kReadings.end()) readings[endpoint_index(row)] = &*found;
    }
    return readings;
  }();
  return table[endpoint_index(endpoint)];
}

// Windows keep these, so they are no longer than any symbol is; what is, is none.
constexpr std::size_t kLongestAsset = 32;

std::string asset_of(const venue::Payload& payload, std::string_view source) {
  if (source.starts_with('\'')) return std::string{source.substr(1)};
  const std::string_view asset = source.starts_with('{')
                                     ? payload.parameter(source.substr(1, source.size() - 2))
                                     : text_member(payload, source).value_or(std::string_view{});
  return asset.size() > kLongestAsset ? std::string{} : lower_case(asset);
}

// The strict payload has checked the form of every member that its row calls an amount.
std::optional<Decimal> decimal_member(const venue::Payload& payload, std::string_view member) {
  if (member.empty()) return std::nullopt;
  const std::optional<venue::Value> value = payload.member(member);
  if (!value) return std::nullopt;
  const bool number = value->kind == venue::Kind::number;
  if (!number && value->kind != venue::Kind::string) return std::nullopt;
  const Result<Decimal> decimal =
      number ? Decimal::parse_number(value->text) : Decimal::parse_plain(value->text);
  return decimal ? std::optional{*decimal} : std::nullopt;
}

Pricing pricing_of(const Reading& reading, const Intent& intent) {
  if (reading.side.empty()) return Pricing::none;
  if (reading.price.empty() || intent.type == "exchange market") return Pricing::market;
  constexpr std::array<std::string_view, 4> kLimits{"exchange limit", "exchange stop limit",
                                                    "limit", "stop-limit"};
  const bool known = reading.type.empty() ||
                     std::find(kLimits.begin(), kLimits.end(), intent.type) != kLimits.end();
  return known && intent.price ? Pricing::limit : Pricing::unclear;
}

}  // namespace

std::string_view name(Fact fact) { return kFactNames[static_cast<std::size_t>(fact)]; }

Fact lowest(Facts facts) { return static_cast<Fact>(std::countr_zero(facts)); }

Facts facts_of(const venue::Endpoint& endpoint) {
  const Reading* reading = reading_of(endpoint);
  return reading == nullptr ? Facts{0} : facts_in(*reading);
}

bool commits(venue::Class cls) {
  switch (cls) {
    case venue::Class::read:
    case venue::Class::cancel:
    case venue::Class::session:
      return false;
    case venue::Class::trade:
    case venue::Class::move:
    case venue::Class::widen:
    case venue::Class::admin:
      return true;
  }
  return true;
}

std::optional<std::string_view> text_member(const venue::Payload& payload,
                                            std::string_view member) {
  const std::optional<venue::Value> value = payload.member(member);
  if (!value || value->kind != venue::Kind::string) return std::nullopt;
  return value->text;
}

std::string lower_case(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), venue::lower);
  return out;
}

std::uint64_t asset_bit(std::string_view asset) {
  return std::uint64_t{1} << (std::hash<std::string_view>{}(asset) % 64);
}

Intent intent_of(const venue::Payload& payload) {
  const Reading* reading = reading_of(payload.endpoint());
  if (reading == nullptr) return {};
  Intent intent;
  intent.facts = facts_in(*reading);
  intent.asset = asset_of(payload, reading->asset);
  intent.asset_bit = asset_bit(intent.asset);
  if (!reading->side.empty())
    intent.side = text_member(payload, reading->side).value_or(std::string_view{});
  if (!reading->type.empty())
    intent.type = text_member(payload, reading->type).value_or(std::string_view{});
  intent.amount = decimal_member(payload, reading->amount);
  intent.price = decimal_member(payload, reading->price);
  intent.pricing = pricing_of(*reading, intent);
  if (intent.pricing == Pricing::market) intent.price.reset();  // Ignored by the exchange.
  return intent;
}

std::optional<Destination> destination_of(const venue::Payload& payload) {
  const Reading* reading = reading_of(payload.endpoint());
  if (reading == nullptr || (reading->more & kDestination) == 0) return std::nullopt;
  const auto address = text_member(payload, "address");
  if (!address || payload.member("accountId")) return std::nullopt;
  Destination destination{.network = lower_case(payload.parameter("network")),
                          .ticker = asset_of(payload, reading->asset),
                          .address = std::string{*address},
                          .memo = {}};
  if (payload.member("memo")) {
    const auto memo = text_member(payload, "memo");
    if (!memo) return std::nullopt;
    destination.memo = std::string{*memo};
  }
  return destination;
}

}  // namespace hsm::policy
