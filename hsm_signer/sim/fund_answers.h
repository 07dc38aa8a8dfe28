// Bodies about money, addresses and accounts, shaped as the exchange documents them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hsm_signer/sim/house.h"

namespace hsm::sim {

std::string balances_body(const Wallet& wallet);
std::string withdrawal_v1_body(const Withdrawal& withdrawal);
std::string withdrawal_v2_body(const Withdrawal& withdrawal);
std::string transfer_body(const Transfer& transfer);
enum class Version : std::uint8_t { v1, v2 };
std::string movements_body(const std::vector<const Movement*>& movements, Version version);
std::string deposit_addresses_body(const std::vector<const DepositAddress*>& addresses);
std::string new_deposit_address_body(const DepositAddress& address);
std::string approved_body(const std::vector<const Approved*>& approved, Clock::Wall now);
std::string accounts_body(const std::vector<const Account*>& accounts);

}  // namespace hsm::sim
