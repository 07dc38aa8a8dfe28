// What the signer knows of each private endpoint of the exchange: one table, gemini-api facts only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hsm::venue {

// What a request can do to its owner. Policies, ceilings and lanes speak in these.
enum class Class : std::uint8_t { read, cancel, trade, move, widen, admin, session };
std::string_view name(Class c);  // "read" … as policies spell it.
bool class_from_name(std::string_view text, Class& out);

// Roles of an API key (Gemini: Trader, Fund Manager, Auditor, Administrator), as a set.
using Roles = std::uint8_t;
inline constexpr Roles kTrader = 1, kFundManager = 2, kAuditor = 4, kAdministrator = 8;
inline constexpr Roles kAnyRole = 0;  // In Endpoint::roles: any key may call it.

enum class Method : std::uint8_t { post, get };

enum class Type : std::uint8_t {
  text,     // A JSON string.
  integer,  // A JSON number without fraction, or its digits in a string (ccxt sends order_id so).
  amount,   // Decimal (base/decimal.h) as string or number: judged, so exact.
  boolean,
  texts,  // An array of strings.
  any,    // Anything within the strict payload: not judged.
};

struct Member {
  std::string_view name;
  Type type;
  bool required = false;
};

struct Endpoint {
  std::string_view path;  // Template; "{symbol}" stands for [A-Za-z0-9-]{1,32}.
  Method method;
  Class cls;
  Roles roles;                      // Any one of these is enough; kAnyRole: all keys.
  bool master;                      // Needs a master-scoped key.
  std::string_view idempotency;     // The member that makes a move idempotent, or empty.
  std::span<const Member> members;  // Besides request, nonce and account.

  bool requires_member(std::string_view name) const;
};

// All rows, in the order of the documentation.
std::span<const Endpoint> endpoints();
// The row whose template matches `request` exactly (no normalisation), or null. Literal segments
// win over parameters, so ".../feeEstimate" is never taken for a withdrawal.
const Endpoint* find_endpoint(std::string_view request);

}  // namespace hsm::venue
