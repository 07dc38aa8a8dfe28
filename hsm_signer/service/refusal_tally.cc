#include "hsm_signer/service/refusal_tally.h"

#include <algorithm>

namespace hsm::service {
namespace {

// Written of one uid: so many at once, then so many a second.
constexpr double kBurst = 200;
constexpr double kPerSecond = 50;

}  // namespace

RefusalTally::Share& RefusalTally::share_of(uid_t uid, Clock::Steady now) {
  const auto tokens_now = [now](const Share& share) {
    const double seconds = std::chrono::duration<double>(now - share.at).count();
    return std::min(kBurst, share.tokens + seconds * kPerSecond);
  };
  if (!shares_.contains(uid) && shares_.size() >= kMostUids) {
    // Who has all of it again is as if never seen.
    std::erase_if(shares_, [&](const auto& entry) { return tokens_now(entry.second) >= kBurst; });
    if (shares_.size() >= kMostUids) uid = kOthers;
  }
  Share& share = shares_.try_emplace(uid, Share{.tokens = kBurst, .at = now}).first->second;
  share = {.tokens = tokens_now(share), .at = now};
  return share;
}

bool RefusalTally::takes(uid_t uid, Clock::Steady now) {
  Share& share = share_of(uid, now);
  if (share.tokens < 1) return false;
  share.tokens -= 1;
  return true;
}

void RefusalTally::count(uid_t uid, std::string_view code, Clock::Wall now) {
  if (!counted_.contains(uid) && counted_.size() >= kMostUids) uid = kOthers;
  Counted& counted = counted_[uid];
  if (counted.count++ == 0) counted.since = now;
  const auto found = counted.codes.find(code);
  ++(found != counted.codes.end() ? found->second : counted.codes.emplace(code, 0).first->second);
}

std::vector<audit::Record> RefusalTally::records() const {
  std::vector<audit::Record> records;
  for (const auto& [uid, counted] : counted_) {
    records.push_back(audit::Record::refusals(uid, counted.count, counted.since));
    for (const auto& [code, count] : counted.codes)
      records.back().fields.push_back({.name = code, .value = std::to_string(count)});
  }
  return records;
}

}  // namespace hsm::service
