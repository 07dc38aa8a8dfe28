// Where money may be withdrawn to: the approved addresses of each account and of the whole group.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/base/os.h"

namespace hsm::sim {

struct Approved {
  std::string account;  // Empty: of the group, for all accounts.
  std::string network;
  std::string address;
  std::string label;
  std::string memo;
  Clock::Wall created;
  Clock::Wall active_from;

  bool is_active(Clock::Wall now) const { return now >= active_from; }
  std::string_view scope() const { return account.empty() ? "group" : "account"; }
  std::string_view status(Clock::Wall now) const {
    return is_active(now) ? "active" : "pending-time";
  }
};

class AddressBook {
 public:
  // "The remaining time is exactly 7 days after the initial request" (Gemini documentation).
  static constexpr std::chrono::hours kHold{7 * 24};
  static constexpr std::size_t kMost = 10'000;

  // An address that stands there already keeps its date; false where the book is full.
  bool add(Approved approved);
  // What `account` may use, newest first: its own and the group's.
  std::vector<const Approved*> list(std::string_view account, std::string_view network) const;
  const Approved* find_active(std::string_view account, std::string_view network,
                              std::string_view address, Clock::Wall now) const;
  // Of one scope: `account` empty is the group alone. Null where it is not there.
  const Approved* find(std::string_view account, std::string_view network,
                       std::string_view address) const;
  void remove(const Approved& approved);

 private:
  std::vector<Approved> all_;  // Oldest first.
};

}  // namespace hsm::sim
