// The exchange's two nonce rules (Gemini documentation, "Private API invocation").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/sim/payload.h"

namespace hsm::sim {

struct Nonce {
  Uint128 billionths;  // Seconds, milliseconds or whatever the client counts in, × 10^9.
  std::string text;    // As sent.
};

// A number or a string: 1 to 20 digits, and a fraction of 1 to 9 digits where there is a point.
Outcome<Nonce> read_nonce(const Value* value);

// What the exchange says to a nonce that is not above the highest.
tl::unexpected<Refusal> has_not_increased(const Nonce& nonce);

enum class NonceRule : std::uint8_t {
  incrementing,  // Strictly greater than the highest seen for this key; any unit.
  time_based,    // Seconds, within 30 s of the server's clock, both ends included.
};

// One key's memory of its nonces.
class NonceGate {
 public:
  explicit NonceGate(NonceRule rule) : rule_{rule} {}
  // Consumes the nonce where it admits it.
  Outcome<void> admit(const Nonce& nonce, Clock::Wall now);

 private:
  NonceRule rule_;
  std::optional<Uint128> highest_;
};

}  // namespace hsm::sim
