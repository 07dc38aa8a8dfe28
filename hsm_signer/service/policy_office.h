// Puts another policy in force while the signer runs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/policy_desk.h"
#include "hsm_signer/service/policy_gate.h"
#include "hsm_signer/wire/policy.h"

namespace hsm::service {

class PolicyOffice {
 public:
  struct Parts {
    PolicyDesk& desk;
    PolicyGate& gate;
    Ledger& ledger;
    policy::Resolver users = policy::files_resolver();
  };
  using Reply = std::function<void(Result<wire::PolicyInForce>)>;

  // `now`: the policy that `desk` has.
  PolicyOffice(Parts parts, const PolicyFile& now)
      : parts_{std::move(parts)}, path_{now.path}, sha256_{now.sha256} {}

  // All or nothing: with an error in the file, without the officers' word where it is needed, or
  // with a log that takes no record, the old one stays. What was let in keeps the rules that it was
  // judged by. `who` asked; overloaded while another reload waits for the state.
  void reload(const Peer& who, const wire::ReloadPolicy& ask, const Reply& reply);
  // For SIGHUP: nobody waits for an answer, so it goes to the daemon's log.
  void reload_and_log();

 private:
  void pass(const PolicyFile& file, const Peer& who, const wire::ReloadPolicy& ask,
            const Reply& reply);
  void put_in_force(const PolicyFile& file, const Peer& who, const PolicyGate::Passed& passed,
                    const Reply& reply);
  void record(const Peer& who, const PolicyGate::Passed& passed, std::string detail);

  Parts parts_;
  std::string path_;
  std::string sha256_;
  bool passing_ = false;
};

}  // namespace hsm::service
