#include "hsm_signer/audit/nonce_accounts.h"

namespace hsm::audit {

void NonceAccounts::resume(const std::vector<RetiredNonce>& nonces) {
  for (const RetiredNonce& nonce : nonces)
    accounts_[nonce.api_key_id] = {.units = nonce_units(nonce.nonce).value_or(0),
                                   .text = nonce.nonce,
                                   .unspent = nonce.unspent};
}

std::vector<RetiredNonce> NonceAccounts::state() const {
  std::vector<RetiredNonce> nonces;
  for (const auto& [id, account] : accounts_)
    nonces.push_back({.api_key_id = id, .nonce = account.text, .unspent = account.unspent});
  return nonces;
}

std::optional<std::string> NonceAccounts::allow(const Record& record) {
  const Result<Uint128> nonce = nonce_units(record.nonce);
  if (!nonce) return std::nullopt;  // parse_line() has refused it.
  const auto [entry, first] = accounts_.try_emplace(record.api_key_id);
  Account& account = entry->second;
  account.unspent = burns(record) ? 0 : account.unspent + 1;
  const bool rises = first || *nonce > account.units;
  if (rises) {
    account.units = *nonce;
    account.text = record.nonce;
    return std::nullopt;
  }
  return "nonce " + record.nonce + " of " + record.api_key_id + " is not above the one before";
}

}  // namespace hsm::audit
