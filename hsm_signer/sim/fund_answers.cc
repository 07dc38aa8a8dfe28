#include "hsm_signer/sim/fund_answers.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "hsm_signer/sim/text.h"

namespace hsm::sim {
namespace {

namespace json = boost::json;

// As every transfer here is done at once, costs nothing and touches no chain, there is no other
// status, no hash and no fee.
json::object movement_object(const Movement& movement, Version version) {
  const bool withdrawn = movement.way == Movement::Way::withdrawal;
  const Currency& currency = *movement.currency;
  json::object body{
      {"type", movement.way == Movement::Way::from_account ? "Deposit" : "Withdrawal"},
      {"status", "Complete"},
      {"timestampms", millis_of(movement.time)},
      {"eid", movement.event},
      {"currency", view(currency.name)},
      {"amount", movement.amount.text()}};
  if (!withdrawn) body["method"] = "Internal";
  if (version == Version::v2) {
    if (withdrawn) body["network"] = view(currency.network);
    body["feeAmount"] = "0";
    body["feeCurrency"] = view(currency.name);
  }
  if (withdrawn) body["destination"] = movement.address;
  if (withdrawn && version == Version::v2) body["withdrawalId"] = movement.withdrawal_id;
  if (!movement.client_id.empty()) body["clientTransferId"] = movement.client_id;
  return body;
}

}  // namespace

std::string balances_body(const Wallet& wallet) {
  json::array body;
  for (const auto& [currency, balance] : wallet.balances()) {
    const std::string available = balance.available().text();
    body.emplace_back(json::object{{"type", "exchange"},
                                   {"currency", currency},
                                   {"amount", balance.amount.text()},
                                   {"available", available},
                                   {"availableForWithdrawal", available}});
  }
  return json::serialize(body);
}

std::string withdrawal_v1_body(const Withdrawal& withdrawal) {
  const std::string amount = withdrawal.amount.text();
  return json::serialize(json::object{
      {"address", withdrawal.address},
      {"amount", amount},
      {"fee", "0"},
      {"withdrawalId", withdrawal.id},
      {"message", "You have requested a transfer of " + amount + " " +
                      std::string{withdrawal.currency->name} + " to " + withdrawal.address +
                      ". This withdrawal will be sent to the blockchain within the next 60 "
                      "seconds."}});
}

std::string withdrawal_v2_body(const Withdrawal& withdrawal) {
  return json::serialize(json::object{{"withdrawalId", withdrawal.id},
                                      {"address", withdrawal.address},
                                      {"amount", withdrawal.amount.text()},
                                      {"currency", view(withdrawal.currency->name)},
                                      {"fee", "0"}});
}

std::string transfer_body(const Transfer& transfer) {
  return json::serialize(json::object{{"fromAccount", transfer.from},
                                      {"toAccount", transfer.to},
                                      {"amount", transfer.amount.text()},
                                      {"fee", "0"},
                                      {"currency", view(transfer.currency->title)},
                                      {"uuid", transfer.id},
                                      {"message", "Success, transfer completed."}});
}

std::string movements_body(const std::vector<const Movement*>& movements, Version version) {
  json::array body;
  for (const Movement* movement : movements) body.emplace_back(movement_object(*movement, version));
  return json::serialize(body);
}

std::string deposit_addresses_body(const std::vector<const DepositAddress*>& addresses) {
  json::array body;
  for (const DepositAddress* address : addresses) {
    json::object row{{"address", address->address},
                     {"timestamp", millis_of(address->created)},
                     {"network", address->network}};
    if (!address->label.empty()) row["label"] = address->label;
    body.emplace_back(std::move(row));
  }
  return json::serialize(body);
}

std::string new_deposit_address_body(const DepositAddress& address) {
  json::object body{{"network", address.network}, {"address", address.address}};
  if (!address.label.empty()) body["label"] = address.label;
  return json::serialize(body);
}

std::string approved_body(const std::vector<const Approved*>& approved, Clock::Wall now) {
  json::array rows;
  for (const Approved* entry : approved) {
    rows.emplace_back(json::object{{"network", entry->network},
                                   {"scope", view(entry->scope())},
                                   {"label", entry->label},
                                   {"status", view(entry->status(now))},
                                   {"createdAt", std::to_string(millis_of(entry->created))},
                                   {"address", entry->address}});
  }
  return json::serialize(json::object{{"approvedAddresses", std::move(rows)}});
}

std::string accounts_body(const std::vector<const Account*>& accounts) {
  json::array body;
  for (const Account* account : accounts) {
    body.emplace_back(json::object{{"name", account->name},
                                   {"account", account->name},
                                   {"type", "exchange"},
                                   {"counterparty_id", "SIMULATED"},
                                   {"created", millis_of(account->created)},
                                   {"status", "open"}});
  }
  return json::serialize(body);
}

}  // namespace hsm::sim
