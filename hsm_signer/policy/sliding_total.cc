#include "hsm_signer/policy/sliding_total.h"

namespace hsm::policy {
namespace {

Decimal saturating(Decimal a, Decimal b) { return a.plus(b).value_or(Decimal::largest()); }

}  // namespace

SlidingTotal::SlidingTotal(std::chrono::nanoseconds per)
    : width_{(per.count() + kParts - 1) / kParts}, now_{part_of(Clock::Wall::min())} {}

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
  if (part > now_ || part <= now_ - kKept) return;
  Decimal& there = kept(part);
  const auto less = there.minus(value);
  if (!less || there == Decimal::largest()) return;
  there = *less;
  sum_anew();
}

Decimal SlidingTotal::total(Clock::Wall now) {
  go_to(part_of(now));
  return sum_;
}

Clock::Wall SlidingTotal::falls_to(Clock::Wall now, Decimal most) const {
  SlidingTotal later = *this;
  if (later.total(now) <= most) return now;
  // By then all that is kept has left.
  for (Part i = 0; i < kKept && later.sum_ > most; ++i) later.go_to(later.now_ + 1);
  return Clock::Wall{width_ * later.now_};
}

void SlidingTotal::go_to(Part part) {
  if (part <= now_) return;
  if (part >= now_ + kKept) {
    parts_.fill({});
    sum_ = {};
    now_ = part;
    return;
  }
  // Nothing can be taken off a sum that stopped at the largest.
  const bool known = sum_ != Decimal::largest();
  while (now_ < part) {
    ++now_;
    if (known) sum_ = sum_.minus(kept(now_)).value_or(sum_);
    kept(now_) = Decimal{};
  }
  if (!known) sum_anew();
}

void SlidingTotal::sum_anew() {
  sum_ = {};
  for (const Decimal& value : parts_) sum_ = saturating(sum_, value);
}

}  // namespace hsm::policy
