// The decision: may this caller have this payload signed with this key. Pure, and the same whatever
// the order of the file, but for which allowing rule is named (the first).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/policy/references.h"
#include "hsm_signer/policy/rules.h"
#include "hsm_signer/policy/switches.h"
#include "hsm_signer/policy/usage.h"
#include "hsm_signer/venue/endpoints.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::policy {

// By the kernel's word (SO_PEERCRED).
struct Who {
  uid_t uid;
  gid_t gid;
};

// What a decision needs to know of a key that exists; `state` of the version that would sign.
struct KeyFacts {
  std::string_view name;
  Environment environment = Environment::production;
  Scope scope = Scope::account;
  venue::Roles roles = 0;
  VersionState state = VersionState::staged;
};

enum class Verdict : std::uint8_t { deny, allow };

// A member that the policy looked at, for the audit record. `text` lives as long as the payload.
struct JudgedField {
  std::string_view member;
  std::string_view text;
  bool operator==(const JudgedField&) const = default;
};

// What a decision looks at besides caller, key and payload.
struct Scene {
  const Rules& rules;
  // Null: nothing was allowed yet, and nothing is counted. Not const: windows move on with time.
  Usage* usage = nullptr;
  const References* references = nullptr;  // Null: no market has a price.
  Clock::Wall now{};                       // What people call the time: hours, expiry.
  Clock::Wall counted{};                   // What windows count by: never goes back, never steps.
  Clock::Steady steady{};
  const Switches* switches = nullptr;  // Null: nobody threw one.
  Clock::Steady awake_or_not{};        // What leases count by (Clock::awake_or_not).
  // The rule whose approvals officers have given for just this request; empty: none.
  std::string_view approved_rule{};
};

struct Decision {
  Verdict verdict = Verdict::deny;
  Code code = Code::denied;          // Means nothing where verdict is allow.
  std::string client;                // As the policy calls the caller; empty for an unknown one.
  std::string rule;                  // The rule that allowed or denied; empty where none did.
  std::string sentence;              // For people; empty where verdict is allow.
  std::uint32_t retry_after_ms = 0;  // With rate_limited.
  Durability durability = Durability::fsync;
  std::vector<JudgedField> judged;
  // Of the rule: null where none allowed or would allow with approvals. Lives as long as the Rules.
  const Rule* granted = nullptr;
  Charge charge;  // What `granted` counts.

  bool allowed() const { return verdict == Verdict::allow; }
  // The refusal as an Error; only for verdict deny.
  Error error() const;
};

// `key` is null where there is no such key; the answer is then the same as for a key that the
// caller may not use. Codes: unauthorized (unknown caller), key_not_active (only to those who may
// use the key), frozen and cancel_only (to them too), denied, rate_limited (windows and rates),
// approval_required (all else holds). Takes nothing out of the windows: take() does, when the
// request is let in.
Decision decide(const Scene& scene, const Who& who, const KeyFacts* key,
                const venue::Payload& payload);
// For an allowed decision, before another is asked for.
void take(const Scene& scene, const Decision& decision, venue::Class cls);

// What became of one rule in a decision.
enum class Visit : std::uint8_t {
  other_key,       // Does not cover this key.
  other_endpoint,  // Covers the key, says nothing of this endpoint.
  allows,
  refuses,  // Would allow the endpoint; a condition does not hold.
  denies,
};
std::string_view name(Visit visit);

struct VisitedRule {
  std::string rule;
  std::string where;  // "policy.toml:12:1"
  Visit visit = Visit::other_key;
  std::string why;  // For people.
};

struct Explanation {
  Decision decision;
  std::vector<VisitedRule> visited;  // Every rule of this caller, in file order; none of others.
  // Guards that hold whatever the rules say (roles, scope, account) and what they said.
  std::vector<std::string> guards;
};

// A caller who may not use the key sees the same, whether it exists (`key`) or not (null).
Explanation explain(const Scene& scene, const Who& who, const KeyFacts* key,
                    const venue::Payload& payload);

// A set of venue::Class, bit 1 << class.
using Classes = std::uint8_t;

struct UsableKey {
  std::size_t index;  // Into the keys given.
  Classes
      classes;  // Those of which at least one endpoint would be allowed by rules, roles and scope.
  EndpointSet endpoints;
};

// The client name of the caller, or unauthorized.
Result<ClientName> whoami(const Rules& rules, const Who& who);
// Those of `keys` that the caller may use at all, whatever their state.
std::vector<UsableKey> keys_for(const Rules& rules, const Who& who,
                                const std::vector<KeyFacts>& keys);

}  // namespace hsm::policy
