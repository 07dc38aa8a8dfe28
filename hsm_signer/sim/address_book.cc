#include "hsm_signer/sim/address_book.h"

#include <algorithm>

namespace hsm::sim {

bool AddressBook::add(Approved approved) {
  if (find(approved.account, approved.network, approved.address) != nullptr) return true;
  if (all_.size() >= kMost) return false;
  all_.push_back(std::move(approved));
  return true;
}

std::vector<const Approved*> AddressBook::list(std::string_view account,
                                               std::string_view network) const {
  std::vector<const Approved*> found;
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) {
    if (it->network == network && (it->account.empty() || it->account == account))
      found.push_back(&*it);
  }
  return found;
}

const Approved* AddressBook::find_active(std::string_view account, std::string_view network,
                                         std::string_view address, Clock::Wall now) const {
  for (const Approved* approved : list(account, network)) {
    if (approved->address == address && approved->is_active(now)) return approved;
  }
  return nullptr;
}

const Approved* AddressBook::find(std::string_view account, std::string_view network,
                                  std::string_view address) const {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const Approved& approved) {
    return approved.account == account && approved.network == network &&
           approved.address == address;
  });
  return found == all_.end() ? nullptr : &*found;
}

void AddressBook::remove(const Approved& approved) {
  all_.erase(all_.begin() + (&approved - all_.data()));
}

}  // namespace hsm::sim
