// The nonce authority: never twice, never down, for each API key id. Pure: no clock, no file;
// whoever calls passes the time and carries reservations to durable state and back.
//
// A nonce leaves only from within a *reservation*, a stretch of numbers that durable state has
// already written off. A crash forgets how much of it was used, so the next start begins behind its
// end: numbers are lost, none comes twice.
//
//   draw()/admit() ──▶ Drawn                       use it
//                 ├──▶ NeedsReserve                park the request; if !asked: reserve(), then
//                 install() and try again └──▶ Error                       refuse
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/nonce/exchange_clock.h"
#include "hsm_signer/nonce/form.h"

namespace hsm::nonce {

// What durable state answers to reserve(api key id, at_least_last): it raises its mark to `last` =
// max(mark before, at_least_last) and gives `first` = mark before + the smallest step (1 in
// Value::units). Where the mark was already there, first > last: nothing reserved, but the book now
// knows the mark. `epoch` rises whenever somebody else may have reserved (a new start, a restored
// backup) and never falls.
struct Reservation {
  Value first;
  Value last;
  std::uint64_t epoch = 0;
};

// reserve() for this mark, at least up to here. `asked`: an earlier answer asked already and
// neither install() nor reserve_failed() has come since, so only wait.
struct NeedsReserve {
  Value at_least_last;
  bool asked = false;
};

struct Drawn {
  Value value;
  std::string text;  // draw(): what goes into the payload. admit(): empty, the payload holds its
                     // own spelling.
  // More than half of the reservation is used: reserve() up to here in the background, once per
  // refill.
  bool want_refill = false;
  Value refill_to{};
};

using Outcome = std::variant<Drawn, NeedsReserve>;

// One per API key id; small and dense, good as an index.
using MarkIndex = std::uint32_t;

struct Settlement {
  ApiKeyId api_key_id;
  Value mark;  // Nothing above this was ever given out in this epoch.
  std::uint64_t epoch = 0;
};

struct Bounds {
  // How far ahead of the clock a caller's nonce may be, so that nobody can push the mark out of
  // reach.
  std::chrono::seconds caller_ahead{5};
  // How far the wall clock may run ahead of what the steady clock says since the start.
  // CLOCK_BOOTTIME is slewed like CLOCK_REALTIME and goes on in suspend (clock_gettime(2)), so they
  // part by steps only.
  std::chrono::seconds forward_step{3600};
  // signer-s: how far a nonce may be from the exchange's clock, which takes 30 s. Where nobody said
  // what that shows, it is also how far the wall clock may run ahead.
  std::chrono::seconds time_based{25};
  // signer-*: how far ahead of max(clock, mark) a block reaches. Every number lost by a crash is
  // one of these.
  std::chrono::milliseconds signer_block{2000};
  // caller-*: how far ahead of the admitted nonce. After a crash a caller waits at most about this
  // long.
  std::chrono::milliseconds caller_block{1000};
};

// All marks of this signer. Names, versions and tokens that share an API key id share its mark.
class Book {
 public:
  // `start` anchors the step guard: wall time is later compared with what the steady clock says has
  // passed.
  explicit Book(Now start, Bounds bounds = {});

  // The mark of an API key id, made at its first mention. Refused: an id that is already here with
  // another form.
  Result<MarkIndex> open(const ApiKeyId& id, Form form);

  // signer-* marks: the next nonce, max(clock, last + 1); signer-s in microseconds, written as
  // seconds. clock_skew after a step forward beyond the bound; on signer-s also where the exchange
  // would refuse the nonce as too far from its time.
  Result<Outcome> draw(MarkIndex mark, Now now);
  // Any mark: a nonce above all that were given out or admitted, for a request that is nobody's but
  // the administrator's. On a caller-* mark the next that a caller brings must be higher.
  Result<Outcome> overtake(MarkIndex mark, Now now);
  // caller-* marks: nonce_conflict where overtake() has given out a nonce above this admitted one.
  Result<void> not_overtaken(MarkIndex mark, std::string_view text) const;
  // caller-* marks: whether `text` may be used now; when Drawn it counts as used. nonce_conflict:
  // not above the mark, or beyond clock + 5 s in the form's unit, or a draw on such a mark (and the
  // other way round).
  Result<Outcome> admit(MarkIndex mark, std::string_view text, Now now);

  // The answer to a reserve() that a NeedsReserve or want_refill asked for. Refused: an epoch below
  // one seen before (state_unavailable), an answer that nobody waits for (internal). Answers come
  // in the order in which they were asked for, these and those of reserve_failed().
  Result<void> install(MarkIndex mark, const Reservation& reservation);
  // reserve() failed: the next draw() or admit() asks again.
  void reserve_failed(MarkIndex mark);
  // Raises the mark (from the audit log after a restored backup). Never lowers it.
  void raise(MarkIndex mark, Value at_least);

  // At a clean stop: what durable state may lower its marks to, in the same epoch, so that nothing
  // reserved is lost. Afterwards every mark needs a new reservation, asked for after these have
  // been told to durable state: what was asked for before is refused when it comes. Marks that
  // never had one are left out.
  std::vector<Settlement> settle();

  // An operator has looked at the clock and believes it: later steps are measured from here.
  void trust_clock(Now now);
  // As ExchangeClock's.
  Result<void> exchange_said(Clock::Wall time, Now now) { return exchange_.said(time, now); }
  std::optional<std::chrono::nanoseconds> exchange_ahead(Now now) const {
    return exchange_.ahead(now);
  }

  std::size_t size() const { return marks_.size(); }
  const ApiKeyId& api_key_id(MarkIndex mark) const { return marks_[mark].id; }
  Form form(MarkIndex mark) const { return marks_[mark].form; }
  // The highest given out or known to be spent.
  Value mark(MarkIndex mark) const { return marks_[mark].last_used; }

 private:
  struct Mark {
    ApiKeyId id;
    Form form;
    Value last_used{};
    Value overtaken{};  // The last that overtake() gave out.
    Value reserved_last{};
    std::uint64_t epoch = 0;
    bool reserved = false;  // A reservation of this process is in force.
    bool asked = false;
    std::uint32_t given_back = 0;  // Answers under way when settle() was called.
  };

  Result<void> check_clock(Now now, std::chrono::seconds believed) const;
  Result<void> check_time_based(Value next, Now now) const;
  Outcome take(Mark& mark, Value value, Value block_end);
  static bool was_given_back(Mark& mark);

  Bounds bounds_;
  Now anchor_;
  ExchangeClock exchange_;
  std::vector<Mark> marks_;
  std::unordered_map<ApiKeyId, MarkIndex> by_id_;
};

}  // namespace hsm::nonce
