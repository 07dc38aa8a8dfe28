// The policy in force, and what its decisions look at: windows, reference prices, the time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/policy/policy.h"
#include "hsm_signer/wire/client.h"

namespace hsm::service {

class PolicyDesk {
 public:
  PolicyDesk(const Clock& clock, std::shared_ptr<const policy::Rules> rules);

  // At the start, each record of the log in its order: what was allowed lately counts again.
  void replay(const audit::Record& record);
  // Whether a window may count it at `now`, if a start replays it.
  static bool may_count(const audit::Record& record, Clock::Wall now);

  // Lives as long as the rules in force; decisions made with it name rules by address, so who keeps
  // one keeps rules() too.
  policy::Scene scene(std::string_view approved_rule = {});
  const std::shared_ptr<const policy::Rules>& rules() const { return rules_; }

  // Other rules are in force from now on; requests that were let in keep theirs. Windows go on by
  // what they count, references stay. Gives the windows that may lack what was signed before
  // (policy/succession.h).
  std::vector<std::string> replace(std::shared_ptr<const policy::Rules> rules);

  // The request is let in: its windows count it. Gives the instant, for give_back().
  Clock::Wall take(const policy::Decision& decision, venue::Class cls);
  // It never reached a worker. `rules`: those it was judged by.
  void give_back(const policy::Rules& rules, const policy::Decision& decision, venue::Class cls,
                 Clock::Wall at);

  // denied: a client that may not say what the exchange's clock shows.
  Result<void> may_push_skew(const policy::Who& who) const;
  // denied: a client that may not; else as policy::References::push().
  Result<void> push_reference(const policy::Who& who, const wire::PushReference& ask);

 private:
  Clock::Wall counted();

  const Clock& clock_;
  std::shared_ptr<const policy::Rules> rules_;
  policy::Usage usage_;
  policy::References references_;
  // The time that windows count by: in the log it moves on as its records do, but never back, so a
  // clock that was set back empties no window; from the first request on it follows a clock that
  // knows no steps. A clock that was set forward between two runs ages what was before.
  std::optional<Clock::Wall> last_;  // Of the log's records.
  Clock::Wall counted_{};
  std::optional<Clock::Steady> since_;
};

// What a record says of the windows, written by SignTask and read by replay().
void add_charge(const policy::Decision& decision, audit::Record& record);

}  // namespace hsm::service
