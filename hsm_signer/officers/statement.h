// What officers sign: a text of lines that says all that will be done (docs/statements.md).
//
//   hsm-signer statement v1
//   verb: approve
//   host: signer-1
//   id: r-17
//   …
//   expires: 2026-11-25T19:00:00.000000Z
//
// One spelling: what is read is exactly what is written, so two who have read the same have signed
// the same. Printable ASCII alone, so no line can disturb a terminal or look like another.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::officers {

// What is to be done. Which lines each has, a table in statement.cc says.
enum class Verb : std::uint8_t {
  approve,      // Sign one request.
  policy,       // Put a policy in force.
  thaw,         // Lift a switch.
  import_key,   // Register a version and take its secret in.
  activate,     // Let a version sign.
  destroy,      // Destroy a version's key.
  client_add,   // Let a program in.
  nonce_raise,  // Raise the mark of a key's nonces.
  retention,    // Let old records go.
};
std::string_view name(Verb verb);
// What may stand behind `host: `: 1 to 64 of [A-Za-z0-9._-].
bool is_host_name(std::string_view text);
// usage where the host is not called so: no statement could name it.
Result<void> check_host(std::string_view name);

// The longest payload, 6 KiB, with every character that is not ASCII escaped, and the other lines.
inline constexpr std::size_t kStatementLimit = 20 * 1024;

// An empty text, a serial of 0: the line is absent.
struct Statement {
  Verb verb = Verb::approve;
  std::string host{};  // Where it counts, as gethostname(2) says there.
  std::string id{};    // 1 to 64 of [A-Za-z0-9_-]; each host takes one once.
  std::string key{};
  std::string api_key_id{};
  std::string environment{};  // "production" or "sandbox".
  std::string client{};       // As the policy calls it.
  std::string requester{};    // The officer who asks for it and never counts.
  std::string payload{};      // venue::Payload::build_without_nonce() of what is to be signed.
  std::uint64_t policy_serial = 0;  // Of the policy it was judged by, or that is to be in force.
  std::map<std::string, std::string, std::less<>>
      arguments{};        // "version" of the line arg-version.
  Clock::Wall expires{};  // Whole microseconds; at that instant it is over.

  // invalid_payload, with the line, for anything that to_text() does not write; too_large.
  static Result<Statement> parse(std::string_view text);
  // invalid_payload: a line that its verb needs is absent, one it has not is there, or a value that
  // breaks its form; too_large.
  Result<std::string> to_text() const;

  bool operator==(const Statement&) const = default;
};

// Whether officers have stated what is about to be done: each line that `expected` fills, and just
// its arguments. What it leaves empty is theirs to say. denied, with the line's name.
Result<void> check_says(const Statement& statement, const Statement& expected);

}  // namespace hsm::officers
