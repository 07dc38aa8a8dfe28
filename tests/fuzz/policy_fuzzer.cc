// A policy file under any bytes. What is taken is written down again and read again, which has to
// give the same, and is asked a fixed set of questions; each answer is compared with
// docs/policy.md, "How a request is decided", worked out here once more, with what a person read of
// the request (policy_questions.h), with a second reading of the file, with the same rules written
// in the opposite order, and with what explain and list_keys would say.
#include <algorithm>
#include <array>
#include <map>

#include "hsm_signer/base/toml.h"
#include "hsm_signer/policy/judge.h"
#include "hsm_signer/policy/policy.h"
#include "tests/fuzz/demand.h"
#include "tests/fuzz/policy_allowed.h"
#include "tests/fuzz/policy_text.h"

namespace hsm::policy {
namespace {

using fuzz::demand;
using venue::Class;

// Users that exist here, whoever is on the machine.
const Resolver& resolver() {
  static const Resolver known{.user = [](const std::string& name) -> std::optional<uid_t> {
                                if (name.c_str() == std::string_view{"mmbot"})
                                  return 1001;  // As getpwnam(3) reads.
                                if (name == "treasury") return 1002;
                                if (name == "nobody") return kOverflowUid;
                                return std::nullopt;
                              },
                              .group = [](const std::string& name) -> std::optional<gid_t> {
                                if (name == "desk") return 2001;
                                if (name == "nogroup") return kOverflowGid;
                                return std::nullopt;
                              }};
  return known;
}

constexpr std::array kCallers{Who{.uid = 1001, .gid = 2001}, Who{.uid = 1002, .gid = 7},
                              Who{.uid = 0, .gid = 0}, Who{.uid = kOverflowUid, .gid = 2001}};

const std::vector<KeyFacts>& keys() {
  constexpr auto all = static_cast<venue::Roles>(venue::kTrader | venue::kFundManager |
                                                 venue::kAuditor | venue::kAdministrator);
  static const std::vector<KeyFacts> known{
      {"desk-a.trade", Environment::production, Scope::account, venue::kTrader,
       VersionState::active},
      {"desk-a.funds", Environment::production, Scope::master, all, VersionState::active},
      {"sand.trade", Environment::sandbox, Scope::account, venue::kTrader, VersionState::active},
      {"sand.all", Environment::sandbox, Scope::master, all, VersionState::active},
      {"sand.roles", Environment::sandbox, Scope::account, all, VersionState::active},
      {"sand.audit", Environment::sandbox, Scope::account, venue::kAuditor, VersionState::active},
      {"desk-b", Environment::production, Scope::account, all, VersionState::staged}};
  return known;
}

const std::vector<venue::Payload>& payloads() {
  static const std::vector<venue::Payload> known = [] {
    std::vector<venue::Payload> made;
    for (const fuzz::Asked& asked : fuzz::kAsked) {
      auto payload = venue::Payload::parse_request(asked.json);
      demand(payload.has_value(), "set-up: payload");
      demand(commits(payload->endpoint().cls) == asked.commits, "set-up: what commits");
      made.push_back(*std::move(payload));
    }
    return made;
  }();
  return known;
}

// A Monday morning; hours are read by hours_fuzzer.
const Clock::Wall kNow = *parse_rfc3339("2026-03-02T15:00:00.000000Z");

bool limited(const Rules& rules) {
  return std::any_of(rules.rules().begin(), rules.rules().end(), [](const Rule& rule) {
    const Conditions& limits = rule.conditions;
    return limits.needed() != 0 || limits.accounts || limits.hours || limits.expires ||
           limits.rate || limits.approvals || !limits.windows.empty() ||
           !limits.extra_members.empty() || limits.open_counterparty;
  });
}

// The guards, worked out here.
bool guards_hold(const KeyFacts& key, const venue::Payload& payload) {
  const venue::Endpoint& endpoint = payload.endpoint();
  if (endpoint.roles != 0 && (endpoint.roles & key.roles) == 0) return false;
  if (endpoint.master && key.scope == Scope::account) return false;
  const bool of_an_account = !endpoint.master && endpoint.cls != Class::admin &&
                             endpoint.cls != Class::session &&
                             (endpoint.cls != Class::read || endpoint.roles != 0);
  return key.scope != Scope::master || !of_an_account || payload.member("account");
}

struct Answer {
  bool allow = false;
  Code code = Code::denied;
  Durability durability = Durability::os;
};

bool endpoint_class_is_durable(const venue::Payload& payload) {
  const Class cls = payload.endpoint().cls;
  return cls == Class::move || cls == Class::widen || cls == Class::admin;
}

// Each rule of the caller looked at by itself, in no order.
Answer by_the_book(const Rules& rules, const Who& who, const KeyFacts& key,
                   const venue::Payload& payload) {
  const Client* client = nullptr;
  for (const Client& one : rules.clients()) {
    if (one.uid == who.uid && (!one.gid || *one.gid == who.gid)) client = &one;
  }
  if (client == nullptr) return {.code = Code::unauthorized};
  const std::size_t endpoint = endpoint_index(payload.endpoint());
  bool usable = false, allowed = false, denied = false, named_at_all = false;
  Answer answer;
  if (endpoint_class_is_durable(payload)) answer.durability = Durability::fsync;
  const Intent intent = intent_of(payload);
  for (const Rule& rule : rules.rules()) {
    const bool named = rule.key.name.value == key.name;
    const bool environment = rule.key.name.value.empty() && rule.key.environment == key.environment;
    if (&rules.clients()[rule.client] != client || (!named && !environment)) continue;
    usable |= rule.allow.any();
    denied |= rule.deny[endpoint];
    if (!rule.allow[endpoint]) continue;
    Charge charge;
    const auto objection = object({.rules = rules, .now = kNow}, rule,
                                  {*client, key, payload, intent}, charge, nullptr);
    allowed |= !objection;
    named_at_all = true;
    if (objection && objection->code == Code::approval_required)
      answer.code = Code::approval_required;
    const bool production = key.environment == Environment::production;
    if (rule.durability.value_or(production ? Durability::fsync : Durability::os) ==
        Durability::fsync)
      answer.durability = Durability::fsync;
  }
  // Officers are asked only where all else holds.
  if (denied || !named_at_all || !guards_hold(key, payload)) answer.code = Code::denied;
  if (usable && key.state != VersionState::active) answer.code = Code::key_not_active;
  answer.allow = usable && allowed && !denied && key.state == VersionState::active &&
                 guards_hold(key, payload);
  return answer;
}

void same(const Decision& a, const Decision& b) {
  demand(a.verdict == b.verdict && a.client == b.client && a.judged == b.judged &&
             (a.allowed() ? a.durability == b.durability : a.code == b.code),
         "the same question has the same answer");
}

void answers(const Rules& rules, const Rules& again, const Rules& reversed, const Who& who,
             const KeyFacts& key, std::size_t question) {
  const venue::Payload& payload = payloads()[question];
  const Decision decision = decide({.rules = rules, .now = kNow}, who, &key, payload);
  const Answer wanted = by_the_book(rules, who, key, payload);
  demand(decision.allowed() == wanted.allow, "the decision is what docs/policy.md says");
  if (decision.allowed()) {
    demand(decision.durability == wanted.durability, "the strictest durability counts");
    demand(!decision.rule.empty() && decision.sentence.empty(), "an allowing rule is named");
    fuzz::demand_within_limits(rules, *decision.granted, fuzz::kAsked[question], kNow);
  } else {
    demand(decision.code == wanted.code, "the code is what docs/policy.md says");
    demand(!decision.sentence.empty() && decision.sentence.find('\n') == std::string::npos,
           "a refusal is a sentence");
  }
  const Decision repeated = decide({.rules = again, .now = kNow}, who, &key, payload);
  same(decision, repeated);
  demand(decision.rule == repeated.rule && decision.sentence == repeated.sentence,
         "a file read twice says the same to the letter");
  same(decision, decide({.rules = reversed, .now = kNow}, who, &key, payload));
  const Explanation explained = explain({.rules = rules, .now = kNow}, who, &key, payload);
  same(decision, explained.decision);
}

// Whether a key exists is nobody's business who may not use it.
void hides(const Rules& rules, const Who& who, const KeyFacts& key, bool usable) {
  if (usable) return;
  const venue::Payload& payload = payloads().front();
  const Explanation there = explain({.rules = rules, .now = kNow}, who, &key, payload);
  const Explanation absent = explain({.rules = rules, .now = kNow}, who, nullptr, payload);
  demand(there.decision.code == absent.decision.code &&
             there.decision.sentence == absent.decision.sentence &&
             there.decision.rule == absent.decision.rule && there.guards == absent.guards &&
             there.visited.size() == absent.visited.size(),
         "a key that may not be used looks like none");
  for (std::size_t i = 0; i < there.visited.size(); ++i)
    demand(there.visited[i].why == absent.visited[i].why &&
               there.visited[i].visit == absent.visited[i].visit,
           "also in what explain shows");
}

// list_keys promises a class only where some endpoint of it would be allowed, and the reverse.
void lists(const Rules& rules, const Who& who) {
  const std::vector<UsableKey> usable = keys_for(rules, who, keys());
  for (std::size_t i = 0; i < keys().size(); ++i) {
    const auto found = std::find_if(usable.begin(), usable.end(),
                                    [&](const UsableKey& one) { return one.index == i; });
    hides(rules, who, keys()[i], found != usable.end());
    for (const venue::Payload& payload : payloads()) {
      const Decision decision = decide({.rules = rules, .now = kNow}, who, &keys()[i], payload);
      const bool listed =
          found != usable.end() && found->endpoints[endpoint_index(payload.endpoint())];
      demand(listed || !decision.allowed(), "what is allowed is listed");
      demand(!listed || limited(rules) || decision.allowed() || !payload.unknown_member().empty() ||
                 !guards_hold(keys()[i], payload) || decision.code == Code::key_not_active,
             "what is listed is allowed, but for a member, a limit or the key's state");
    }
  }
}

constexpr std::string_view kFile = "policy.toml";

// Names of users and groups are looked up by functions that read up to a NUL.
void names_whole_users(std::string_view text) {
  auto file = TomlTable::parse(text, std::string{kFile});
  demand(file.has_value(), "what is a policy is TOML");
  auto clients = file->tables("client");
  for (TomlTable& client : *clients) {
    for (const char* key : {"uid", "gid"})
      demand(client.text_or(key, "")->find('\0') == std::string::npos,
             "a name is looked up to its end");
  }
}

// Whatever is read is written and read to the same.
void survives_writing(const Rules& rules) {
  const auto again =
      Rules::parse(fuzz::policy_text(rules, fuzz::Order::as_read), std::string{kFile}, resolver());
  demand(again.has_value(), "a policy written again is taken");
  demand(again->serial() == rules.serial() && again->markets().added() == rules.markets().added() &&
             again->clients().size() == rules.clients().size() &&
             again->rules().size() == rules.rules().size(),
         "a policy written again has the same parts");
  for (std::size_t i = 0; i < rules.rules().size(); ++i) {
    const Rule& one = rules.rules()[i];
    const Rule& other = again->rules()[i];
    demand(one.name == other.name && one.client == other.client && one.allow == other.allow &&
               one.deny == other.deny && one.durability == other.durability,
           "a rule written again is the same");
    demand(one.conditions == other.conditions, "limits written again are the same");
  }
}

void check(std::string_view text) {
  const auto rules = Rules::parse(text, std::string{kFile}, resolver());
  if (!rules) {
    fuzz::demand_sentence(rules.error());
    demand(rules.error().code == Code::usage && rules.error().detail.starts_with("policy.toml:"),
           "a mistake in a policy has its place");
    return;
  }
  for (const Client& client : rules->clients())
    demand(client.uid != kOverflowUid && client.uid != static_cast<uid_t>(-1),
           "a client is somebody in particular");
  names_whole_users(text);
  const auto again = Rules::parse(text, std::string{kFile}, resolver());
  demand(again.has_value(), "a file is taken each time");
  survives_writing(*rules);
  const auto reversed = Rules::parse(fuzz::policy_text(*rules, fuzz::Order::reversed),
                                     std::string{kFile}, resolver());
  demand(reversed.has_value(), "a policy written in the opposite order is taken");
  demand(!Rules::parse(std::string{text} + "\nno_key_of_any_table = 1\n", std::string{kFile},
                       resolver()),
         "unknown keys are refused");
  for (const Who& who : kCallers) {
    lists(*rules, who);
    for (const KeyFacts& key : keys()) {
      for (std::size_t i = 0; i < payloads().size(); ++i)
        answers(*rules, *again, *reversed, who, key, i);
    }
  }
}

}  // namespace
}  // namespace hsm::policy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::policy::check(hsm::fuzz::text_of(data, size));
  return 0;
}
