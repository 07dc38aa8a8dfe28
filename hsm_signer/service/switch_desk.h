// Switches and leases between administrators, the policy that asks for them, and the state that
// keeps them. What tightens is in force at once and written behind that; what loosens is written
// first.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "hsm_signer/keystore/registry.h"
#include "hsm_signer/policy/switches.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/state/state.h"
#include "hsm_signer/wire/switches.h"

namespace hsm::service {

// Kinds of notes in the state, named by their subjects.
inline constexpr const char* kSwitchNotes = "switch";
inline constexpr const char* kLeaseNotes = "lease";

class SwitchDesk {
 public:
  struct Parts {
    const Clock& clock;
    state::State& state;
    Ledger& ledger;
    OfficersDesk& officers;
    const keystore::Registry& registry;
    // Whether the policy knows a client of this name.
    std::function<bool(std::string_view)> is_client;
  };
  template <class T>
  using Reply = std::function<void(Result<T>)>;

  // As they were at the last stop or crash; tells the log of each. state_unavailable for a note
  // that this program never wrote: what it forbade is not to be guessed.
  static Result<policy::Switches> restore(const std::vector<state::Note>& switches,
                                          const std::vector<state::Note>& leases,
                                          policy::Switches::Now now);
  SwitchDesk(Parts parts, policy::Switches switches)
      : parts_{std::move(parts)}, switches_{std::move(switches)} {}

  // Why a request is not to be signed now.
  Result<void> check(std::string_view client, std::string_view key, venue::Class cls) const;
  const policy::Switches& switches() const { return switches_; }
  policy::Switches::Now now() const { return {parts_.clock.wall(), parts_.clock.awake_or_not()}; }

  void set(const Peer& who, const wire::SetSwitch& ask, Reply<wire::Done> reply);
  void thaw(const Peer& who, const wire::Thaw& ask, Reply<wire::Done> reply);
  void lease(const Peer& who, const wire::SetLease& ask, Reply<wire::LeaseSet> reply);
  wire::SwitchList list(const wire::ListSwitches& ask) const;

 private:
  // What is to be lifted, and how it will be.
  struct Lifting {
    audit::Record event;
    const char* notes;
    policy::Subject subject;
    void (policy::Switches::*lift)(const policy::Subject&);
  };

  Result<policy::Subject> known(const std::string& kind, const std::string& name) const;
  Result<Lifting> plan_thaw(const Peer& who, const wire::Thaw& ask) const;
  Result<Lifting> plan_end(const Peer& who, const wire::SetLease& ask) const;
  void grant(const Peer& who, const policy::Subject& subject, std::chrono::seconds length,
             Reply<wire::LeaseSet> reply);
  void lift_as_stated(const Peer& who, const std::string& statement, Lifting lifting,
                      Reply<wire::Done> reply);
  void lift(Lifting lifting, std::uint64_t seen, Reply<wire::Done> reply);
  void erase(const Lifting& lifting, std::uint64_t seen, const Reply<wire::Done>& reply);
  void record(audit::Record event);
  // Of a note: how often it was set in this run.
  std::uint64_t& changes(const char* notes, const policy::Subject& subject) {
    return changes_[notes + subject.text()];
  }

  Parts parts_;
  policy::Switches switches_;
  std::unordered_map<std::string, std::uint64_t> changes_;
};

}  // namespace hsm::service
