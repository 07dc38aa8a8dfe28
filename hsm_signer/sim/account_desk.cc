#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/call.h"
#include "hsm_signer/sim/fund_answers.h"

namespace hsm::sim {

Outcome<std::string> account_list(const Call& call) {
  constexpr std::size_t kMost = 500;
  ADMIT(const std::optional<Clock::Wall> until, read_timestamp(call.payload));
  ADMIT(const std::size_t limit, read_limit(call.payload, "limit_accounts", kMost, kMost));
  std::vector<const Account*> found;
  for (const Account& account : call.house.accounts()) {
    const auto created = std::chrono::floor<std::chrono::milliseconds>(account.created);
    if (found.size() < limit && (!until || created <= *until)) found.push_back(&account);
  }
  return accounts_body(found);
}

// The request itself has reset the timer, at the door.
Outcome<std::string> heartbeat(const Call&) { return ok_body(); }

Outcome<std::string> roles(const Call& call) { return roles_body(call.key); }

}  // namespace hsm::sim
