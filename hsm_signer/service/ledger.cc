#include "hsm_signer/service/ledger.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

// Between two tries, while the log is low or cannot be written.
constexpr std::chrono::seconds kTryAgain{1};

}  // namespace

Ledger::Ledger(boost::asio::io_context& io, const Clock& clock, audit::Log& log, Released released,
               MacCounts counts)
    : io_{io},
      clock_{clock},
      log_{log},
      released_{std::move(released)},
      counts_{std::move(counts)},
      syncer_{log, [&io](std::function<void()> work) { boost::asio::post(io, std::move(work)); },
              [this](const Result<std::uint64_t>& up_to) { durable(up_to); }} {
  if (log_.cannot_reserve())
    hsm::log(
        Level::notice, "audit_no_reserve",
        "this file system keeps no space ready: where it gets full, cancels end with the rest");
  say_whether_low();
}

void Ledger::allow(audit::Record record, std::uint32_t lane, Release release) {
  Waiting waiting{.sequence = 0,
                  .lane = lane,
                  .durability = record.durability,
                  .release = std::move(release),
                  .api_key_id = {record.api_key_id},
                  .item = Released::item_of(record)};
  append(std::move(record), std::move(waiting));
}

void Ledger::refuse(audit::Record record) {
  look_for_space();
  const bool write = log_.low() ? probe_is_due() : tally_.takes(record.uid, clock_.steady());
  Refused refused{.uid = record.uid, .code = record.code};
  if (write && append(std::move(record), std::nullopt))
    return fresh_refusals_.push_back(std::move(refused));
  tally_.count(refused.uid, refused.code, clock_.wall());
}

// Where not even the reserve could be written, some record has to find out that it can.
bool Ledger::probe_is_due() {
  const Clock::Steady now = clock_.steady();
  if (!trouble_ || now - probed_ < kTryAgain) return false;
  probed_ = now;
  return true;
}

void Ledger::refuse(audit::Record record, const Error& why) {
  record.verdict = audit::Verdict::refuse;
  record.code = std::string{name(why.code)};
  record.sentence = why.sentence();
  refuse(std::move(record));
}

void Ledger::event(audit::Record record) { append(std::move(record), std::nullopt); }

bool Ledger::append(audit::Record record, std::optional<Waiting> waiting) {
  record.time = clock_.wall();
  if (waiting) waiting->item.time = record.time;
  counts_.see(record);
  const Result<std::uint64_t> sequence = log_.append(std::move(record));
  if (!sequence) {
    log(Level::error, "audit_append_failed", sequence.error().sentence());
    if (waiting)
      waiting->release(fail(Code::audit_unavailable, "the audit record could not be made"));
    return false;
  }
  if (waiting) {
    waiting->sequence = *sequence;
    fresh_.push_back(*std::move(waiting));
  }
  schedule_flush();
  return true;
}

void Ledger::schedule_flush() {
  if (std::exchange(flush_scheduled_, true)) return;
  boost::asio::post(io_, [this] { flush(); });
}

void Ledger::flush() {
  flush_scheduled_ = false;
  if (!log_.has_unflushed()) return;
  const Result<void> flushed = log_.flush();
  say_whether_low();
  std::vector<Waiting> fresh = std::exchange(fresh_, {});
  const std::vector<Refused> refused = std::exchange(fresh_refusals_, {});
  if (flushed) {
    if (std::exchange(trouble_, std::nullopt)) log(Level::notice, "audit_works_again");
    return written(std::move(fresh));
  }
  log_limited(Level::error, "audit_write_failed", flushed.error().sentence());
  trouble_ = flushed.error();
  counts_.unconfirm();
  for (const Refused& one : refused) tally_.count(one.uid, one.code, clock_.wall());
  for (const Waiting& waiting : fresh) waiting.release(fail(flushed.error()));
}

void Ledger::tell_refusals(EvenLow even_low) {
  flush();
  // After a write that failed this is one more try.
  if (log_.failure() || (log_.low() && even_low == EvenLow::no)) return;
  for (audit::Record& record : tally_.records()) append(std::move(record), std::nullopt);
  flush();
  if (!blocked()) tally_.told();
}

void Ledger::written(std::vector<Waiting> fresh) {
  for (Waiting& waiting : fresh) {
    // An `os` answer behind an `fsync` one of the same API key waits too: answers leave in nonce
    // order.
    const bool wait =
        waiting.durability == Durability::fsync || unsynced_lanes_.contains(waiting.lane);
    if (!wait) {
      release(waiting);
      continue;
    }
    ++unsynced_lanes_[waiting.lane];
    unsynced_.push_back(std::move(waiting));
  }
  if (!unsynced_.empty() || !barriers_.empty()) syncer_.request();
}

void Ledger::release(Waiting& waiting) {
  waiting.item.sequence = waiting.sequence;
  released_.add(waiting.api_key_id, std::move(waiting.item));
  waiting.release(waiting.sequence);
}

void Ledger::durable(const Result<std::uint64_t>& up_to) {
  if (!up_to) log(Level::error, "audit_sync_failed", up_to.error().sentence());
  while (!unsynced_.empty() && (!up_to || unsynced_.front().sequence <= *up_to)) {
    Waiting waiting = std::move(unsynced_.front());
    unsynced_.pop_front();
    if (--unsynced_lanes_[waiting.lane] == 0) unsynced_lanes_.erase(waiting.lane);
    if (up_to)
      release(waiting);
    else
      waiting.release(fail(up_to.error()));
  }
  const auto reached = std::stable_partition(
      barriers_.begin(), barriers_.end(),
      [&](const Barrier& barrier) { return up_to.has_value() && barrier.size > *up_to; });
  std::vector<Barrier> done{std::make_move_iterator(reached),
                            std::make_move_iterator(barriers_.end())};
  barriers_.erase(reached, barriers_.end());
  for (const Barrier& barrier : done) barrier.done(up_to ? Result<void>{} : fail(up_to.error()));
}

void Ledger::when_durable(Durable done) {
  flush();
  if (const auto why = blocked()) return done(fail(*why));
  barriers_.push_back({.size = log_.size(), .done = std::move(done)});
  syncer_.request();
}

std::optional<Error> Ledger::blocked() const {
  if (auto failure = log_.failure()) return failure;
  return trouble_;
}

std::optional<Error> Ledger::closed_to(venue::Class cls) {
  look_for_space();
  if (auto why = blocked()) return why;
  if (cls == venue::Class::cancel || cls == venue::Class::session) return std::nullopt;
  return log_.low();
}

void Ledger::look_for_space() {
  const Clock::Steady now = clock_.steady();
  if (!log_.low() || now - looked_for_space_ < kTryAgain) return;
  looked_for_space_ = now;
  log_.refill();
  say_whether_low();
}

void Ledger::say_whether_low() {
  const std::optional<Error> low = log_.low();
  if (low.has_value() == std::exchange(said_low_, low.has_value())) return;
  if (low) return log(Level::error, "audit_space_low", low->sentence());
  log(Level::notice, "audit_space_again");
}

Result<void> Ledger::add_checkpoint(std::string_view note) {
  const Result<void> added = log_.add_checkpoint(note);
  say_whether_low();
  TRY_VOID(added);
  syncer_.request();
  return {};
}

}  // namespace hsm::service
