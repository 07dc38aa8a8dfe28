// Where the nonce book meets durable state: requests wait here while a reservation is on its way.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/key.h"
#include "hsm_signer/nonce/nonce.h"
#include "hsm_signer/state/state.h"

namespace hsm::service {

// Where state.db keeps the mark of an API key id: names and versions that share one share its mark.
std::string nonce_scope(const ApiKeyId& id);

class NonceDesk {
 public:
  using Resume = std::function<void(Result<void>)>;

  // The last nonce of each API key in the log. A key may be registered long after the start (again,
  // with a state that lost it), so they are kept until somebody opens their mark.
  using LoggedMarks = std::unordered_map<ApiKeyId, std::string>;

  NonceDesk(const Clock& clock, state::State& state, LoggedMarks logged = {});

  // The mark of the version's API key id; refused where that id is known with another nonce form.
  // Nothing at or below what the log holds for it is given out, whatever the state says.
  Result<nonce::MarkIndex> open(const keystore::KeyVersion& version);

  // The next nonce of a signer-* mark; nothing where a reservation must come first: park().
  Result<std::optional<nonce::Drawn>> draw(nonce::MarkIndex mark);
  // The same for any mark, above all that were given out or admitted.
  Result<std::optional<nonce::Drawn>> overtake(nonce::MarkIndex mark);
  // The same for a caller's own nonce. Once somebody is parked, later callers must park behind.
  Result<std::optional<nonce::Drawn>> admit(nonce::MarkIndex mark, std::string_view text);
  // As nonce::Book's.
  Result<void> not_overtaken(nonce::MarkIndex mark, std::string_view text) const {
    return book_.not_overtaken(mark, text);
  }
  // `resume` runs once, in the order of parking, when the reservation is there or has failed.
  void park(nonce::MarkIndex mark, Resume resume);

  // What the exchange's clock shows now, microseconds since 1970. Gives how far it is ahead where
  // that has just got worse than the bound of the alarm, once a minute at most: a client says it.
  // Errors: as nonce::ExchangeClock::said().
  Result<std::optional<std::chrono::nanoseconds>> exchange_said(std::uint64_t time_us);

  // At a clean stop: gives back what was reserved and not used. `done` runs when all of it is
  // durable.
  void settle(std::function<void()> done);

 private:
  Result<std::optional<nonce::Drawn>> take(nonce::MarkIndex mark, Result<nonce::Outcome> outcome);
  void reserve(nonce::MarkIndex mark, nonce::Value at_least);
  void reserved(nonce::MarkIndex mark, const Result<state::Reservation>& answer);

  const Clock& clock_;
  state::State& state_;
  LoggedMarks logged_;
  nonce::Book book_;
  bool skewed_ = false;                   // The alarm has been given.
  std::optional<Clock::Steady> alarmed_;  // When the last one was.
  std::unordered_map<nonce::MarkIndex, std::vector<Resume>> parked_;
};

}  // namespace hsm::service
