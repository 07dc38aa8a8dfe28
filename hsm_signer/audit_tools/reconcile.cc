#include "hsm_signer/audit_tools/reconcile.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_set>

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
};

Result<Signed> read_log(const std::string& directory, const ReconcileOptions& options) {
  Signed known{Claims{options.skew}, {}};
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
      : claims_{std::move(known.claims)}, first_{known.first}, options_{options} {}

  Reconciled run(std::vector<Item> items) {
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.time < b.time; });
    // What names its client's id goes first: it knows which record is its own.
    for (const bool named : {true, false})
      for (const Item& item : items)
        if (item.event != Event::trade && item.client_id.empty() != named) judge(item);
    judge_trades(items);
    find_unseen(items);
    std::stable_sort(out_.foreign.begin(), out_.foreign.end(),
                     [](const Foreign& a, const Foreign& b) { return a.item.time < b.item.time; });
    return std::move(out_);
  }

 private:
  void judge(const Item& item) {
    ++(item.event == Event::order ? out_.orders : out_.transfers);
    if (item.event == Event::order) orders_.insert(item.id);
    if (!is_asked_for(item)) return;
    if (is_incoming(item)) {
      ++out_.incoming;
    } else if (claims_.answer(item)) {
      ++out_.matched;
    } else if (is_before_log(item)) {
      ++out_.before_log;
    } else {
      out_.foreign.push_back({item, claims_.why_not(item)});
    }
  }

  bool is_asked_for(const Item& item) {
    if (options_.filter.span.contains(item.time)) return true;
    ++out_.outside;
    return false;
  }

  bool is_before_log(const Item& item) const {
    return first_ && item.time + options_.skew < *first_;
  }

  // One order trades many times; the orders themselves, where they are given, answer for it.
  void judge_trades(const std::vector<Item>& items) {
    std::map<std::string, std::vector<const Item*>> by_order;
    for (const Item& item : items) {
      if (item.event != Event::trade) continue;
      ++out_.trades;
      if (!is_asked_for(item)) continue;
      by_order[item.order_id].push_back(&item);
    }
    for (const auto& [order, trades] : by_order) {
      if (orders_.contains(order)) {
        out_.matched += trades.size();
        continue;
      }
      judge_traded(trades);
    }
  }

  void judge_traded(const std::vector<const Item*>& trades) {
    Item sum = *trades.front();
    Claims::Traded traded{.client_id = sum.client_id,
                          .asset = sum.asset,
                          .side = sum.side,
                          .amount = {},
                          .lowest = *sum.price,
                          .highest = *sum.price,
                          .first = sum.time};
    for (const Item* trade : trades) {
      traded.amount = traded.amount.plus(trade->amount).value_or(Decimal::largest());
      traded.lowest = std::min(traded.lowest, *trade->price);
      traded.highest = std::max(traded.highest, *trade->price);
    }
    if (claims_.answer(traded)) {
      out_.matched += trades.size();
    } else if (is_before_log(sum)) {
      out_.before_log += trades.size();
    } else {
      sum.amount = traded.amount;
      out_.foreign.push_back({std::move(sum), "no order was signed here that could trade so"});
    }
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
      if (claim.used || span == shown.end() || claim.time < *span->second.since ||
          claim.time > *span->second.until || !options_.filter.span.contains(claim.time))
        continue;
      if (++out_.unseen <= kUnseenLimit) out_.unseen_records.push_back(claim);
    }
  }

  Claims claims_;
  const std::optional<Clock::Wall> first_;
  const ReconcileOptions& options_;
  std::unordered_set<std::string> orders_;
  Reconciled out_;
};

}  // namespace

Result<Reconciled> reconcile(const std::string& directory, std::vector<Item> items,
                             const ReconcileOptions& options) {
  TRY(Signed known, read_log(directory, options));
  return Comparison{std::move(known), options}.run(std::move(items));
}

}  // namespace hsm::audit_tools
