// Requests whose rule wants officers: they wait here until enough have signed, and go to a worker
// once (docs/statements.md, "an approval from ask to signature").
#pragma once

#include <optional>
#include <string>

#include "hsm_signer/keystore/key.h"
#include "hsm_signer/policy/policy.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/service/pending.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::service {

// What enough officers have signed, for the task that carries it out.
struct Approved {
  std::string id;
  std::string rule;
  std::string bundle;  // For the token host, which may want it too.
  officers::Stated stated{};
};

class ApprovalDesk {
 public:
  struct Parts {
    const Clock& clock;
    state::State& state;
    Ledger& ledger;
    OfficersDesk& officers;
  };
  static constexpr std::string_view kNotes = "approval";
  template <class T>
  using Reply = std::function<void(Result<T>)>;

  explicit ApprovalDesk(Parts parts) : parts_{parts} {}
  // At the start. What was on its way to a worker when this program ended is void: its statement is
  // used. So is a note that is damaged.
  // `all_void`: they are of an old copy of the state.
  void load(const std::vector<state::Note>& notes, bool all_void = false);

  // ---- For requests ----

  struct Ask {
    const Peer& who;
    const policy::Decision& decision;  // approval_required; its rule is granted.
    const policy::Client& client;
    std::uint64_t policy_serial;
    const keystore::KeyVersion& version;
    const venue::Payload& payload;
    const std::string& asked;    // asked_hash() of it.
    const std::string& request;  // What is to be signed, where the signer has added to it.
  };
  // By which a request finds itself again: client, key, operation and payload without its nonce.
  static std::string asked_hash(std::string_view client, std::string_view key, std::string_view op,
                                const venue::Payload& payload);
  // The request text under which it waits already; empty where it does not or that is what was
  // asked.
  std::string request_of(const std::string& asked);
  // Approved where the officers whom the rule in force wants have signed just this. Else
  // approval_required, with the id under which it waits from now on or has waited; overloaded.
  Result<Approved> settle(const Ask& ask);
  // Right before it is queued: the statement is used, durably. Once it has succeeded, exactly one
  // of the three below follows.
  void release(const Peer& who, const Approved& approved, std::function<void(Result<void>)> done);
  void released(const Peer& who, const std::string& id, std::uint64_t sequence);
  // Nothing was signed nor begun: it waits again, with what the token host said, if anything.
  void back(const Peer& who, const std::string& id, const std::string& remark);
  // There may be a signature that nobody has: officers have to look.
  void lost(const Peer& who, const std::string& id, const std::string& why);

  // ---- For administrators ----

  Result<wire::ApprovalList> list(const wire::ListApprovals& ask);
  void submit(const Peer& who, const wire::SubmitApproval& ask, Reply<wire::ApprovalItem> reply);
  void reject(const Peer& who, const wire::RejectApproval& ask, Reply<wire::Done> reply);
  std::size_t waiting();

 private:
  void sweep();
  void tell_void(const Pending& pending, bool old_copy);
  Result<Pending*> begin(const Ask& ask, Pending fresh);
  Pending describe(const Ask& ask) const;
  Error wait(const Pending& pending, const std::string& more) const;
  Result<std::string> bundle_of(const Pending& pending) const;
  Result<std::vector<std::string>> take_signatures(Pending& pending, const std::string& bundle);
  void keep(const Pending& pending, std::function<void(Result<void>)> done = {});
  void drop(const std::string& id, std::function<void(Result<void>)> done = {});
  void record(const Peer& who, std::string_view action, const Pending& pending,
              std::string officers, std::string reason, std::string detail);

  Parts parts_;
  PendingApprovals pending_;
};

}  // namespace hsm::service
