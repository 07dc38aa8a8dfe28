// What an administrator asks of the signer: versions of keys, checks, status. The registry changes
// only after its rows are durable.
#pragma once

#include <functional>
#include <string>

#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/service/anchor_desk.h"
#include "hsm_signer/service/log_keeper.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/service/signer.h"
#include "hsm_signer/state/state.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::service {

class Admin {
 public:
  struct Parts {
    const Clock& clock;
    const SignerConfig& config;
    keystore::Registry& registry;
    state::State& state;
    NonceDesk& nonces;
    keystore::TokenPool& pool;
    Ledger& ledger;
    LogKeeper& keeper;
    Signer& signer;
    OfficersDesk& officers;
    ApprovalDesk& approvals;
    const AnchorDesk& anchors;
    std::function<std::size_t()> connections;
    std::function<std::uint64_t()> turned_away;
    std::function<void()> drain;
  };
  template <class T>
  using Reply = std::function<void(Result<T>)>;

  explicit Admin(Parts parts) : parts_{std::move(parts)} {}

  // Where signer.toml has [officers] these four demand the statement of their verb, which is used
  // up before anything changes; a version that was never active may be forgotten and destroyed
  // without (it is an import that did not come to its end).
  void register_key(const Peer& who, const wire::RegisterKey& ask, Reply<wire::Registered> reply);
  // staged → active, once a worker has shown that the token holds the registered secret.
  void activate(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply);
  // → retired, and every worker of its token drops its handle.
  void forget(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply);
  // retired → destroyed: the token's admin has confirmed it.
  void destroyed(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply);
  void check(const wire::CheckKeys& ask, Reply<wire::VersionList> reply);
  wire::VersionList list(const wire::ListVersions& ask) const;
  wire::Status status() const;
  Result<wire::ApprovalList> approvals(const wire::ListApprovals& ask) {
    return parts_.approvals.list(ask);
  }
  void submit(const Peer& who, const wire::SubmitApproval& ask, Reply<wire::ApprovalItem> reply) {
    parts_.approvals.submit(who, ask, std::move(reply));
  }
  void reject(const Peer& who, const wire::RejectApproval& ask, Reply<wire::Done> reply) {
    parts_.approvals.reject(who, ask, std::move(reply));
  }
  void drain() { parts_.drain(); }

 private:
  Result<keystore::Change> plan_registration(const wire::RegisterKey& ask) const;
  void destroy_stated(const Peer& who, const wire::KeyVersionRef& ask,
                      std::function<void(Result<void>)> then);
  void retire(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply);
  void ask_key_check(const keystore::KeyVersion& version, Reply<keystore::KeyCheckValue> reply);
  void persist(keystore::Change change, Reply<wire::Done> reply);
  void record(const Peer& who, std::string_view what, const keystore::KeyVersion& version);
  wire::VersionItem item(const keystore::KeyVersion& version) const;

  Parts parts_;
  bool persisting_ = false;
};

}  // namespace hsm::service
