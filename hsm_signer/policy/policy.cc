#include "hsm_signer/policy/policy.h"

#include <algorithm>
#include <array>

#include "hsm_signer/policy/guards.h"
#include "hsm_signer/policy/judge.h"

namespace hsm::policy {
namespace {

// Members whose values decide what a request does, and the ids by which the exchange's own history
// names it (audit reconcile). Labels and personal data (names, bank account numbers) are no matter
// of the policy and stay out of the audit record.
constexpr std::array<std::string_view, 33> kJudgedMembers{"symbol",
                                                          "client_order_id",
                                                          "clientTransferId",
                                                          "client_transfer_id",
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

// By index of the endpoint's row: its members that are judged.
const std::vector<std::string_view>& judged_members(const venue::Endpoint& endpoint) {
  static const auto table = [] {
    std::array<std::vector<std::string_view>, kEndpointLimit> members;
    for (const venue::Endpoint& row : venue::endpoints()) {
      for (const venue::Member& member : row.members) {
        if (std::find(kJudgedMembers.begin(), kJudgedMembers.end(), member.name) !=
            kJudgedMembers.end())
          members[endpoint_index(row)].push_back(member.name);
      }
    }
    return members;
  }();
  return table[endpoint_index(endpoint)];
}

std::vector<JudgedField> judged_fields(const venue::Payload& payload) {
  std::vector<JudgedField> fields;
  const auto& members = judged_members(payload.endpoint());
  fields.reserve(members.size() + 3);  // And account, and what stands in the path.
  add_parameters(payload, fields);
  add_judged(payload, "account", fields);
  for (const std::string_view member : members) add_judged(payload, member, fields);
  return fields;
}

// What all rules of a client say together. Only which rule is named depends on the order of the
// file, and which windows count.
struct Tally {
  bool usable = false;            // Some rule allows something with this key.
  const Rule* denies = nullptr;   // The first.
  const Rule* allows = nullptr;   // The first that allows the endpoint and whose conditions hold.
  const Rule* closest = nullptr;  // Else the one that comes closest,
  Objection objection;            // and what it has against the request.
  Durability durability = Durability::os;
};

// Officers can still say yes; a window opens again; the rest stays as it is.
int closeness(Code code) {
  if (code == Code::approval_required) return 2;
  return code == Code::denied ? 0 : 1;
}

// Most rules of a long policy are for other symbols: these are passed over without a look at the
// rest, which could only say "denied" as well.
bool for_other_symbols(const Rule& rule, const Ask& ask) {
  return (rule.symbol_bits & ask.intent.asset_bit) == 0 && commits(ask.payload.endpoint().cls);
}

void weigh(Tally& found, const Scene& scene, const Rule& rule, const Ask& ask, Charge& charge) {
  if (found.allows != nullptr) return;
  const std::optional<Objection> objection = for_other_symbols(rule, ask)
                                                 ? std::optional{Objection{}}
                                                 : object(scene, rule, ask, charge, nullptr);
  if (!objection) {
    found.allows = &rule;
    return;
  }
  if (found.closest != nullptr && closeness(objection->code) <= closeness(found.objection.code))
    return;
  found.closest = &rule;
  found.objection = *objection;
}

// What was moved cannot be taken back, so its record is on disk before it leaves.
bool always_on_disk(venue::Class cls) {
  return cls == venue::Class::move || cls == venue::Class::widen || cls == venue::Class::admin;
}

Tally tally(const Scene& scene, const Ask& ask, Charge& charge) {
  const std::size_t endpoint = endpoint_index(ask.payload.endpoint());
  // The strictest of the rules that allow the endpoint, each with the default of the environment.
  const Durability usual =
      ask.key.environment == Environment::production ? Durability::fsync : Durability::os;
  Tally found;
  if (always_on_disk(ask.payload.endpoint().cls)) found.durability = Durability::fsync;
  for (const std::uint32_t index : ask.client.rules) {
    const Rule& rule = scene.rules.rules()[index];
    if (!rule.key.covers(ask.key.name, ask.key.environment)) continue;
    found.usable = found.usable || rule.allow.any();
    if (rule.deny[endpoint] && found.denies == nullptr) found.denies = &rule;
    if (!rule.allow[endpoint]) continue;
    found.durability = std::max(found.durability, rule.durability.value_or(usual));
    weigh(found, scene, rule, ask, charge);
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

// No rule allows it: in the words of the one that comes closest.
void refuse_by_rule(Decision& decision, const Scene& scene, const Tally& found, const Ask& ask) {
  const venue::Endpoint& endpoint = ask.payload.endpoint();
  if (found.closest == nullptr)
    return refuse(decision, Code::denied,
                  "no rule of client " + quoted(decision.client) + " allows " +
                      std::string{endpoint.path} + " (class " +
                      std::string{venue::name(endpoint.cls)} + ") with key " +
                      quoted(ask.key.name));
  std::string why;
  object(scene, *found.closest, ask, decision.charge, &why);
  refuse(decision, found.objection.code, "rule " + quoted(found.closest->name) + " " + why,
         found.closest);
  decision.retry_after_ms = found.objection.retry_after_ms;
  if (found.objection.code == Code::approval_required) decision.granted = found.closest;
}

void judge(Decision& decision, const Scene& scene, const Tally& found, const Ask& ask) {
  const venue::Endpoint& endpoint = ask.payload.endpoint();
  // Over all rules, and after it is known that this caller may hear of the key.
  if (scene.switches != nullptr) {
    auto stopped = scene.switches->check(decision.client, ask.key.name, endpoint.cls,
                                         {scene.now, scene.awake_or_not});
    if (stopped) return refuse(decision, stopped->code, std::move(stopped->sentence));
  }
  if (ask.key.state != VersionState::active)
    return refuse(decision, Code::key_not_active,
                  "key " + quoted(ask.key.name) + " has no active version");
  if (found.denies != nullptr)
    return refuse(decision, Code::denied,
                  "rule " + quoted(found.denies->name) + " denies " + std::string{endpoint.path},
                  found.denies);
  if (found.allows == nullptr && found.closest == nullptr)
    return refuse_by_rule(decision, scene, found, ask);
  for (const Guard& guard : kGuards) {
    std::string refusal = guard.check(ask.key, ask.payload);
    if (!refusal.empty()) return refuse(decision, Code::denied, std::move(refusal));
  }
  if (found.allows == nullptr) return refuse_by_rule(decision, scene, found, ask);
  decision.verdict = Verdict::allow;
  decision.rule = found.allows->name;
  decision.granted = found.allows;
  decision.durability = found.durability;
}

}  // namespace

Error Decision::error() const {
  return Error{.code = code,
               .what = "refused by the policy",
               .detail = sentence,
               .retry_after_ms = retry_after_ms};
}

Decision decide(const Scene& scene, const Who& who, const KeyFacts* key,
                const venue::Payload& payload) {
  Decision decision;
  decision.judged = judged_fields(payload);
  const Client* client = scene.rules.client_of(who.uid, who.gid);
  if (client == nullptr) {
    refuse(decision, Code::unauthorized,
           "uid " + std::to_string(who.uid) + " is no client of the policy");
    return decision;
  }
  decision.client = client->name.value;
  const Intent intent = intent_of(payload);
  const KeyFacts nobody{};
  const Ask ask{*client, key != nullptr ? *key : nobody, payload, intent};
  decision.charge.key = ask.key.name;
  const Tally found = key == nullptr ? Tally{} : tally(scene, ask, decision.charge);
  if (!found.usable)
    refuse(decision, Code::denied,
           "client " + quoted(client->name.value) +
               " may not use that key, or there is none of that name");
  else
    judge(decision, scene, found, ask);
  return decision;
}

void take(const Scene& scene, const Decision& decision, venue::Class cls) {
  if (scene.usage == nullptr || !decision.allowed() || cls == venue::Class::cancel) return;
  scene.usage->take(scene.rules, *decision.granted, decision.charge, commits(cls), scene.counted,
                    scene.steady);
}

Result<ClientName> whoami(const Rules& rules, const Who& who) {
  const Client* client = rules.client_of(who.uid, who.gid);
  if (client == nullptr)
    return fail(Code::unauthorized, "no client of the policy", "uid " + std::to_string(who.uid));
  return client->name;
}

}  // namespace hsm::policy
