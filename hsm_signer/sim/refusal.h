// How the exchange says no: a reason word, an HTTP status, a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace hsm::sim {

// The reasons of Gemini's error bodies that this simulator can give.
enum class Reason : std::uint8_t {
  api_key_ip_filtering_failure,
  client_order_id_must_be_string,
  client_order_id_too_long,
  conflicting_account_name,
  conflicting_options,
  crypto_address_whitelists_not_enabled,
  endpoint_mismatch,
  endpoint_not_found,
  insufficient_funds,
  invalid_api_key,
  invalid_json,
  invalid_nonce,
  invalid_order_type,
  invalid_price,
  invalid_quantity,
  invalid_side,
  invalid_signature,
  invalid_symbol,
  invalid_timestamp_in_payload,
  missing_accounts,
  missing_apikey_header,
  missing_nonce,
  missing_order_field,
  missing_payload_header,
  missing_role,
  missing_signature_header,
  options_must_be_array,
  order_not_found,
  rate_limit,
  system,
  unsupported_network,
  unsupported_option,
};

// As it stands in the body: "InvalidNonce".
std::string_view name(Reason reason);
unsigned http_status(Reason reason);

// Not base/result.h's Error: those codes are ours, these are the exchange's.
struct Refusal {
  Reason reason;
  std::string message;  // Free of what the client sent, but for a nonce, its own key id, a path.
};

template <class T>
using Outcome = tl::expected<T, Refusal>;

inline tl::unexpected<Refusal> refuse(Reason reason, std::string message) {
  return tl::unexpected<Refusal>{Refusal{reason, std::move(message)}};
}

}  // namespace hsm::sim

// As TRY of base/result.h, for Outcome.
#define SIM_CONCAT_INNER(a, b) a##b
#define SIM_CONCAT(a, b) SIM_CONCAT_INNER(a, b)
#define SIM_ADMIT_WITH(tmp, decl, expr)                                           \
  auto tmp = (expr);                                                              \
  if (!tmp) return ::tl::unexpected<::hsm::sim::Refusal>{std::move(tmp).error()}; \
  decl = *std::move(tmp)
// ADMIT(auto x, f()): declares x with f()'s value, or returns f()'s refusal.
#define ADMIT(decl, expr) SIM_ADMIT_WITH(SIM_CONCAT(admit_, __COUNTER__), decl, expr)
#define ADMIT_VOID(expr)                                                                \
  if (auto admitted = (expr); !admitted) return ::tl::unexpected<::hsm::sim::Refusal> { \
      std::move(admitted).error()                                                       \
    }
