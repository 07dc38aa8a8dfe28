#include "hsm_signer/sim/endpoints.h"

namespace hsm::sim {
namespace {

constexpr Roles kReaders = kTrader | kFundManager | kAuditor;

// Paths, roles and scopes: Gemini documentation, "REST API"; the first that matches counts.
constexpr Endpoint kEndpoints[] = {
    {"/v1/balances", kReaders, About::account, balances},
    {"/v1/order/new", kTrader, About::account, new_order},
    {"/v1/order/status", kTrader, About::account, order_status},
    {"/v1/order/cancel", kTrader, About::account, cancel_order},
    {"/v1/order/cancel/all", kTrader, About::account, cancel_all},
    {"/v1/order/cancel/session", kTrader, About::account, cancel_session},
    {"/v1/orders", kTrader | kAuditor, About::account, orders},
    {"/v1/orders/history", kTrader | kAuditor, About::account, past_orders},
    {"/v1/mytrades", kTrader | kAuditor, About::account, my_trades},
    {"/v1/transfers", kReaders, About::account, past_transfers_v1, Slow::transfers},
    {"/v2/transfers", kReaders, About::account, past_transfers_v2},
    {"/v1/withdraw/{currency}", kFundManager, About::account, withdraw_v1},
    {"/v2/withdraw/{network}/{ticker}", kFundManager, About::account, withdraw_v2},
    {"/v1/addresses/{network}", kReaders, About::account, deposit_addresses, Slow::addresses},
    {"/v1/deposit/{network}/newAddress", kFundManager, About::account, new_deposit_address,
     Slow::addresses},
    {"/v1/approvedAddresses/account/{network}", 0, About::account, approved_addresses},
    {"/v1/approvedAddresses/{network}/request", kFundManager, About::account_or_group,
     approve_address},
    {"/v1/approvedAddresses/{network}/remove", kFundManager, About::account_or_group,
     remove_address},
    {"/v1/account/list", 0, About::group, account_list},
    {"/v1/account/transfer/{currency}", kFundManager, About::group, transfer},
    {"/v1/heartbeat", 0, About::key, heartbeat},
    {"/v1/roles", 0, About::key, roles},
};

// What stands before the next slash; `rest` goes on behind it, and is null at the end.
std::string_view next_part(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view part = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  return part;
}

}  // namespace

std::span<const Endpoint> endpoints() { return kEndpoints; }

std::optional<std::vector<std::string>> match_path(std::string_view pattern,
                                                   std::string_view path) {
  std::vector<std::string> variables;
  while (pattern.data() != nullptr && path.data() != nullptr) {
    const std::string_view wanted = next_part(pattern);
    const std::string_view part = next_part(path);
    if (wanted.starts_with('{')) {
      if (part.empty()) return {};
      variables.emplace_back(part);
      continue;
    }
    if (wanted != part) return {};
  }
  if (pattern.data() != nullptr || path.data() != nullptr) return {};  // One is longer.
  return variables;
}

std::optional<Found> find_endpoint(std::string_view path) {
  for (const Endpoint& endpoint : kEndpoints) {
    std::optional<std::vector<std::string>> variables = match_path(endpoint.path, path);
    if (variables) return Found{&endpoint, *std::move(variables)};
  }
  return {};
}

}  // namespace hsm::sim
