#include "hsm_signer/sim/call.h"
#include "hsm_signer/sim/fund_answers.h"

namespace hsm::sim {
namespace {

constexpr Money kSmallest = Money::of(1, 18);

tl::unexpected<Refusal> unsupported(std::string_view what) {
  return refuse(Reason::unsupported_network, "UnsupportedNetwork: " + std::string{what});
}

// As Gemini's own words, which speak of the list by its older name.
tl::unexpected<Refusal> no_list(const Account& account) {
  return refuse(Reason::crypto_address_whitelists_not_enabled,
                "Cryptocurrency withdrawal address whitelists are not enabled for account " +
                    account.name + ".");
}

Outcome<void> check_memo(const Currency& currency, const Approved& approved,
                         const std::string& memo) {
  const auto wrong = [](const char* message) { return refuse(Reason::invalid_json, message); };
  if (currency.memo == Memo::never && !memo.empty()) return wrong("This network knows no memo.");
  if (currency.memo == Memo::must && memo.empty()) return wrong("This network requires a memo.");
  if (!approved.memo.empty() && approved.memo != memo)
    return wrong("The address is approved with another memo.");
  return {};
}

// What both versions of the endpoint do. `client_id` makes a repetition harmless.
Outcome<const Withdrawal*> withdraw(const Call& call, const Currency& currency,
                                    const std::string& client_id) {
  Account& account = *call.account;
  ADMIT(std::string address, read_required(call.payload, "address"));
  if (call.payload.find("amount") == nullptr)
    return refuse(Reason::missing_order_field, "Missing field: amount");
  ADMIT(const Money amount,
        read_money(call.payload, "amount", kSmallest, Reason::invalid_quantity));
  ADMIT(const std::string memo, read_optional(call.payload, "memo"));
  if (const auto known = account.withdrawal_of.find(client_id);
      known != account.withdrawal_of.end())
    return &account.withdrawals[known->second];
  if (!account.approved_list) return no_list(account);
  const Approved* approved =
      call.house.approved().find_active(account.name, currency.network, address, call.now);
  if (approved == nullptr) {
    return refuse(
        Reason::crypto_address_whitelists_not_enabled,
        "The address is not active on the approved address list of account " + account.name + ".");
  }
  ADMIT_VOID(check_memo(currency, *approved, memo));
  if (account.withdrawals.size() >= Account::kMostWithdrawals)
    return refuse(Reason::system, "The simulator keeps at most 100000 withdrawals an account.");
  if (!account.book.wallet().take(currency.name, amount)) {
    return refuse(Reason::insufficient_funds, "Insufficient funds: the withdrawal needs more " +
                                                  std::string{currency.name} +
                                                  " than is available.");
  }
  if (!client_id.empty()) account.withdrawal_of[client_id] = account.withdrawals.size();
  account.withdrawals.push_back({call.house.next_uuid(), &currency, std::move(address), amount});
  const Withdrawal& done = account.withdrawals.back();
  call.house.record(account, {.currency = &currency,
                              .amount = amount,
                              .time = call.now,
                              .address = done.address,
                              .withdrawal_id = done.id,
                              .client_id = client_id});
  return &done;
}

Outcome<Account*> read_account(const Call& call, std::string_view member) {
  ADMIT(const std::string name, read_required(call.payload, member));
  Account* account = call.house.find(name);
  if (account == nullptr)
    return refuse(Reason::missing_accounts,
                  "There is no account that " + std::string{member} + " names.");
  return account;
}

Outcome<void> move(const Currency& currency, Account& from, Account& to, Money amount) {
  if (!from.book.wallet().take(currency.name, amount)) {
    return refuse(Reason::insufficient_funds, "Insufficient funds: the transfer needs more " +
                                                  std::string{currency.name} +
                                                  " than is available.");
  }
  if (to.book.wallet().receive(currency.name, amount)) return {};
  from.book.wallet().receive(currency.name, amount);  // It came from there, so there is room.
  return refuse(Reason::system, "The target account cannot hold that much.");
}

void record_both(const Call& call, Account& from, Account& to, Movement movement) {
  movement.way = Movement::Way::to_account;
  call.house.record(from, movement);
  movement.way = Movement::Way::from_account;
  call.house.record(to, std::move(movement));
}

}  // namespace

Outcome<std::string> balances(const Call& call) {
  return balances_body(call.account->book.wallet());
}

Outcome<std::string> withdraw_v1(const Call& call) {
  const Currency* currency = find_currency(call.variables[0]);
  if (currency == nullptr || currency->network.empty()) return unsupported(call.variables[0]);
  // Older clients write it so, and newer ones as in version 2.
  ADMIT(const std::string older, read_uuid(call.payload, "client_transfer_id"));
  ADMIT(const std::string newer, read_uuid(call.payload, "clientTransferId"));
  ADMIT(const Withdrawal* const done, withdraw(call, *currency, older.empty() ? newer : older));
  return withdrawal_v1_body(*done);
}

Outcome<std::string> withdraw_v2(const Call& call) {
  const std::string& network = call.variables[0];
  if (!is_network(network)) return unsupported(network);
  const Currency* currency = find_currency(call.variables[1]);
  if (currency == nullptr || currency->network != network) return unsupported(call.variables[1]);
  ADMIT(const std::string client_id, read_uuid(call.payload, "clientTransferId"));
  ADMIT(const Withdrawal* const done, withdraw(call, *currency, client_id));
  return withdrawal_v2_body(*done);
}

Outcome<std::string> transfer(const Call& call) {
  const Currency* currency = find_currency(call.variables[0]);
  if (currency == nullptr) return unsupported(call.variables[0]);
  ADMIT(Account* const from, read_account(call, "sourceAccount"));
  ADMIT(Account* const to, read_account(call, "targetAccount"));
  if (from == to)
    return refuse(Reason::conflicting_account_name,
                  "sourceAccount and targetAccount must be two accounts.");
  if (call.payload.find("amount") == nullptr)
    return refuse(Reason::missing_order_field, "Missing field: amount");
  ADMIT(const Money amount,
        read_money(call.payload, "amount", kSmallest, Reason::invalid_quantity));
  ADMIT(const std::string client_id, read_uuid(call.payload, "clientTransferId"));
  std::map<std::string, Transfer>& known = call.house.transfers();
  if (const auto found = known.find(client_id); found != known.end())
    return transfer_body(found->second);
  if (!client_id.empty() && known.size() >= House::kMostTransfers)
    return refuse(Reason::system, "The simulator keeps at most 100000 transfers with an id.");
  ADMIT_VOID(move(*currency, *from, *to, amount));
  record_both(call, *from, *to,
              {.currency = currency, .amount = amount, .time = call.now, .client_id = client_id});
  Transfer done{call.house.next_uuid(), from->name, to->name, currency, amount};
  if (!client_id.empty()) known.emplace(client_id, done);
  return transfer_body(done);
}

}  // namespace hsm::sim
