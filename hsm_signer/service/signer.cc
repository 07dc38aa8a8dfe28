#include "hsm_signer/service/signer.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/log.h"
#include "hsm_signer/service/random_id.h"
#include "hsm_signer/service/sign_task.h"
#include "hsm_signer/service/signing.h"

namespace hsm::service {
namespace {

constexpr std::uint32_t kLongestDeadlineMs = 60'000;
constexpr std::size_t kMostKeysInAList = 256;
// A drawn nonce has at most this many characters.
constexpr std::size_t kNonceRoom = 30;

Result<venue::Payload> parse(const SignAsk& ask) {
  if (base64_size(ask.payload.size()) > venue::kPayloadBase64Limit) {
    return fail(Code::too_large, "the payload is over 8 KiB of base64",
                std::to_string(base64_size(ask.payload.size())) + " bytes, the limit is " +
                    std::to_string(venue::kPayloadBase64Limit));
  }
  if (ask.form == Form::verbatim) return venue::Payload::parse_verbatim(ask.payload);
  return venue::Payload::parse_request(ask.payload);
}

// The operation must fit the key's nonce form: who draws it is settled once for each key.
Result<void> check_form(Form form, const keystore::KeyVersion& version) {
  const bool caller = nonce::is_caller(version.nonce_form);
  if (caller && form == Form::request)
    return fail(Code::nonce_conflict,
                "this key takes the caller's nonces: send the whole payload with sign_verbatim");
  if (!caller && form == Form::verbatim)
    return fail(Code::nonce_conflict, "the signer draws this key's nonces: use sign_request");
  return {};
}

}  // namespace

std::string op_name(Form form) { return form == Form::request ? "sign_request" : "sign_verbatim"; }

void Signer::sign(SignAsk ask, SignReply reply) {
  ++unfinished_;
  const Clock::Steady now = parts_.clock.steady();
  // The client hears the first of two: what became of it, or that its time is up. What became of it
  // comes and is recorded in any case, and until then it is unfinished.
  SignReply in_time = parts_.deadlines.watch(
      [this, reply = std::move(reply)](Result<wire::Signed> answer) {
        ++(answer ? counters_.signatures : counters_.refusals);
        reply(std::move(answer));
      },
      deadline_of(ask, now));
  SignReply ended = [this, in_time = std::move(in_time)](Result<wire::Signed> answer) {
    --unfinished_;
    in_time(std::move(answer));
  };
  Result<std::unique_ptr<SignTask>> task = judge(ask, now, ended);
  if (task) return release(*std::move(task));
  ended(fail(task.error()));
}

Clock::Steady Signer::deadline_of(const SignAsk& ask, Clock::Steady now) const {
  if (ask.deadline_ms == 0) return now + parts_.deadline;
  return now + std::chrono::milliseconds{std::min(ask.deadline_ms, kLongestDeadlineMs)};
}

policy::Scene Signer::scene() const {
  policy::Scene scene = parts_.policy.scene();
  scene.switches = &parts_.switches.switches();
  scene.awake_or_not = parts_.clock.awake_or_not();
  return scene;
}

Result<void> Signer::still_fit(const SignTask& task) const {
  const SignAsk& ask = task.facts().ask;
  const keystore::KeyVersion& version = task.facts().version;
  if (ask.wanted && !ask.wanted())
    return fail(Code::deadline_exceeded, "the client has gone, so nothing was signed");
  if (const auto trouble = parts_.ledger.closed_to(task.facts().payload.endpoint().cls))
    return fail(*trouble);
  const keystore::KeyVersion* now = parts_.registry.find(version.key.value, version.version);
  if (now == nullptr ||
      (now->state != VersionState::active && now->state != VersionState::draining))
    return fail(Code::key_not_active, "this key was taken out of use meanwhile", version.label());
  if (std::string sick = health(version.label()); !sick.empty())
    return fail(Code::quarantined, "this key is quarantined", std::move(sick));
  return parts_.switches.check(task.facts().decision.client, version.key.value,
                               task.facts().payload.endpoint().cls);
}

std::optional<Error> Signer::turned_away(const SignAsk& ask) const {
  if (draining_) return Error{.code = Code::overloaded, .what = "the signer is stopping"};
  // Its record is also the probe by which a log that could not be written finds out that it can.
  if (auto trouble = parts_.ledger.blocked()) return trouble;
  if (ask.deadline_ms > kLongestDeadlineMs)
    return Error{.code = Code::invalid_payload, .what = "a deadline is at most 60000 ms"};
  return std::nullopt;
}

Result<Signer::Place> Signer::place(const SignAsk& ask, const keystore::KeyVersion& version) const {
  TRY_VOID(check_form(ask.form, version));
  if (std::string sick = health(version.label()); !sick.empty())
    return fail(Code::quarantined, "this key is quarantined", std::move(sick));
  if (ask.form == Form::request &&
      base64_size(ask.payload.size() + kNonceRoom) > venue::kPayloadBase64Limit)
    return fail(Code::too_large, "the payload is over 8 KiB of base64 with its nonce");
  const auto token = parts_.pool.index_of(version.token.value);
  if (!token) return fail(Code::token_unavailable, "the key's token is not in signer.toml");
  TRY(const nonce::MarkIndex mark, parts_.nonces.open(version));
  return Place{.token = *token, .mark = mark};
}

Result<std::unique_ptr<SignTask>> Signer::judge(SignAsk& ask, Clock::Steady now, SignReply& reply) {
  audit::Record refusal = audit::Record::sign(ask.who.uid, ask.who.gid, ask.who.pid);
  refusal.op = op_name(ask.form);
  if (is_name(ask.key)) refusal.key = ask.key;
  bool understood = false;
  const auto refuse = [&](const Error& error) {
    if (understood) refusal.payload_sha256 = hex_encode(sha256(as_bytes(ask.payload)));
    parts_.ledger.refuse(std::move(refusal), error);
    return fail(error);
  };

  if (const auto trouble = turned_away(ask)) return refuse(*trouble);
  Result<venue::Payload> payload = parse(ask);
  if (!payload) return refuse(payload.error());
  refusal.endpoint = std::string{payload->endpoint().path};
  refusal.endpoint_class = std::string{venue::name(payload->endpoint().cls)};
  understood = true;
  if (const auto closed = parts_.ledger.closed_to(payload->endpoint().cls)) return refuse(*closed);
  const Result<std::string> asked = make_idempotent(ask, *payload);
  if (!asked) return refuse(asked.error());

  const keystore::KeyVersion* version = parts_.registry.active(ask.key);
  if (version == nullptr) version = parts_.registry.newest(ask.key);
  const policy::KeyFacts facts = version != nullptr ? facts_of(*version) : policy::KeyFacts{};
  policy::Decision decision = policy::decide(scene(), {.uid = ask.who.uid, .gid = ask.who.gid},
                                             version != nullptr ? &facts : nullptr, *payload);
  refusal.client = decision.client;
  refusal.rule = decision.rule;
  const bool wants_officers =
      decision.code == Code::approval_required && decision.granted != nullptr;
  if (!decision.allowed() && !wants_officers) return refuse(decision.error());
  const Result<Place> place = this->place(ask, *version);
  if (!place) return refuse(place.error());
  std::optional<Approved> approved;
  if (wants_officers) {
    Result<Approved> settled = settle(ask, *payload, *version, *asked, decision);
    if (!settled) return refuse(settled.error());
    approved = *std::move(settled);
  }
  const Clock::Steady deadline = deadline_of(ask, now);
  const Clock::Wall counted = parts_.policy.take(decision, payload->endpoint().cls);
  return std::make_unique<SignTask>(*this,
                                    SignTask::Facts{.ask = std::move(ask),
                                                    .payload = *std::move(payload),
                                                    .rules = parts_.policy.rules(),
                                                    .decision = std::move(decision),
                                                    .counted = counted,
                                                    .version = *version,
                                                    .token = place->token,
                                                    .mark = place->mark,
                                                    .approved = std::move(approved),
                                                    .arrived = now,
                                                    .deadline = deadline},
                                    std::move(reply));
}

Result<std::string> Signer::make_idempotent(SignAsk& ask, venue::Payload& payload) const {
  const std::string_view member = payload.endpoint().idempotency;
  if (member.empty() && !ask.reference.empty())
    return fail(Code::denied, "references are not supported yet on this endpoint",
                std::string{payload.endpoint().path});
  if (!ask.reference.empty() && !is_api_key_id(ask.reference))
    return fail(Code::invalid_payload, "a reference is 1 to 64 letters, digits, '_' and '-'");
  if (member.empty() || payload.member(member)) return std::string{};
  if (ask.form == Form::verbatim)
    return fail(Code::invalid_payload, "what moves money has to be told from its repetition",
                "put a UUID of your own into " + std::string{member});
  const auto client = whoami(ask.who);
  const std::string client_name = client ? client->client : std::string{};
  std::string asked;
  std::string text;
  if (ask.reference.empty()) {
    asked = ApprovalDesk::asked_hash(client_name, ask.key, op_name(ask.form), payload);
    text = parts_.approvals.request_of(asked);  // As it waits for officers, if it does.
  }
  if (text.empty()) {
    const std::string uuid = ask.reference.empty()
                                 ? random_uuid()
                                 : uuid_of(client_name + "\n" + ask.key + "\n" + ask.reference);
    TRY(text, payload.with_text(member, uuid));
  }
  TRY(payload, venue::Payload::parse_request(text));
  ask.payload = std::move(text);
  return asked;
}

Result<Approved> Signer::settle(const SignAsk& ask, const venue::Payload& payload,
                                const keystore::KeyVersion& version, const std::string& asked,
                                policy::Decision& decision) const {
  const policy::Who who{.uid = ask.who.uid, .gid = ask.who.gid};
  const policy::Rules& rules = *parts_.policy.rules();
  TRY(Approved approved,
      parts_.approvals.settle(
          {.who = ask.who,
           .decision = decision,
           .client = *rules.client_of(who.uid, who.gid),
           .policy_serial = rules.serial(),
           .version = version,
           .payload = payload,
           .asked = asked.empty() ? ApprovalDesk::asked_hash(decision.client, ask.key,
                                                             op_name(ask.form), payload)
                                  : asked,
           .request = payload.endpoint().idempotency.empty() || ask.form == Form::verbatim
                          ? std::string{}
                          : ask.payload}));
  const policy::KeyFacts facts = facts_of(version);
  decision = policy::decide(parts_.policy.scene(approved.rule), who, &facts, payload);
  if (!decision.allowed()) return fail(decision.error());
  return approved;
}

void Signer::release(std::unique_ptr<SignTask> task) {
  if (!task->facts().approved) return enter(std::move(task));
  std::shared_ptr<SignTask> kept{std::move(task)};
  const SignTask::Facts& facts = kept->facts();
  parts_.approvals.release(facts.ask.who, *facts.approved, [this, kept](const Result<void>& used) {
    if (!used) return kept->refuse(used.error());
    kept->statement_used();
    enter(std::make_unique<SignTask>(std::move(*kept)));
  });
}

// The MAC is made; without a record nobody gets it.
void Signer::approved_was_signed(const Peer& who, const std::string& approval,
                                 const Result<std::uint64_t>& sequence) {
  if (sequence) return parts_.approvals.released(who, approval, *sequence);
  parts_.approvals.lost(who, approval, sequence.error().sentence());
}

void Signer::turn_over() {
  parts_.pool.pump();
  parts_.ledger.flush();
}

void Signer::enter(std::unique_ptr<SignTask> task) {
  if (!task->caller_nonce()) return queue(std::move(task));
  // A caller's nonces are admitted in the order in which they came and leave in that order.
  const nonce::MarkIndex mark = task->facts().mark;
  const Result<std::optional<nonce::Drawn>> admitted =
      parts_.nonces.admit(mark, task->facts().payload.nonce());
  if (!admitted) return task->refuse(admitted.error());
  if (*admitted) {
    task->admitted();
    return queue(std::move(task));
  }
  std::shared_ptr<SignTask> kept{std::move(task)};
  parts_.nonces.park(mark, [this, kept](const Result<void>& reserved) {
    if (!reserved) return kept->refuse(reserved.error());
    enter(std::make_unique<SignTask>(std::move(*kept)));
  });
}

void Signer::queue(std::unique_ptr<SignTask> task) {
  const keystore::Job job = task->job(client_index(task->facts().ask.who.uid));
  parts_.pool.submit(std::move(task), job);
}

keystore::ClientIndex Signer::client_index(uid_t uid) {
  return clients_.emplace(uid, static_cast<keystore::ClientIndex>(clients_.size())).first->second;
}

void Signer::set_health(const std::string& label, std::string why) {
  if (why.empty()) {
    sick_.erase(label);
  } else {
    sick_[label] = std::move(why);
  }
}

std::string Signer::health(const std::string& label) const {
  const auto found = sick_.find(label);
  return found == sick_.end() ? std::string{} : found->second;
}

Result<wire::Identity> Signer::whoami(const Peer& who) const {
  TRY(const ClientName client,
      policy::whoami(*parts_.policy.rules(), {.uid = who.uid, .gid = who.gid}));
  return wire::Identity{.uid = who.uid, .gid = who.gid, .client = client.value};
}

Result<void> Signer::push_reference(const Peer& who, const wire::PushReference& ask) {
  return parts_.policy.push_reference({.uid = who.uid, .gid = who.gid}, ask);
}

Result<void> Signer::push_skew(const Peer& who, const wire::PushSkew& ask) {
  TRY_VOID(parts_.policy.may_push_skew({.uid = who.uid, .gid = who.gid}));
  TRY(const auto alarming, parts_.nonces.exchange_said(ask.time_us));
  if (!alarming) return {};
  audit::Record event = audit::Record::admin_event(who, "alarm", "clock_skew");
  const std::int64_t ahead =
      std::chrono::duration_cast<std::chrono::milliseconds>(*alarming).count();
  event.detail = "the exchange's clock is " + std::to_string(std::abs(ahead)) + " ms " +
                 (ahead < 0 ? "behind" : "ahead of") +
                 " this machine's: set it right, from 25 s on time-based keys cannot sign";
  log(Level::alert, "clock_skew", event.detail);
  parts_.ledger.event(std::move(event));
  return {};
}

wire::KeyList Signer::list_keys(const Peer& who, const wire::ListKeys& ask) const {
  std::vector<const keystore::KeyVersion*> versions;
  std::vector<policy::KeyFacts> facts;
  for (const keystore::KeyVersion* version : parts_.registry.all()) {
    if (version->state != VersionState::active) continue;
    versions.push_back(version);
    facts.push_back(facts_of(*version));
  }
  const std::vector<policy::UsableKey> usable =
      policy::keys_for(*parts_.policy.rules(), {.uid = who.uid, .gid = who.gid}, facts);
  wire::KeyList list{.total = static_cast<std::uint32_t>(usable.size()), .keys = {}};
  const std::size_t limit =
      ask.limit == 0 ? kMostKeysInAList : std::min<std::size_t>(ask.limit, kMostKeysInAList);
  for (std::size_t i = ask.offset; i < usable.size() && list.keys.size() < limit; ++i) {
    const keystore::KeyVersion& version = *versions[usable[i].index];
    std::string classes;
    for (unsigned c = 0; c <= static_cast<unsigned>(venue::Class::session); ++c) {
      if ((usable[i].classes >> c & 1U) == 0) continue;
      classes.append(classes.empty() ? "" : ",").append(venue::name(static_cast<venue::Class>(c)));
    }
    list.keys.push_back({.key = version.key.value,
                         .version = version.version,
                         .environment = std::string{name(version.environment)},
                         .api_key_id = version.api_key_id.value,
                         .roles = keystore::roles_text(version.roles),
                         .nonce_form = std::string{nonce::name(version.nonce_form)},
                         .classes = std::move(classes)});
  }
  return list;
}

Result<wire::Explanation> Signer::explain(const Peer& who, const wire::Explain& ask) const {
  // With or without a nonce: what is asked is what the rules say.
  Result<venue::Payload> payload = venue::Payload::parse_request(ask.payload);
  if (!payload) return fail(payload.error());
  const keystore::KeyVersion* version = parts_.registry.active(ask.key);
  if (version == nullptr) version = parts_.registry.newest(ask.key);
  const policy::KeyFacts facts = version != nullptr ? facts_of(*version) : policy::KeyFacts{};
  const policy::Explanation found = policy::explain(
      scene(), {.uid = who.uid, .gid = who.gid}, version != nullptr ? &facts : nullptr, *payload);
  wire::Explanation answer{
      .allowed = found.decision.allowed(),
      .code = found.decision.allowed() ? "" : std::string{name(found.decision.code)},
      .rule = found.decision.rule,
      .sentence = found.decision.allowed() ? "allowed" : found.decision.sentence,
      .endpoint = std::string{payload->endpoint().path},
      .endpoint_class = std::string{venue::name(payload->endpoint().cls)},
      .steps = {}};
  for (const policy::VisitedRule& rule : found.visited)
    answer.steps.push_back(
        {.rule = rule.rule, .verdict = std::string{policy::name(rule.visit)}, .why = rule.why});
  for (const std::string& guard : found.guards)
    answer.steps.push_back({.rule = "", .verdict = "guard", .why = guard});
  return answer;
}

}  // namespace hsm::service
