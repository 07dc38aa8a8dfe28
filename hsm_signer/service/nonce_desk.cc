#include "hsm_signer/service/nonce_desk.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

// Time-based nonces are refused at 25 s (nonce::Bounds): early enough to set the clock right.
constexpr std::chrono::seconds kSkewAlarm{5};
constexpr std::chrono::minutes kBetweenAlarms{1};

}  // namespace

std::string nonce_scope(const ApiKeyId& id) { return "nonce/" + id.value; }

NonceDesk::NonceDesk(const Clock& clock, state::State& state, LoggedMarks logged)
    : clock_{clock}, state_{state}, logged_{std::move(logged)}, book_{nonce::now_of(clock)} {}

Result<nonce::MarkIndex> NonceDesk::open(const keystore::KeyVersion& version) {
  TRY(const nonce::MarkIndex mark, book_.open(version.api_key_id, version.nonce_form));
  const auto logged = logged_.find(version.api_key_id);
  if (logged == logged_.end()) return mark;
  TRY(const nonce::Value value, nonce::Value::parse(logged->second));
  book_.raise(mark, value);
  logged_.erase(logged);
  return mark;
}

Result<std::optional<nonce::Drawn>> NonceDesk::draw(nonce::MarkIndex mark) {
  return take(mark, book_.draw(mark, nonce::now_of(clock_)));
}

Result<std::optional<nonce::Drawn>> NonceDesk::overtake(nonce::MarkIndex mark) {
  return take(mark, book_.overtake(mark, nonce::now_of(clock_)));
}

Result<std::optional<nonce::Drawn>> NonceDesk::admit(nonce::MarkIndex mark, std::string_view text) {
  if (parked_.contains(mark)) return std::optional<nonce::Drawn>{};
  return take(mark, book_.admit(mark, text, nonce::now_of(clock_)));
}

Result<std::optional<nonce::Drawn>> NonceDesk::take(nonce::MarkIndex mark,
                                                    Result<nonce::Outcome> outcome) {
  if (!outcome) return fail(outcome.error());
  if (const auto* drawn = std::get_if<nonce::Drawn>(&*outcome)) {
    if (drawn->want_refill) reserve(mark, drawn->refill_to);
    return std::optional{*drawn};
  }
  const auto& needed = std::get<nonce::NeedsReserve>(*outcome);
  if (!needed.asked) reserve(mark, needed.at_least_last);
  return std::optional<nonce::Drawn>{};
}

void NonceDesk::reserve(nonce::MarkIndex mark, nonce::Value at_least) {
  state_.reserve(nonce_scope(book_.api_key_id(mark)), at_least.units,
                 [this, mark](Result<state::Reservation> answer) { reserved(mark, answer); });
}

void NonceDesk::reserved(nonce::MarkIndex mark, const Result<state::Reservation>& answer) {
  Result<void> outcome;
  if (answer) {
    outcome = book_.install(
        mark, {.first = {answer->first}, .last = {answer->last}, .epoch = answer->epoch});
  } else {
    book_.reserve_failed(mark);
    outcome = fail(answer.error());
  }
  if (!outcome) log(Level::error, "nonce_reservation_failed", outcome.error().sentence());
  // Those who park again while we resume stand in a new queue, in the same order.
  const auto waiting = parked_.extract(mark);
  if (waiting.empty()) return;
  for (const Resume& resume : waiting.mapped()) resume(outcome);
}

void NonceDesk::park(nonce::MarkIndex mark, Resume resume) {
  parked_[mark].push_back(std::move(resume));
}

Result<std::optional<std::chrono::nanoseconds>> NonceDesk::exchange_said(std::uint64_t time_us) {
  const nonce::Now now = nonce::now_of(clock_);
  // A Wall counts nanoseconds in 64 bits.
  const std::uint64_t most = INT64_MAX / 1000;
  const std::chrono::microseconds time{static_cast<std::int64_t>(std::min(time_us, most))};
  TRY_VOID(book_.exchange_said(Clock::Wall{time}, now));
  const auto ahead = book_.exchange_ahead(now);
  const bool before = std::exchange(skewed_, ahead && std::chrono::abs(*ahead) >= kSkewAlarm);
  if (!skewed_ || before) return std::nullopt;
  if (alarmed_ && now.steady - *alarmed_ < kBetweenAlarms) {
    skewed_ = false;  // Given later, if it is so still.
    return std::nullopt;
  }
  alarmed_ = now.steady;
  return ahead;
}

void NonceDesk::settle(std::function<void()> done) {
  const std::vector<nonce::Settlement> settlements = book_.settle();
  auto open = std::make_shared<std::size_t>(settlements.size());
  if (settlements.empty()) return done();
  for (const nonce::Settlement& settlement : settlements) {
    state_.settle(nonce_scope(settlement.api_key_id), settlement.mark.units, settlement.epoch,
                  [open, done](const Result<void>& settled) {
                    if (!settled)
                      log(Level::warning, "nonce_not_settled", settled.error().sentence());
                    if (--*open == 0) done();
                  });
  }
}

}  // namespace hsm::service
