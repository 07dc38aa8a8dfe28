// How much was done in the last hour: the sum behind a window of a rule.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"

namespace hsm::policy {

// The sum of what was added in the last `per`, in memory of fixed size: time is cut into parts of
// per / 64, and a part counts until the last of it is older than `per`. So total() is never less
// than what was added in the last `per` and never more than what was added in the last per × 65/64.
//
// It stops at Decimal::largest(), and a part that reached it stays there until it is too old:
// nothing can be taken off a sum that is not known. No limit is above it, so that refuses.
//
// Time does not go back: what is dated before the newest time seen is taken as of that time.
class SlidingTotal {
 public:
  // 1 s to 31 days. Where it is no multiple of 64 ns (whole seconds are) parts are rounded up.
  explicit SlidingTotal(std::chrono::nanoseconds per);

  void add(Clock::Wall at, Decimal value);
  // What add() was told at the same instant, if it was not done after all. What is not found there
  // stays counted.
  void take_back(Clock::Wall at, Decimal value);
  Decimal total(Clock::Wall now);
  // The first instant, `now` or later, at which total() would be at most `most` if nothing were
  // added until then.
  Clock::Wall falls_to(Clock::Wall now, Decimal most) const;

 private:
  using Part = std::int64_t;  // Since 1970, in parts of width_.
  static constexpr Part kParts = 64;
  static constexpr Part kKept = kParts + 1;  // Now's, and those that reach into the last `per`.

  Part part_of(Clock::Wall at) const;
  Decimal& kept(Part part);
  void go_to(Part part);
  void sum_anew();

  std::chrono::nanoseconds width_;
  Part now_;
  Decimal sum_{};  // Of all parts.
  std::array<Decimal, kKept> parts_{};
};

}  // namespace hsm::policy
