#include "hsm_signer/nonce/nonce.h"

#include <algorithm>
#include <utility>

namespace hsm::nonce {
namespace {

// 20 digits: what the strict payload accepts as a nonce, so also what may be drawn.
constexpr Value kMost = Value::whole(Uint128{10'000'000'000} * Uint128{10'000'000'000} - 1);

Uint128 nanoseconds(Clock::Wall wall) {
  return static_cast<Uint128>(std::max<std::int64_t>(wall.time_since_epoch().count(), 0));
}

// Nanoseconds as a nonce of this form. The scale of Value is 10^9, so nothing is rounded.
Value in_unit(Uint128 ns, Form form) { return Value{ns * per_second(form)}; }

Value span(std::chrono::milliseconds length, Form form) {
  return in_unit(static_cast<Uint128>(std::chrono::nanoseconds{length}.count()), form);
}

// Between two nonces that the signer draws, in Value::units.
Uint128 step_of(Form form) {
  constexpr Uint128 kMicrosecond = 1'000;
  return form == Form::signer_s ? kMicrosecond : Value::kScale;
}

// "; it looks like caller-ns": which unit would make the number a time within a factor of two of
// now.
std::string guess_unit(Value value, Uint128 now_ns, Form form) {
  for (Form other : {Form::caller_s, Form::caller_ms, Form::caller_us, Form::caller_ns}) {
    const Uint128 there = in_unit(now_ns, other).units;
    if (other == form || value.units < there / 2 || value.units > there * 2) continue;
    return std::string{"; it looks like "}.append(name(other));
  }
  return {};
}

tl::unexpected<Error> too_far_ahead(Value value, Value limit, Uint128 now_ns, Form form) {
  return fail(Code::nonce_conflict, "nonce too far ahead of the clock",
              value.text() + " is above " + limit.text() + ", the limit now on a " +
                  std::string{name(form)} + " key" + guess_unit(value, now_ns, form));
}

}  // namespace

Book::Book(Now start, Bounds bounds) : bounds_{bounds}, anchor_{start} {}

void Book::trust_clock(Now now) { anchor_ = now; }

Result<MarkIndex> Book::open(const ApiKeyId& id, Form form) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) {
    const Form known = marks_[found->second].form;
    if (known == form) return found->second;
    return fail(
        Code::denied, "nonce forms are never mixed on one API key",
        std::string{"it is "}.append(name(known)).append(", asked for ").append(name(form)));
  }
  const auto index = static_cast<MarkIndex>(marks_.size());
  marks_.push_back(Mark{.id = id, .form = form});
  by_id_.emplace(id, index);
  return index;
}

// A clock that jumped a year ahead would burn a year of nonces into the mark, and no later
// correction could take that back: the exchange remembers.
Result<void> Book::check_clock(Now now, std::chrono::seconds believed) const {
  const auto expected = anchor_.wall + (now.steady - anchor_.steady);
  if (now.wall - expected <= believed) return {};
  const auto ahead = std::chrono::duration_cast<std::chrono::seconds>(now.wall - expected);
  return fail(Code::clock_skew, "the system clock was set forward",
              std::to_string(ahead.count()) + " s since the start, at most " +
                  std::to_string(believed.count()) +
                  " s are believed; set it right, or restart if it is right now");
}

// Refused here, and the mark stays: sent, the nonce would be refused by the exchange.
Result<void> Book::check_time_based(Value next, Now now) const {
  using std::chrono::duration_cast;
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  const std::optional<nanoseconds> ahead = exchange_.ahead(now);
  if (!ahead) TRY_VOID(check_clock(now, bounds_.time_based));
  const nanoseconds exchange = now.wall.time_since_epoch() + ahead.value_or(nanoseconds{0});
  constexpr Uint128 kMostNanoseconds = INT64_MAX;  // The year 2262; a mark may be anywhere.
  const nanoseconds off{static_cast<std::int64_t>(std::min(next.units, kMostNanoseconds)) -
                        exchange.count()};
  if (std::chrono::abs(off) <= bounds_.time_based) return {};
  const auto in_words = [](nanoseconds length) {
    const std::int64_t count = duration_cast<seconds>(length).count();
    return std::to_string(std::abs(count)) + " s " + (count < 0 ? "behind" : "ahead of");
  };
  if (ahead && std::chrono::abs(*ahead) > bounds_.time_based)
    return fail(Code::clock_skew, "the clock is too far from the exchange's for time-based nonces",
                "it is " + in_words(-*ahead) + " the exchange's; set it right");
  Error error{.code = Code::clock_skew,
              .what = "the next nonce of this time-based key is too far from the exchange's clock",
              .detail = "it is " + in_words(off) + " that, at most " +
                        std::to_string(bounds_.time_based.count()) +
                        " s are used; the clock was set back: wait, or set it right"};
  if (off > nanoseconds{0})
    error.retry_after_ms = static_cast<std::uint32_t>(std::min<std::int64_t>(
        duration_cast<std::chrono::milliseconds>(off - bounds_.time_based).count() + 1,
        UINT32_MAX));
  return fail(std::move(error));
}

