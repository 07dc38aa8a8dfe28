// Where the nonce book meets durable state: requests wait here while a reservation is on its way.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/key.h"
#include "hsm_signer/nonce/nonce.h"
#include "hsm_signer/state/state.h"

namespace hsm::service {

class NonceDesk {
 public:
  using Resume = std::function<void(Result<void>)>;

  NonceDesk(const Clock& clock, state::State& state);

  // The mark of the version's API key id; refused where that id is known with another nonce form.
  Result<nonce::MarkIndex> open(const keystore::KeyVersion& version);
  // From the audit log at start: nothing at or below this may be given out again.
  Result<void> raise(const ApiKeyId& id, nonce::Form form, std::string_view nonce_text);

  // The next nonce of a signer-* mark; nothing where a reservation must come first: park().
  Result<std::optional<nonce::Drawn>> draw(nonce::MarkIndex mark);
  // The same for a caller's own nonce. Once somebody is parked, later callers must park behind.
  Result<std::optional<nonce::Drawn>> admit(nonce::MarkIndex mark, std::string_view text);
  // `resume` runs once, in the order of parking, when the reservation is there or has failed.
  void park(nonce::MarkIndex mark, Resume resume);

  // At a clean stop: gives back what was reserved and not used. `done` runs when all of it is
  // durable.
  void settle(std::function<void()> done);

 private:
  Result<std::optional<nonce::Drawn>> take(nonce::MarkIndex mark, Result<nonce::Outcome> outcome);
  void reserve(nonce::MarkIndex mark, nonce::Value at_least);
  void reserved(nonce::MarkIndex mark, const Result<state::Reservation>& answer);

  const Clock& clock_;
  state::State& state_;
  nonce::Book book_;
  std::unordered_map<nonce::MarkIndex, std::vector<Resume>> parked_;
};

}  // namespace hsm::service
