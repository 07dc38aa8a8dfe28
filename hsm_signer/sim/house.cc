#include "hsm_signer/sim/house.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace hsm::sim {

House::House(const std::vector<AccountSetup>& accounts, const std::vector<Approved>& approved,
             Clock::Wall now) {
  for (const AccountSetup& setup : accounts) {
    Account& account = accounts_.emplace_back();
    account.name = setup.name;
    account.approved_list = setup.approved_list;
    account.created = now;
  }
  for (Approved entry : approved) {
    entry.created = now;
    entry.active_from = now;
    approved_.add(std::move(entry));
  }
}

Account* House::find(std::string_view name) {
  const auto found = std::find_if(accounts_.begin(), accounts_.end(),
                                  [&](const Account& account) { return account.name == name; });
  return found == accounts_.end() ? nullptr : &*found;
}

void House::record(Account& account, Movement movement) {
  movement.event = next_event_++;
  account.movements.push_back(std::move(movement));
  if (account.movements.size() > Account::kMostMovements) account.movements.pop_front();
}

std::string House::next_uuid() {
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "00000000-0000-4000-8000-%012llx",
                static_cast<unsigned long long>(next_uuid_++));
  return text.data();
}

}  // namespace hsm::sim
