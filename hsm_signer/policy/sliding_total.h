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
// Time may go back. What is dated after `now` counts. A step of up to `per`, forth or back, changes
// nothing of the above. Over a larger one nothing is lost either that is younger than `per` in
// truth and by the clock as it stands: the sum is held as one, counts until `per` after the step,
// and again if the clock returns to where it was; until then nothing of it is taken back. Of two
// larger steps forward in a row the last is remembered.
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
  // added and the clock not set until then; what is held over a larger step may still count.
  Clock::Wall falls_to(Clock::Wall now, Decimal most) const;

 private:
  using Part = std::int64_t;  // Since 1970, in parts of width_.
  static constexpr Part kParts = 64;
  // Twice `per`: what a step back of up to `per` makes count again.
  static constexpr Part kKept = 2 * kParts + 1;

  // What a step of more than `per` found.
  struct Held {
    Decimal sum{};
    Part stepped = 0;  // Where the clock stood after a step back, or before one forward.
    Part newest = 0;   // The newest part that is in it.
    Part walked = 0;   // Since the step.

    bool counts(Part now) const {
      return now <= stepped + kParts || (now >= newest - kParts && now <= newest + kParts);
    }
  };

  Part part_of(Clock::Wall at) const;
  Decimal& kept(Part part);
  void go_to(Part part);
  void walk_to(Part part);
  void step_back_to(Part part);
  void step_forward_to(Part part);
  void start_at(Part part);
  void sum_anew();
  Decimal counted() const;

  std::chrono::nanoseconds width_;
  // newest_ - kParts <= now_ <= newest_; kept are newest_ - kKept + 1 to newest_.
  Part now_;
  Part newest_;
  Decimal sum_{};  // Of now_ - kParts to newest_.
  std::array<Decimal, kKept> parts_{};
  Held held_;
};

}  // namespace hsm::policy
