#include "hsm_signer/policy/policy.h"

#include <algorithm>
#include <array>

#include "hsm_signer/policy/guards.h"

namespace hsm::policy {
namespace {

// Members whose values decide what a request does. Labels, ids that the client makes up and
// personal data (names, bank account numbers) are no matter of the policy and stay out of the audit
// record.
constexpr std::array<std::string_view, 30> kJudgedMembers{"symbol",
                                                          "side",
                                                          "type",
                                                          "amount",
                                                          "price",
                                                          "stop_price",
                                                          "stopPrice",
                                                          "quantity",
                                                          "totalSpend",
                                                          "fee",
                                                          "currency",
                                                          "address",
                                                          "memo",
                                                          "network",
                                                          "ticker",
                                                          "account",
                                                          "sourceAccount",
                                                          "targetAccount",
                                                          "counterparty_id",
                                                          "source_counterparty_id",
                                                          "target_counterparty_id",
                                                          "providerId",
                                                          "order_id",
                                                          "orderId",
                                                          "clearing_id",
                                                          "quoteId",
                                                          "orderType",
                                                          "outcome",
                                                          "timeInForce",
                                                          "margin_order"};

void add_judged(const venue::Payload& payload, std::string_view member,
                std::vector<JudgedField>& out) {
  const std::optional<venue::Value> value = payload.member(member);
  if (!value || value->kind == venue::Kind::array || value->kind == venue::Kind::object) return;
  out.push_back({member, value->text});
}

// {symbol} and the like stand in the path, not among the members.
void add_parameters(const venue::Payload& payload, std::vector<JudgedField>& out) {
  std::string_view path = payload.endpoint().path;
  for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{')) {
    const std::size_t close = path.find('}', open);
    const std::string_view parameter = path.substr(open + 1, close - open - 1);
    out.push_back({parameter, payload.parameter(parameter)});
    path.remove_prefix(close);
  }
}

std::vector<JudgedField> judged_fields(const venue::Payload& payload) {
  std::vector<JudgedField> fields;
  add_parameters(payload, fields);
  add_judged(payload, "account", fields);
  for (const venue::Member& member : payload.endpoint().members) {
    if (std::find(kJudgedMembers.begin(), kJudgedMembers.end(), member.name) !=
        kJudgedMembers.end())
      add_judged(payload, member.name, fields);
  }
  return fields;
}

// What all rules of a client say together. Only `allows` and `denies` depend on the order of the
// file.
struct Tally {
  bool usable = false;           // Some rule allows something with this key.
  const Rule* denies = nullptr;  // The first.
  const Rule* allows = nullptr;  // The first.
  Durability durability = Durability::os;
};

Tally tally(const Rules& rules, const Client& client, const KeyFacts& key, std::size_t endpoint) {
  // The strictest of the rules that allow, each with the default of the environment.
  const Durability usual =
      key.environment == Environment::production ? Durability::fsync : Durability::os;
  Tally found;
  for (const std::uint32_t index : client.rules) {
    const Rule& rule = rules.rules()[index];
    if (!rule.key.covers(key.name, key.environment)) continue;
    found.usable = found.usable || rule.allow.any();
    if (rule.deny[endpoint] && found.denies == nullptr) found.denies = &rule;
    if (!rule.allow[endpoint]) continue;
    if (found.allows == nullptr) found.allows = &rule;
    found.durability = std::max(found.durability, rule.durability.value_or(usual));
  }
  return found;
}

void refuse(Decision& decision, Code code, std::string sentence, const Rule* rule = nullptr) {
  decision.verdict = Verdict::deny;
  decision.code = code;
  decision.sentence = std::move(sentence);
  if (rule != nullptr) decision.rule = rule->name;
}

std::string quoted(std::string_view text) { return std::string{"\""}.append(text).append("\""); }

void judge(Decision& decision, const Tally& found, const KeyFacts& key,
           const venue::Payload& payload) {
  const venue::Endpoint& endpoint = payload.endpoint();
  if (key.state != VersionState::active)
    return refuse(decision, Code::key_not_active,
                  "key " + quoted(key.name) + " has no active version");
  if (found.denies != nullptr)
    return refuse(decision, Code::denied,
                  "rule " + quoted(found.denies->name) + " denies " + std::string{endpoint.path},
                  found.denies);
  if (found.allows == nullptr)
    return refuse(decision, Code::denied,
                  "no rule of client " + quoted(decision.client) + " allows " +
                      std::string{endpoint.path} + " (class " +
                      std::string{venue::name(endpoint.cls)} + ") with key " + quoted(key.name));
  for (const Guard& guard : kGuards) {
    std::string refusal = guard.check(key, payload);
    if (!refusal.empty()) return refuse(decision, Code::denied, std::move(refusal));
  }
  decision.verdict = Verdict::allow;
  decision.rule = found.allows->name;
  decision.durability = found.durability;
}

}  // namespace

Error Decision::error() const {
  return Error{.code = code, .what = "refused by the policy", .detail = sentence};
}

Decision decide(const Rules& rules, const Who& who, const KeyFacts* key,
                const venue::Payload& payload) {
  Decision decision;
  decision.judged = judged_fields(payload);
  const Client* client = rules.client_of(who.uid, who.gid);
  if (client == nullptr) {
    refuse(decision, Code::unauthorized,
           "uid " + std::to_string(who.uid) + " is no client of the policy");
    return decision;
  }
  decision.client = client->name.value;
  const Tally found =
      key == nullptr ? Tally{} : tally(rules, *client, *key, endpoint_index(payload.endpoint()));
  if (!found.usable)
    refuse(decision, Code::denied,
           "client " + quoted(client->name.value) +
               " may not use that key, or there is none of that name");
  else
    judge(decision, found, *key, payload);
  return decision;
}

Result<ClientName> whoami(const Rules& rules, const Who& who) {
  const Client* client = rules.client_of(who.uid, who.gid);
  if (client == nullptr)
    return fail(Code::unauthorized, "no client of the policy", "uid " + std::to_string(who.uid));
  return client->name;
}

}  // namespace hsm::policy
