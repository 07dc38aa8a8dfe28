#include "hsm_signer/audit_tools/claims.h"

#include <algorithm>
#include <array>

namespace hsm::audit_tools {
namespace {

// How the members of an endpoint's requests are called in `fields`, and whether one of them is the
// client's id.
struct Row {
  std::string_view endpoint;
  Event event;
  std::string_view asset;
  std::string_view amount;
  bool can_name;
};
constexpr std::array<Row, 8> kRows{{
    {"/v1/order/new", Event::order, "symbol", "amount", true},
    {"/v1/wrap/{symbol}", Event::order, "symbol", "amount", true},
    {"/v1/instant/execute", Event::order, "symbol", "quantity", false},
    {"/v2/withdraw/{network}/{ticker}", Event::transfer, "ticker", "amount", true},
    {"/v1/withdraw/{currency}", Event::transfer, "currency", "amount", true},
    {"/v1/withdraw/usd", Event::transfer, "currency", "amount", false},
    {"/v1/payments/sen/withdraw", Event::transfer, "currency", "amount", false},
    {"/v1/account/transfer/{currency}", Event::transfer, "currency", "amount", true},
}};
const std::vector<std::size_t> kNowhere;
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

// The exchange repeats a client's id where it was given one, but not in every answer.
bool may_have_id(const Claim& claim, const std::string& id) {
  if (id.empty()) return true;
  return claim.client_id.empty() ? !claim.can_name : claim.client_id == id;
}

std::chrono::nanoseconds apart(Clock::Wall a, Clock::Wall b) { return a < b ? b - a : a - b; }

bool can_answer(const Claim& claim, const Item& item, std::chrono::seconds skew) {
  return apart(claim.time, item.time) <= skew && may_have_id(claim, item.client_id) &&
         (item.address.empty() || claim.address == item.address);
}

bool can_answer(const Claim& claim, const Traded& traded, std::chrono::seconds skew) {
  const bool price_allows = !claim.price || (claim.side == "buy" ? traded.highest <= *claim.price
                                                                 : traded.lowest >= *claim.price);
  return claim.time <= traded.first + skew && traded.amount <= claim.amount &&
         may_have_id(claim, traded.client_id) && price_allows;
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
  claim.client_id = client_id_name(claim.event, client_id_of(record));
  claim.can_name = row->can_name;
  claim.asset = asset.empty() ? "usd" : asset_name(asset);
  claim.side = field(record, "side");
  const std::string_view address = field(record, "address");
  claim.address = address_name(address.empty() ? field(record, "targetAccount") : address);
  claim.amount = *amount;
  claim.price = price_of(record);
  return claim;
}

void Claims::sort() {
  std::stable_sort(claims_.begin(), claims_.end(),
                   [](const Claim& a, const Claim& b) { return a.time < b.time; });
  seen_.assign(claims_.size(), false);
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    const Claim& claim = claims_[i];
    by_content_[content_of(claim)].push_back(i);
    if (!claim.client_id.empty()) by_client_id_[claim.client_id].push_back(i);
    if (claim.event == Event::order) by_market_[claim.asset + " " + claim.side].push_back(i);
  }
}

const Claims::Places& Claims::alike(const Item& item) const {
  const auto found = by_content_.find(content_of(item));
  return found == by_content_.end() ? kNowhere : found->second;
}

const Claims::Places& Claims::market(const Traded& traded) const {
  const auto found = by_market_.find(traded.asset + " " + traded.side);
  return found == by_market_.end() ? kNowhere : found->second;
}

// In order of time.
std::span<const std::size_t> Claims::candidates(const Taker& taker) const {
  const auto signed_before = [&](const Places& places, Clock::Wall time) {
    return std::partition_point(places.begin(), places.end(),
                                [&](std::size_t i) { return claims_[i].time < time; });
  };
  const std::chrono::nanoseconds a_moment{1};
  if (taker.item != nullptr) {
    const Places& places = alike(*taker.item);
    return {signed_before(places, taker.item->time - skew_),
            signed_before(places, taker.item->time + skew_ + a_moment)};
  }
  const Places& places = market(*taker.traded);
  return {places.begin(), signed_before(places, taker.traded->first + skew_ + a_moment)};
}

bool Claims::fits(const Claim& claim, const Taker& taker) const {
  return taker.item != nullptr ? can_answer(claim, *taker.item, skew_)
                               : can_answer(claim, *taker.traded, skew_);
}

// Of an item the first that fits: both sides are in order of time and the windows are of one
// length, so that among items alike in all no other choice leaves more of them matched. Of trades
// the latest: older orders may have rested and traded before.
std::optional<std::size_t> Claims::find_free(const Taker& taker) const {
  const auto is_free = [&](std::size_t i) { return !claims_[i].taker && fits(claims_[i], taker); };
  const std::span<const std::size_t> places = candidates(taker);
  if (taker.traded != nullptr) {
    const auto found = std::find_if(places.rbegin(), places.rend(), is_free);
    return found == places.rend() ? std::nullopt : std::optional{*found};
  }
  const auto found = std::find_if(places.begin(), places.end(), is_free);
  return found == places.end() ? std::nullopt : std::optional{*found};
}

bool Claims::answer(const Taker& taker) {
  takers_.push_back(taker);
  const std::size_t index = takers_.size() - 1;
  const std::optional<std::size_t> found = find_free(taker);
  if (found) claims_[*found].taker = index;
  return found || make_room(index);
}

// Somebody who might do without the claim that is his, in favour of whoever `from` is.
struct Claims::Step {
  std::size_t taker;
  std::size_t claim;
  std::size_t from;
};

// An augmenting path, breadth first (H. W. Kuhn, "The Hungarian method for the assignment problem",
// 1955): everybody on it takes the next one's claim, and the last a free one. Where none is found,
// nothing that was seen on the way leads to a free claim, now or ever.
// Trades ask for the whole market, but only for what nobody else on the way has seen.
bool Claims::make_room(std::size_t taker) {
  std::vector<Step> path{{taker, 0, 0}};
  std::optional<Places> unseen;  // All on the way are of one market.
  for (std::size_t at = 0; at < path.size(); ++at) {
    const Taker& who = takers_[path[at].taker];
    if (who.traded != nullptr) {
      if (!unseen) unseen = market(*who.traded);
      std::erase_if(*unseen, [&](std::size_t claim) { return seen_[claim]; });
    }
    for (const std::size_t claim : who.traded != nullptr ? std::span{*unseen} : candidates(who)) {
      if (seen_[claim] || !fits(claims_[claim], who)) continue;
      if (!claims_[claim].taker) {
        hand_down(path, at, claim);
        return true;
      }
      seen_[claim] = true;
      path.push_back({*claims_[claim].taker, claim, at});
    }
  }
  return false;
}

void Claims::hand_down(const std::vector<Step>& path, std::size_t last, std::size_t claim) {
  for (std::size_t at = 1; at < path.size(); ++at) seen_[path[at].claim] = false;
  for (std::size_t at = last;; at = path[at].from) {
    claims_[claim].taker = path[at].taker;
    if (at == 0) return;
    claim = path[at].claim;
  }
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
    if (claim.taker && apart(claim.time, item.time) <= skew_) ++taken;
    if (claim.taker) continue;
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
