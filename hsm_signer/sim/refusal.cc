#include "hsm_signer/sim/refusal.h"

#include <array>

namespace hsm::sim {
namespace {

struct Row {
  Reason reason;
  std::string_view name;
  unsigned status;
};

constexpr std::array kRows{
    Row{Reason::api_key_ip_filtering_failure, "ApiKeyIpFilteringFailure", 403},
    Row{Reason::client_order_id_must_be_string, "ClientOrderIdMustBeString", 400},
    Row{Reason::client_order_id_too_long, "ClientOrderIdTooLong", 400},
    Row{Reason::conflicting_account_name, "ConflictingAccountName", 400},
    Row{Reason::conflicting_options, "ConflictingOptions", 400},
    Row{Reason::crypto_address_whitelists_not_enabled, "CryptoAddressWhitelistsNotEnabled", 400},
    Row{Reason::endpoint_mismatch, "EndpointMismatch", 400},
    Row{Reason::endpoint_not_found, "EndpointNotFound", 404},
    Row{Reason::insufficient_funds, "InsufficientFunds", 406},
    Row{Reason::invalid_api_key, "InvalidApiKey", 400},
    Row{Reason::invalid_json, "InvalidJson", 400},
    Row{Reason::invalid_nonce, "InvalidNonce", 400},
    Row{Reason::invalid_order_type, "InvalidOrderType", 400},
    Row{Reason::invalid_price, "InvalidPrice", 400},
    Row{Reason::invalid_quantity, "InvalidQuantity", 400},
    Row{Reason::invalid_side, "InvalidSide", 400},
    Row{Reason::invalid_signature, "InvalidSignature", 400},
    Row{Reason::invalid_symbol, "InvalidSymbol", 400},
    Row{Reason::invalid_timestamp_in_payload, "InvalidTimestampInPayload", 400},
    Row{Reason::missing_accounts, "MissingAccounts", 400},
    // 401 in the 2026 specification; older documentation says 400.
    Row{Reason::missing_apikey_header, "MissingApikeyHeader", 401},
    Row{Reason::missing_nonce, "MissingNonce", 400},
    Row{Reason::missing_order_field, "MissingOrderField", 400},
    Row{Reason::missing_payload_header, "MissingPayloadHeader", 400},
    Row{Reason::missing_role, "MissingRole", 403},
    Row{Reason::missing_signature_header, "MissingSignatureHeader", 400},
    Row{Reason::options_must_be_array, "OptionsMustBeArray", 400},
    Row{Reason::order_not_found, "OrderNotFound", 404},
    Row{Reason::rate_limit, "RateLimit", 429},
    Row{Reason::system, "System", 500},
    Row{Reason::unsupported_network, "UnsupportedNetwork", 404},
    Row{Reason::unsupported_option, "UnsupportedOption", 400},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].reason) != i) return false;
  }
  return kRows.size() == static_cast<std::size_t>(Reason::unsupported_option) + 1;
}
static_assert(in_order(), "one row per reason, in the order of the enumeration");

const Row& row(Reason reason) { return kRows[static_cast<std::size_t>(reason)]; }

}  // namespace

std::string_view name(Reason reason) { return row(reason).name; }
unsigned http_status(Reason reason) { return row(reason).status; }

}  // namespace hsm::sim
