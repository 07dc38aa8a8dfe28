// What administrators bring to be written down: that they came, and alarms of what they found.
#pragma once

#include <functional>
#include <map>

#include "hsm_signer/service/ledger.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::service {

class AuditDesk {
 public:
  // Both outlive this.
  AuditDesk(const Clock& clock, Ledger& ledger) : clock_{clock}, ledger_{ledger} {}

  // Somebody connected to the admin socket. A program that asks each second would drown the log: of
  // one uid the first in a minute is recorded, with how many came since the one before.
  void came(const Peer& who, bool admitted);
  // `reply` once the record is on disk. usage: a subject or detail that a record cannot hold.
  void alarm(const Peer& who, const wire::RaiseAlarm& ask,
             std::function<void(Result<wire::Done>)> reply);

 private:
  struct Visits {
    Clock::Steady recorded;
    std::uint64_t since = 0;
  };

  const Clock& clock_;
  Ledger& ledger_;
  std::map<std::pair<uid_t, bool>, Visits> visits_;
};

}  // namespace hsm::service
