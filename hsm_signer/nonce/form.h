// The forms in which an API key takes its nonces. One form per API key id, never mixed: the
// exchange keeps one high-water mark per key, and one nanosecond nonce would shut out every
// millisecond client for ever.
#pragma once

#include <cstdint>
#include <string_view>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/result.h"

namespace hsm::nonce {

// signer-*: the signer draws the nonce. caller-*: the caller brings it, the signer checks it.
enum class Form : std::uint8_t {
  signer_ms,
  signer_us,
  signer_s,
  caller_s,
  caller_ms,
  caller_us,
  caller_ns
};

// "signer-ms" … "caller-ns", as --nonce takes it and answers spell it.
std::string_view name(Form form);
// Also takes "caller" alone for caller-ms. Code::usage otherwise.
Result<Form> form_from_name(std::string_view text);
bool is_caller(Form form);
// How many nonces of this form a second holds: 1, 1,000, 1,000,000 or 1,000,000,000.
std::uint64_t per_second(Form form);
// signer-s is drawn in microseconds: of a time-based key REST takes a fraction of seconds.
inline constexpr std::size_t kDrawnFractionDigits = 6;

// What the exchange compares: the number as it stands in the payload, × 10^9, since seconds may
// carry nine digits of fraction. At most 20 digits before the point (docs/protocol.md), so 10^29 at
// most.
struct Value {
  static constexpr Uint128 kScale = 1'000'000'000;
  Uint128 units = 0;

  static constexpr Value whole(Uint128 number) { return Value{number * kScale}; }
  // [0-9]{1,20}(\.[0-9]{1,9})?, else invalid_payload.
  static Result<Value> parse(std::string_view text);
  // Shortest form: "1700000000123", "1700000000.000001"; at least so many digits of fraction.
  std::string text(std::size_t fraction_digits = 0) const;
  auto operator<=>(const Value&) const = default;
};

}  // namespace hsm::nonce
