#include "hsm_signer/audit_tools/reconcile.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <unordered_map>

namespace hsm::audit_tools {
namespace {

// What comes in. Anything else is judged: a type that is not known yet had better be looked at.
constexpr std::array<std::string_view, 3> kIncoming{"deposit", "reward", "admincredit"};

bool is_incoming(const Item& item) {
  return item.event == Event::transfer &&
         std::find(kIncoming.begin(), kIncoming.end(), item.side) != kIncoming.end();
}

// What was signed, and when the log begins.
struct Signed {
  Claims claims;
  std::optional<Clock::Wall> first;
  bool let_go = false;  // Records before that.
};

// Whether the log's beginning was let go.
Result<bool> was_let_go(const std::string& directory) {
  TRY(const audit::SegmentReader reader, audit::SegmentReader::open(directory));
  return reader.base().has_value();
}

Result<Signed> read_log(const std::string& directory, const ReconcileOptions& options) {
  Signed known{Claims{options.skew}, {}};
  TRY(known.let_go, was_let_go(directory));
  Filter all = options.filter;
  all.span = {};  // An order that rests may have been signed long before.
  TRY_VOID(visit_records(directory, {}, [&](const audit::Record& record, const audit::LogLine&) {
    known.first = record.time;
    return false;
  }));
  TRY_VOID(visit_records(directory, all, [&](const audit::Record& record, const audit::LogLine&) {
    if (std::optional<Claim> claim = claim_of(record)) known.claims.add(*std::move(claim));
    return true;
  }));
  known.claims.sort();
  return known;
}

class Comparison {
 public:
  Comparison(Signed known, const ReconcileOptions& options)
      : claims_{std::move(known.claims)},
        first_{known.first},
        let_go_{known.let_go},
        options_{options} {}

  Reconciled run(std::vector<Item> items) {
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.time < b.time; });
    for (const Item* item : by_what_they_say(items)) judge(*item);
    judge_trades(items);
    find_unseen(items);
    std::stable_sort(out_.foreign.begin(), out_.foreign.end(),
                     [](const Foreign& a, const Foreign& b) { return a.item.time < b.item.time; });
    return std::move(out_);
  }

 private:
  enum class Verdict : std::uint8_t { signed_here, before_log, foreign };

  // Orders and transfers. What names its client's id or its address goes first: where there are too
  // few records, the one that says less is the one left over.
  static std::vector<const Item*> by_what_they_say(const std::vector<Item>& items) {
    std::vector<const Item*> sorted;
    for (const Item& item : items)
      if (item.event != Event::trade) sorted.push_back(&item);
    const auto silence = [](const Item* item) {
      return (item->client_id.empty() ? 2 : 0) + (item->address.empty() ? 1 : 0);
    };
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](const Item* a, const Item* b) { return silence(a) < silence(b); });
    return sorted;
  }

  // What lies outside of the time asked for takes its record all the same, or another could.
  void judge(const Item& item) {
    ++(item.event == Event::order ? out_.orders : out_.transfers);
    const bool incoming = is_incoming(item);
    const Verdict verdict = incoming ? Verdict::signed_here : verdict_of(item);
    const bool asked_for = options_.filter.span.contains(item.time);
    if (item.event == Event::order && (asked_for || verdict != Verdict::foreign))
      orders_.emplace(item.id, verdict);
    if (!asked_for) {
      ++out_.outside;
    } else if (incoming) {
      ++out_.incoming;
    } else {
      count(verdict, 1);
      if (verdict == Verdict::foreign) out_.foreign.push_back({item, claims_.why_not(item)});
    }
  }

  Verdict verdict_of(const Item& item) {
    if (claims_.answer(item)) return Verdict::signed_here;
    return is_before_log(item) ? Verdict::before_log : Verdict::foreign;
  }

  void count(Verdict verdict, std::size_t items) {
    if (verdict == Verdict::signed_here) out_.matched += items;
    if (verdict == Verdict::before_log) out_.before_log += items;
  }

  // Where records were let go, one of them may answer for what lies within the skew of the first
  // that is there.
  bool is_before_log(const Item& item) const {
    if (!first_) return false;
    return let_go_ ? item.time - options_.skew < *first_ : item.time + options_.skew < *first_;
  }

  // One order trades many times; the orders themselves, where they are given, answer for it.
  void judge_trades(const std::vector<Item>& items) {
    std::vector<std::vector<const Item*>> orders;  // In order of their first trade.
    std::unordered_map<std::string_view, std::size_t> places;
    for (const Item& item : items) {
      if (item.event != Event::trade) continue;
      ++out_.trades;
      if (!options_.filter.span.contains(item.time)) {
        ++out_.outside;
        continue;
      }
      const auto [place, fresh] = places.emplace(item.order_id, orders.size());
      if (fresh) orders.emplace_back();
      orders[place->second].push_back(&item);
    }
    for (const std::vector<const Item*>& trades : orders) {
      const auto known = orders_.find(trades.front()->order_id);
      if (known == orders_.end())
        judge_traded(trades);
      else
        count(known->second, trades.size());
    }
  }

  void judge_traded(const std::vector<const Item*>& trades) {
    Item sum = *trades.front();
    Traded& traded = traded_.emplace_back(Traded{.client_id = sum.client_id,
                                                 .asset = sum.asset,
                                                 .side = sum.side,
                                                 .amount = {},
                                                 .lowest = *sum.price,
                                                 .highest = *sum.price,
                                                 .first = sum.time});
    for (const Item* trade : trades) {
      traded.amount = traded.amount.plus(trade->amount).value_or(Decimal::largest());
      traded.lowest = std::min(traded.lowest, *trade->price);
      traded.highest = std::max(traded.highest, *trade->price);
    }
    if (claims_.answer(traded)) return count(Verdict::signed_here, trades.size());
    if (is_before_log(sum)) return count(Verdict::before_log, trades.size());
    sum.amount = traded.amount;
    std::string why = "no order was signed here that could trade so";
    if (let_go_) why += ", unless it rested since before the records that were let go";
    out_.foreign.push_back({std::move(sum), std::move(why)});
  }

  // Only between the first and the last of the kind: the history is silent about the rest.
  void find_unseen(const std::vector<Item>& items) {
    std::map<Event, Span> shown;  // Both ends included.
    for (const Item& item : items) {
      Span& span = shown[item.event];
      if (!span.since) span.since = item.time;
      span.until = item.time;
    }
    for (const Claim& claim : claims_.all()) {
      const auto span = shown.find(claim.event);
      if (claim.taker || span == shown.end() || claim.time < *span->second.since ||
          claim.time > *span->second.until || !options_.filter.span.contains(claim.time))
        continue;
      if (++out_.unseen <= kUnseenLimit) out_.unseen_records.push_back(claim);
    }
  }

  Claims claims_;
  const std::optional<Clock::Wall> first_;
  const bool let_go_;
  const ReconcileOptions& options_;
  std::unordered_map<std::string, Verdict> orders_;  // By id: those whose trades need no answer.
  std::deque<Traded> traded_;                        // Claims keep pointers.
  Reconciled out_;
};

}  // namespace

Result<Reconciled> reconcile(const std::string& directory, std::vector<Item> items,
                             const ReconcileOptions& options) {
  TRY(Signed known, read_log(directory, options));
  return Comparison{std::move(known), options}.run(std::move(items));
}

}  // namespace hsm::audit_tools
