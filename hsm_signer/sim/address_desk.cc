#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/call.h"
#include "hsm_signer/sim/fund_answers.h"

namespace hsm::sim {
namespace {

Outcome<std::string> network_of(const Call& call) {
  if (!is_network(call.variables[0]))
    return refuse(Reason::unsupported_network, "UnsupportedNetwork: " + call.variables[0]);
  return call.variables[0];
}

// For deposits ccxt names the currency where the documentation names the network.
Outcome<std::string> deposit_network_of(const Call& call) {
  const Currency* currency = find_currency(call.variables[0]);
  if (currency != nullptr && !currency->network.empty()) return std::string{currency->network};
  return network_of(call);
}

// Whose list an address stands on: the group's, where a master key names no account.
std::string_view list_owner(const Call& call) {
  return call.account == nullptr ? std::string_view{} : call.account->name;
}

}  // namespace

Outcome<std::string> deposit_addresses(const Call& call) {
  ADMIT(const std::string network, network_of(call));
  ADMIT(const std::optional<Clock::Wall> since, read_timestamp(call.payload));
  std::vector<const DepositAddress*> found;
  for (const DepositAddress& address : call.account->addresses) {
    const auto created = std::chrono::floor<std::chrono::milliseconds>(address.created);
    if (address.network == network && (!since || created >= *since)) found.push_back(&address);
  }
  return deposit_addresses_body(found);
}

Outcome<std::string> new_deposit_address(const Call& call) {
  ADMIT(const std::string network, deposit_network_of(call));
  ADMIT(std::string label, read_optional(call.payload, "label"));
  std::vector<DepositAddress>& addresses = call.account->addresses;
  if (addresses.size() >= Account::kMostAddresses)
    return refuse(Reason::system, "The simulator keeps at most 10000 addresses an account.");
  // Nothing that anybody could take for an address and send money to.
  addresses.push_back({network,
                       "simulated-" + network + "-" + call.account->name + "-" +
                           std::to_string(addresses.size() + 1),
                       std::move(label), call.now});
  return new_deposit_address_body(addresses.back());
}

Outcome<std::string> approved_addresses(const Call& call) {
  ADMIT(const std::string network, network_of(call));
  return approved_body(call.house.approved().list(call.account->name, network), call.now);
}

Outcome<std::string> approve_address(const Call& call) {
  if (!call.key.trusted_ips) {
    return refuse(Reason::api_key_ip_filtering_failure,
                  "Approved addresses are requested with a key that has trusted IPs.");
  }
  ADMIT(const std::string network, network_of(call));
  ADMIT(std::string address, read_required(call.payload, "address"));
  ADMIT(std::string label, read_required(call.payload, "label"));
  ADMIT(std::string memo, read_optional(call.payload, "memo"));
  const bool added = call.house.approved().add(
      {std::string{list_owner(call)}, network, std::move(address), std::move(label),
       std::move(memo), call.now, call.now + AddressBook::kHold});
  if (!added)
    return refuse(Reason::system, "The simulator keeps at most 10000 approved addresses.");
  return message_body(
      "Approved address addition is now waiting a 7-day approval hold before activation.");
}

Outcome<std::string> remove_address(const Call& call) {
  ADMIT(const std::string network, network_of(call));
  ADMIT(const std::string address, read_required(call.payload, "address"));
  AddressBook& book = call.house.approved();
  const Approved* found = book.find(list_owner(call), network, address);
  if (found == nullptr)
    return refuse(Reason::crypto_address_whitelists_not_enabled,
                  "The address is not on this approved address list.");
  const std::string message = address + " removed from " + std::string{found->scope()} + " " +
                              std::string{found->status(call.now)} + " approved addresses.";
  book.remove(*found);
  return message_body(message);
}

}  // namespace hsm::sim
