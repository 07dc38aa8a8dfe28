#include <utility>

#include "hsm_signer/policy/guards.h"
#include "hsm_signer/policy/judge.h"
#include "hsm_signer/policy/policy.h"

namespace hsm::policy {
namespace {

// The same for every rule, whatever it says: from "this rule covers the key but denies" a caller
// could tell that a key exists.
constexpr std::string_view kNoUse = "gives no use of this key";

VisitedRule visit_rule(const Scene& scene, const Rule& rule, const Ask& ask) {
  VisitedRule visited{rule.name, rule.where, Visit::other_key, {}};
  const KeyFacts& key = ask.key;
  const venue::Endpoint& endpoint = ask.payload.endpoint();
  const std::size_t index = endpoint_index(endpoint);
  const std::string path{endpoint.path};
  const std::string cls = " (class " + std::string{venue::name(endpoint.cls)} + ")";
  if (!rule.key.covers(key.name, key.environment)) {
    visited.why =
        "is for " + (rule.key.name.value.empty() ? "env:" + std::string{name(rule.key.environment)}
                                                 : "key " + rule.key.name.value);
  } else if (rule.deny[index]) {
    visited.visit = Visit::denies;
    visited.why = "denies " + path + cls;
  } else if (rule.allow[index]) {
    Charge charge;
    charge.key = key.name;
    std::string why;
    const bool holds = !object(scene, rule, ask, charge, &why);
    visited.visit = holds ? Visit::allows : Visit::refuses;
    visited.why = holds ? "allows " + path + cls : why;
  } else {
    visited.visit = Visit::other_endpoint;
    visited.why = "says nothing of " + path + cls;
  }
  return visited;
}

bool may_use(const Rules& rules, const Client& client, const KeyFacts& key) {
  for (const std::uint32_t index : client.rules) {
    const Rule& rule = rules.rules()[index];
    if (rule.allow.any() && rule.key.covers(key.name, key.environment)) return true;
  }
  return false;
}

EndpointSet allowed_endpoints(const Rules& rules, const Client& client, const KeyFacts& key) {
  EndpointSet allow;
  EndpointSet deny;
  for (const std::uint32_t index : client.rules) {
    const Rule& rule = rules.rules()[index];
    if (!rule.key.covers(key.name, key.environment)) continue;
    allow |= rule.allow;
    deny |= rule.deny;
  }
  EndpointSet set = allow & ~deny;
  for (const venue::Endpoint& endpoint : venue::endpoints()) {
    if (!roles_suffice(key, endpoint) || !scope_suffices(key, endpoint))
      set.reset(endpoint_index(endpoint));
  }
  return set;
}

}  // namespace

std::string_view name(Visit visit) {
  switch (visit) {
    case Visit::other_key:
      return "other_key";
    case Visit::other_endpoint:
      return "other_endpoint";
    case Visit::allows:
      return "allows";
    case Visit::refuses:
      return "refuses";
    case Visit::denies:
      return "denies";
  }
  return {};
}

Explanation explain(const Scene& scene, const Who& who, const KeyFacts* key,
                    const venue::Payload& payload) {
  Explanation out;
  out.decision = decide(scene, who, key, payload);
  const Client* client = scene.rules.client_of(who.uid, who.gid);
  if (client == nullptr) return out;
  const bool usable = key != nullptr && may_use(scene.rules, *client, *key);
  const Intent intent = intent_of(payload);
  for (const std::uint32_t index : client->rules) {
    const Rule& rule = scene.rules.rules()[index];
    out.visited.push_back(
        usable ? visit_rule(scene, rule, Ask{*client, *key, payload, intent})
               : VisitedRule{rule.name, rule.where, Visit::other_key, std::string{kNoUse}});
  }
  if (!usable) return out;
  for (const Guard& guard : kGuards) {
    const std::string refusal = guard.check(*key, payload);
    out.guards.push_back(std::string{guard.name} + ": " + (refusal.empty() ? "holds" : refusal));
  }
  return out;
}

std::vector<UsableKey> keys_for(const Rules& rules, const Who& who,
                                const std::vector<KeyFacts>& keys) {
  std::vector<UsableKey> usable;
  const Client* client = rules.client_of(who.uid, who.gid);
  if (client == nullptr) return usable;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!may_use(rules, *client, keys[i])) continue;
    UsableKey found{i, 0, allowed_endpoints(rules, *client, keys[i])};
    for (const venue::Endpoint& endpoint : venue::endpoints()) {
      if (found.endpoints[endpoint_index(endpoint)])
        found.classes =
            static_cast<Classes>(found.classes | 1U << static_cast<unsigned>(endpoint.cls));
    }
    usable.push_back(found);
  }
  return usable;
}

}  // namespace hsm::policy
