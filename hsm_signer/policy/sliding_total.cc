#include "hsm_signer/policy/sliding_total.h"

#include <algorithm>

namespace hsm::policy {
namespace {

Decimal saturating(Decimal a, Decimal b) { return a.plus(b).value_or(Decimal::largest()); }

}  // namespace

SlidingTotal::SlidingTotal(std::chrono::nanoseconds per)
    : width_{(per.count() + kParts - 1) / kParts},
      now_{part_of(Clock::Wall::min())},
      newest_{now_} {}

SlidingTotal::Part SlidingTotal::part_of(Clock::Wall at) const {
  const auto since = at.time_since_epoch();
  const Part part = since / width_;
  return since % width_ < std::chrono::nanoseconds{0} ? part - 1 : part;
}

Decimal& SlidingTotal::kept(Part part) {
  const Part slot = part % kKept;
  return parts_[static_cast<std::size_t>(slot < 0 ? slot + kKept : slot)];
}

void SlidingTotal::add(Clock::Wall at, Decimal value) {
  go_to(part_of(at));
  kept(now_) = saturating(kept(now_), value);
  sum_ = saturating(sum_, value);
}

void SlidingTotal::take_back(Clock::Wall at, Decimal value) {
  const Part part = part_of(at);
  if (part > newest_ || part <= newest_ - kKept) return;
  if (!held_.sum.is_zero() && part <= held_.newest) return;  // It may be in there.
  Decimal& there = kept(part);
  const auto less = there.minus(value);
  if (!less || there == Decimal::largest()) return;
  there = *less;
  sum_anew();
}

Decimal SlidingTotal::total(Clock::Wall now) {
  go_to(part_of(now));
  return counted();
}

Decimal SlidingTotal::counted() const {
  return held_.counts(now_) ? saturating(sum_, held_.sum) : sum_;
}

Clock::Wall SlidingTotal::falls_to(Clock::Wall now, Decimal most) const {
  SlidingTotal later = *this;
  if (later.total(now) <= most) return now;
  // By then all that is kept or held has left.
  constexpr Part kMostSteps = 4 * kParts;
  for (Part i = 0; i < kMostSteps && later.counted() > most; ++i) later.walk_to(later.now_ + 1);
  return Clock::Wall{width_ * later.now_};
}

void SlidingTotal::go_to(Part part) {
  if (part < newest_ - kParts) return step_back_to(part);
  if (part > newest_ + kParts) return step_forward_to(part);
  walk_to(part);
}

void SlidingTotal::walk_to(Part part) {
  // Nothing can be taken off a sum that stopped at the largest.
  const bool known = sum_ != Decimal::largest();
  const bool moves = part != now_;
  for (; now_ > part; --now_) sum_ = saturating(sum_, kept(now_ - 1 - kParts));
  while (now_ < part) {
    ++now_;
    ++held_.walked;
    if (now_ > newest_) {
      newest_ = now_;
      kept(newest_) = Decimal{};
    }
    if (known) sum_ = sum_.minus(kept(now_ - 1 - kParts)).value_or(sum_);
  }
  if (moves && !known) sum_anew();
  if (held_.walked > kParts && !held_.counts(now_)) held_ = {};
}

void SlidingTotal::sum_anew() {
  sum_ = {};
  for (Part part = now_ - kParts; part <= newest_; ++part) sum_ = saturating(sum_, kept(part));
}

void SlidingTotal::start_at(Part part) {
  parts_.fill({});
  sum_ = {};
  now_ = newest_ = part;
}

// All that is kept is dated after `part`, or not long before it.
void SlidingTotal::step_back_to(Part part) {
  Held held{.stepped = part, .newest = newest_};
  if (held_.counts(part) || held_.counts(now_)) {
    held.sum = held_.sum;
    held.newest = std::max(held.newest, held_.newest);
  }
  for (const Decimal& value : parts_) held.sum = saturating(held.sum, value);
  held_ = held;
  start_at(part);
}

// By this clock all that is kept is too old. Whether the clock is right will show.
void SlidingTotal::step_forward_to(Part part) {
  Held held{.sum = sum_, .stepped = newest_, .newest = newest_};
  if (held_.counts(now_)) {
    held.sum = saturating(held.sum, held_.sum);
    held.newest = std::max(held.newest, held_.newest);
  }
  held_ = held;
  start_at(part);
}

}  // namespace hsm::policy
