#include "hsm_signer/audit_tools/claims.h"

#include <algorithm>
#include <array>

namespace hsm::audit_tools {
namespace {

// How the members of an endpoint's requests are called in `fields`.
struct Row {
  std::string_view endpoint;
  Event event;
  std::string_view asset;
  std::string_view amount;
};
constexpr std::array<Row, 8> kRows{{
    {"/v1/order/new", Event::order, "symbol", "amount"},
    {"/v1/wrap/{symbol}", Event::order, "symbol", "amount"},
    {"/v1/instant/execute", Event::order, "symbol", "quantity"},
    {"/v2/withdraw/{network}/{ticker}", Event::transfer, "ticker", "amount"},
    {"/v1/withdraw/{currency}", Event::transfer, "currency", "amount"},
    {"/v1/withdraw/usd", Event::transfer, "currency", "amount"},
    {"/v1/payments/sen/withdraw", Event::transfer, "currency", "amount"},
    {"/v1/account/transfer/{currency}", Event::transfer, "currency", "amount"},
}};
constexpr std::string_view kOrderNew = "/v1/order/new";

std::string_view field(const audit::Record& record, std::string_view name) {
  const auto found = std::find_if(record.fields.begin(), record.fields.end(),
                                  [&](const audit::Field& one) { return one.name == name; });
  return found == record.fields.end() ? std::string_view{} : std::string_view{found->value};
}

std::string client_id_of(const audit::Record& record) {
  for (const std::string_view name : {"client_order_id", "clientTransferId", "client_transfer_id"})
    if (const std::string_view id = field(record, name); !id.empty()) return std::string{id};
  return {};
}

// A limit order's price was signed; all other orders take what they get.
std::optional<Decimal> price_of(const audit::Record& record) {
  if (record.endpoint != kOrderNew) return std::nullopt;
  if (field(record, "type").find("market") != std::string_view::npos) return std::nullopt;
  const Result<Decimal> price = parse_amount(field(record, "price"));
  return price ? std::optional{*price} : std::nullopt;
}

std::string content_of(Event event, const std::string& asset, const std::string& side,
                       const Decimal& amount, const std::optional<Decimal>& price) {
  const std::string what = asset + " " + amount.text();
  if (event == Event::transfer) return "t " + what;
  return "o " + what + " " + side + " " + (price ? price->text() : "market");
}
std::string content_of(const Claim& claim) {
  return content_of(claim.event, claim.asset, claim.side, claim.amount, claim.price);
}
std::string content_of(const Item& item) {
  return content_of(item.event, item.asset, item.side, item.amount, item.price);
}

bool same_client_id(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() || a == b;
}

std::chrono::nanoseconds apart(Clock::Wall a, Clock::Wall b) { return a < b ? b - a : a - b; }

bool can_answer(const Claim& claim, const Item& item, std::chrono::seconds skew) {
  return !claim.used && apart(claim.time, item.time) <= skew &&
         same_client_id(claim.client_id, item.client_id) &&
         (item.address.empty() || claim.address == item.address);
}

bool can_answer(const Claim& claim, const Claims::Traded& traded, std::chrono::seconds skew) {
  const bool price_allows = !claim.price || (claim.side == "buy" ? traded.highest <= *claim.price
                                                                 : traded.lowest >= *claim.price);
  return !claim.used && claim.time <= traded.first + skew && traded.amount <= claim.amount &&
         same_client_id(claim.client_id, traded.client_id) && price_allows;
}

}  // namespace

std::optional<Claim> claim_of(const audit::Record& record) {
  if (record.kind != audit::Kind::sign || record.verdict != audit::Verdict::allow) return {};
  const auto row = std::find_if(kRows.begin(), kRows.end(),
                                [&](const Row& one) { return one.endpoint == record.endpoint; });
  if (row == kRows.end()) return {};
  const Result<Decimal> amount = parse_amount(field(record, row->amount));
  const std::string_view asset = field(record, row->asset);
  // Without a currency it is a withdrawal of dollars to a bank.
  if (!amount || (asset.empty() && row->event == Event::order)) return {};
  Claim claim;
  claim.seq = record.seq;
  claim.time = record.time;
  claim.event = row->event;
  claim.client_id = client_id_of(record);
  claim.asset = asset.empty() ? "usd" : asset_name(asset);
  claim.side = field(record, "side");
  claim.address = address_name(field(record, "address"));
  claim.amount = *amount;
  claim.price = price_of(record);
  return claim;
}

void Claims::sort() {
  std::stable_sort(claims_.begin(), claims_.end(),
                   [](const Claim& a, const Claim& b) { return a.time < b.time; });
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    const Claim& claim = claims_[i];
    by_content_[content_of(claim)].push_back(i);
    if (!claim.client_id.empty()) by_client_id_[claim.client_id].push_back(i);
    if (claim.event == Event::order) by_market_[claim.asset + " " + claim.side].push_back(i);
  }
}

const Claims::Places& Claims::alike(const Item& item) const {
  static const Places kNone;
  const auto found = by_content_.find(content_of(item));
  return found == by_content_.end() ? kNone : found->second;
}

// The first that fits: both sides are in order of time and the windows are of one length, so no
// other choice leaves more of them matched.
bool Claims::answer(const Item& item) {
  const Places& places = alike(item);
  auto place = std::partition_point(places.begin(), places.end(), [&](std::size_t i) {
    return claims_[i].time < item.time - skew_;
  });
  const auto last = std::partition_point(
      place, places.end(), [&](std::size_t i) { return claims_[i].time <= item.time + skew_; });
  // One with the client's own id first.
  auto fits = [&](std::size_t i) { return can_answer(claims_[i], item, skew_); };
  auto found = std::find_if(place, last, [&](std::size_t i) {
    return !item.client_id.empty() && claims_[i].client_id == item.client_id && fits(i);
  });
  if (found == last) found = std::find_if(place, last, fits);
  if (found == last) return false;
  claims_[*found].used = true;
  return true;
}

bool Claims::answer(const Traded& traded) {
  const auto places = by_market_.find(traded.asset + " " + traded.side);
  if (places == by_market_.end()) return false;
  // The latest before the trade: older ones may have rested and traded before.
  const auto found =
      std::find_if(places->second.rbegin(), places->second.rend(),
                   [&](std::size_t i) { return can_answer(claims_[i], traded, skew_); });
  if (found == places->second.rend()) return false;
  claims_[*found].used = true;
  return true;
}

std::string Claims::why_not(const Item& item) const {
  if (const auto same = by_client_id_.find(item.client_id);
      !item.client_id.empty() && same != by_client_id_.end())
    return "record " + std::to_string(claims_[same->second.front()].seq) +
           " has its client's id and another content or time, or answers for another";
  const Claim* nearest = nullptr;
  std::size_t taken = 0;
  for (const std::size_t i : alike(item)) {
    const Claim& claim = claims_[i];
    if (!item.address.empty() && claim.address != item.address) continue;
    if (claim.used && apart(claim.time, item.time) <= skew_) ++taken;
    if (claim.used) continue;
    if (nearest == nullptr || apart(claim.time, item.time) < apart(nearest->time, item.time))
      nearest = &claim;
  }
  // One of several alike is foreign, and the last of them is left over.
  if (taken != 0)
    return "records like it (" + std::to_string(taken) +
           " within the skew) answer for others that are alike, and one of them all is foreign";
  if (nearest == nullptr) return "nothing like it was signed here";
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(apart(nearest->time, item.time)).count();
  return "the nearest like it, record " + std::to_string(nearest->seq) + ", is " +
         std::to_string(seconds) + " s away";
}

}  // namespace hsm::audit_tools
