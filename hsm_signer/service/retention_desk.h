// Lets old records of the audit log go, on officers' word (audit/retention.h; docs/audit.md,
// "Letting old records go"), and ends what an earlier run had begun of that.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/retention.h"
#include "hsm_signer/service/errand.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::service {

class RetentionDesk {
 public:
  struct Parts {
    boost::asio::io_context& io;
    const Clock& clock;
    const audit::Log& log;
    Ledger& ledger;
    OfficersDesk& officers;
    std::string audit_key;  // Path of the public key.
    // Seals all that is there; the function runs whether or not that works.
    std::function<void(std::function<void()>)> seal_now;
    // Records that the anchor covers; nothing where there is none to be covered by.
    std::function<std::optional<std::uint64_t>()> anchored;
  };
  using Reply = std::function<void(Result<wire::LetGone>)>;

  explicit RetentionDesk(Parts parts);
  ~RetentionDesk();

  // Once the loop runs: ends what an earlier run left, or takes it back.
  void start();
  // `reply` once they are gone; where nothing is old enough, with nothing done and no statement
  // used. usage: a time that is none, or is in the future. verification_failed: what would go does
  // not verify. token_unavailable: all is done but sealing, and removing, which then follow as soon
  // as that works. overloaded: another one is under way. Errors of OfficersDesk::administer().
  void let_go(const Peer& who, const wire::LetGo& ask, Reply reply);

 private:
  struct Act;
  using Shared = std::shared_ptr<Act>;

  Result<void> check(const Act& act) const;
  Result<void> hear_first(const Act& act) const;
  officers::Statement expected(const Act& act) const;
  void plan(const Shared& act);
  void planned(const Shared& act);
  void write(const Shared& act);
  void record(const Shared& act, const std::string& sha256);
  void seal(std::uint64_t up_to, std::function<void(bool sealed)> tried);
  void remove(std::uint64_t kept_from, std::function<void(Result<void>)> done);
  void removed(const Shared& act, const Result<void>& removed);
  void end(const Shared& act, Result<wire::LetGone> answer);
  void finish(const audit::Unfinished& left);

  Parts parts_;
  boost::asio::steady_timer again_;
  bool busy_ = false;
  std::atomic<bool> stopping_ = false;
  Errand errand_;  // Last: its thread looks at the above.
};

}  // namespace hsm::service