Outcome Book::take(Mark& mark, Value value, Value block_end) {
  if (!mark.reserved || value > mark.reserved_last)
    return NeedsReserve{block_end, std::exchange(mark.asked, true)};
  mark.last_used = value;
  Drawn drawn{.value = value, .text = {}};
  const Uint128 left = mark.reserved_last.units - value.units;
  if (!mark.asked && left < (block_end.units - value.units) / 2) {
    mark.asked = true;
    drawn.want_refill = true;
    drawn.refill_to = block_end;
  }
  return drawn;
}

Result<Outcome> Book::draw(MarkIndex index, Now now) {
  const Mark& mark = marks_[index];
  if (is_caller(mark.form))
    return fail(Code::nonce_conflict, "this key takes its nonces from the caller",
                std::string{name(mark.form)} + ": send a payload with a nonce (sign_verbatim)");
  return overtake(index, now);
}

Result<Outcome> Book::overtake(MarkIndex index, Now now) {
  Mark& mark = marks_[index];
  TRY_VOID(check_clock(now, bounds_.forward_step));
  const Uint128 step = step_of(mark.form);
  const Uint128 clock = in_unit(nanoseconds(now.wall), mark.form).units / step;
  const Value next{std::max(clock, mark.last_used.units / step + 1) * step};
  if (mark.form == Form::signer_s) TRY_VOID(check_time_based(next, now));
  if (next > kMost) return fail(Code::nonce_conflict, "the nonces of this API key are used up");
  const Value block_end{next.units + span(bounds_.signer_block, mark.form).units};
  Outcome outcome = take(mark, next, std::min(block_end, kMost));
  if (auto* drawn = std::get_if<Drawn>(&outcome)) {
    mark.overtaken = drawn->value;
    drawn->text = drawn->value.text(mark.form == Form::signer_s ? kDrawnFractionDigits : 0);
  }
  return outcome;
}

Result<void> Book::not_overtaken(MarkIndex index, std::string_view text) const {
  if (marks_[index].overtaken == Value{}) return {};  // No panic in this run.
  TRY(const Value value, Value::parse(text));
  if (value > marks_[index].overtaken) return {};
  return fail(Code::nonce_conflict, "a panic took a higher nonce of this API key meanwhile",
              value.text() + " must be above " + marks_[index].overtaken.text());
}

Result<Outcome> Book::admit(MarkIndex index, std::string_view text, Now now) {
  Mark& mark = marks_[index];
  if (!is_caller(mark.form))
    return fail(Code::nonce_conflict, "the signer draws the nonces of this key",
                std::string{name(mark.form)} + ": send a payload without a nonce (sign_request)");
  TRY(const Value value, Value::parse(text));
  if (mark.form != Form::caller_s && text.find('.') != std::string_view::npos)
    return fail(Code::invalid_payload, "only nonces in seconds may have a fraction",
                std::string{"this key is "}.append(name(mark.form)));
  TRY_VOID(check_clock(now, bounds_.forward_step));
  const Uint128 clock = nanoseconds(now.wall);
  const auto ahead = static_cast<Uint128>(std::chrono::nanoseconds{bounds_.caller_ahead}.count());
  const Value limit = in_unit(clock + ahead, mark.form);
  if (value > limit) return too_far_ahead(value, limit, clock, mark.form);
  if (value <= mark.last_used)
    return fail(Code::nonce_conflict, "nonce not above the last one of this API key",
                value.text() + " must be above " + mark.last_used.text());
  return take(mark, value, Value{value.units + span(bounds_.caller_block, mark.form).units});
}

Result<void> Book::install(MarkIndex index, const Reservation& reservation) {
  Mark& mark = marks_[index];
  if (was_given_back(mark) || !std::exchange(mark.asked, false))
    return fail(Code::internal, "a nonce reservation that nobody waits for");
  if (reservation.epoch < mark.epoch)
    return fail(Code::state_unavailable, "a nonce reservation of an older epoch",
                std::to_string(reservation.epoch) + " after " + std::to_string(mark.epoch));
  const Value before{std::max<Uint128>(reservation.first.units, 1) - 1};
  const bool goes_on =
      mark.reserved && reservation.epoch == mark.epoch && before <= mark.reserved_last;
  if (!goes_on) {
    // What lies below `first` is not ours: an earlier run or another signer may have used it.
    mark.last_used = std::max(mark.last_used, before);
    mark.reserved_last = reservation.last;
  }
  mark.reserved_last = std::max(mark.reserved_last, reservation.last);
  mark.epoch = reservation.epoch;
  mark.reserved = true;
  return {};
}

void Book::reserve_failed(MarkIndex index) {
  Mark& mark = marks_[index];
  if (!was_given_back(mark)) mark.asked = false;
}

// After settle() the numbers of an answer still under way may be given to the next start, whoever
// has asked for others in between.
bool Book::was_given_back(Mark& mark) {
  if (mark.given_back == 0) return false;
  --mark.given_back;
  return true;
}

void Book::raise(MarkIndex index, Value at_least) {
  marks_[index].last_used = std::max(marks_[index].last_used, at_least);
}

std::vector<Settlement> Book::settle() {
  std::vector<Settlement> settled;
  for (Mark& mark : marks_) {
    if (std::exchange(mark.asked, false)) ++mark.given_back;
    if (!std::exchange(mark.reserved, false)) continue;
    settled.push_back({mark.id, mark.last_used, mark.epoch});
  }
  return settled;
}

}  // namespace hsm::nonce
