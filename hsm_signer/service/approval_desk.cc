#include "hsm_signer/service/approval_desk.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/officers/verify.h"
#include "hsm_signer/service/random_id.h"

namespace hsm::service {
namespace {

constexpr std::size_t kApprovalsPage = 64;
constexpr std::size_t kReasonLimit = 200;

std::uint64_t micros(Clock::Wall time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

// The same thing to be done, whatever it is called and until when.
bool same_act(const Pending& a, const Pending& b) {
  return a.client == b.client && a.key == b.key && a.api_key_id == b.api_key_id &&
         a.environment == b.environment && a.token == b.token && a.requester == b.requester &&
         a.policy_serial == b.policy_serial && a.payload == b.payload;
}

bool contains_name(const std::string& names, const std::string& name) {
  return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

void append_name(std::string& names, const std::string& name) {
  names.append(names.empty() ? "" : ",").append(name);
}

tl::unexpected<Error> unknown() {
  return fail(Code::denied, "no such request waits for officers",
              "it was signed, rejected or is over; see hsm-signerctl approvals list");
}

bool is_reason(std::string_view text) {
  return !text.empty() && text.size() <= kReasonLimit &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

void ApprovalDesk::load(const std::vector<state::Note>& notes, bool all_void) {
  for (const state::Note& note : notes) {
    Result<Pending> pending = Pending::from_note(note.value);
    const bool over =
        pending && (parts_.officers.is_used(pending->id) || pending->ends() <= parts_.clock.wall());
    if (!pending || over || all_void) {
      if (pending) tell_void(*pending, all_void);
      if (!pending) log(Level::warning, "approval_void", pending.error().sentence());
      drop(note.name);
      continue;
    }
    (void)pending_.add(*std::move(pending));  // More than may be added: those are dropped here.
  }
}

// Nobody has heard what became of it: the run that knew has ended.
void ApprovalDesk::tell_void(const Pending& pending, bool old_copy) {
  const Peer self{.uid = ::geteuid(), .gid = ::getegid(), .pid = ::getpid()};
  const bool used = parts_.officers.is_used(pending.id);
  record(
      self, "approval_void", pending, pending.officers,
      used ? "hsm-signerd ended while it was signed: there may be a signature, look at the exchange"
      : old_copy ? "it stood in an old copy of state.db: nobody knows what became of it since"
                 : "its time was up",
      {});
}

std::string ApprovalDesk::asked_hash(std::string_view client, std::string_view key,
                                     std::string_view op, const venue::Payload& payload) {
  std::string text;
  for (const std::string_view part : {client, key, op}) text.append(part).push_back('\n');
  payload.build_without_nonce(text);
  return hex_encode(sha256(as_bytes(text)));
}

std::string ApprovalDesk::request_of(const std::string& asked) {
  sweep();
  const Pending* pending = pending_.asked_for(asked);
  return pending == nullptr ? std::string{} : pending->request;
}

Pending ApprovalDesk::describe(const Ask& ask) const {
  const policy::Approvals& wanted = *ask.decision.granted->conditions.approvals;
  const Clock::Wall now = parts_.clock.wall();
  Pending pending;
  pending.id = "a-" + random_id();
  pending.client = ask.client.name.value;
  pending.key = ask.version.key.value;
  pending.api_key_id = ask.version.api_key_id.value;
  pending.environment = name(ask.version.environment);
  pending.token = ask.version.token.value;
  pending.requester = ask.client.officer;
  pending.policy_serial = ask.policy_serial;
  ask.payload.build_without_nonce(pending.payload);
  pending.endpoint = ask.payload.endpoint().path;
  pending.rule = ask.decision.granted->name;
  pending.group = wanted.group;
  pending.need = wanted.need;
  pending.asked = ask.asked;
  pending.request = ask.request;
  pending.created = micros(now);
  pending.expires = micros(now + wanted.within);
  return pending;
}

Result<Pending*> ApprovalDesk::begin(const Ask& ask, Pending fresh) {
  const std::string& host = parts_.officers.place().host;
  TRY_VOID(fresh.statement(host).to_text());  // Or no officer could sign it.
  TRY(Pending * pending, pending_.add(std::move(fresh)));
  keep(*pending);
  record(ask.who, "approval_asked", *pending, {}, {},
         "rule \"" + pending->rule + "\", " + pending->endpoint + ", until " +
             rfc3339(pending->ends()));
  return pending;
}

Result<Approved> ApprovalDesk::settle(const Ask& ask) {
  if (!parts_.officers.on())
    return fail(Code::approval_required, "refused by the policy",
                ask.decision.sentence + "; signer.toml has no [officers], so nobody can give them");
  sweep();
  Pending fresh = describe(ask);
  Pending* pending = pending_.asked_for(ask.asked);
  if (pending != nullptr && pending->releasing)
    return fail(wait(*pending, "it is on its way to the token"));
  // By another policy or another key than officers would state now: what they signed is void.
  if (pending != nullptr && !same_act(*pending, fresh)) {
    record(ask.who, "approval_void", *pending, {}, "the policy or the key has changed", {});
    drop(pending->id);
    pending_.erase(std::exchange(pending, nullptr)->id);
  }
  if (pending == nullptr) {
    TRY(pending, begin(ask, std::move(fresh)));
    return fail(wait(*pending, "nobody has signed"));
  }
  pending->rule = fresh.rule;
  pending->group = fresh.group;
  pending->need = fresh.need;
  if (pending->signatures.empty()) return fail(wait(*pending, "nobody has signed"));
  const officers::Statement expected = pending->statement(parts_.officers.place().host);
  TRY(std::string bundle, bundle_of(*pending));
  auto stated = parts_.officers.judge(bundle, expected, {pending->group, pending->need});
  if (!stated && stated.error().code == Code::approval_required)
    return fail(wait(*pending, stated.error().sentence()));
  if (!stated) return fail(stated.error());
  return Approved{pending->id, pending->rule, std::move(bundle), *std::move(stated)};
}

Error ApprovalDesk::wait(const Pending& pending, const std::string& more) const {
  Error error{.code = Code::approval_required,
              .what = "the request waits for officers",
              .detail = "rule \"" + pending.rule + "\" wants " + std::to_string(pending.need) +
                        " of group \"" + pending.group + "\" until " + rfc3339(pending.ends()) +
                        "; approval " + pending.id + ": " + more +
                        "; ask again with the same payload once they have"};
  error.approval = pending.id;
  return error;
}

Result<std::string> ApprovalDesk::bundle_of(const Pending& pending) const {
  TRY(std::string text, pending.statement(parts_.officers.place().host).to_text());
  return text + pending.signatures;
}

void ApprovalDesk::release(const Peer& who, const Approved& approved,
                           std::function<void(Result<void>)> done) {
  Pending* pending = pending_.find(approved.id);
  if (pending == nullptr) return done(unknown());
  pending->releasing = true;
  parts_.officers.use(who, approved.stated,
                      [this, id = approved.id, done = std::move(done)](const auto& stated) {
                        if (stated) return done({});
                        if (Pending* still = pending_.find(id)) still->releasing = false;
                        done(fail(stated.error()));
                      });
}

void ApprovalDesk::released(const Peer& who, const std::string& id, std::uint64_t sequence) {
  const Pending* pending = pending_.find(id);
  if (pending == nullptr) return;
  record(who, "approval_released", *pending, pending->officers, {},
         "record " + std::to_string(sequence));
  drop(id);
  pending_.erase(id);
}

void ApprovalDesk::back(const Peer& who, const std::string& id, const std::string& remark) {
  Pending* pending = pending_.find(id);
  if (pending == nullptr) return;
  pending->releasing = false;
  pending->remark = remark;
  parts_.officers.give_back(who, id, [](const Result<void>& done) {
    if (!done) log(Level::warning, "approval_not_given_back", done.error().sentence());
  });
  keep(*pending);
}

void ApprovalDesk::lost(const Peer& who, const std::string& id, const std::string& why) {
  const Pending* pending = pending_.find(id);
  if (pending == nullptr) return;
  record(who, "approval_void", *pending, pending->officers, why, {});
  drop(id);
  pending_.erase(id);
}

Result<wire::ApprovalList> ApprovalDesk::list(const wire::ListApprovals& ask) {
  sweep();
  wire::ApprovalList list{.total = static_cast<std::uint32_t>(pending_.size()), .approvals = {}};
  const auto add = [&](const Pending& pending) -> wire::ApprovalItem& {
    wire::ApprovalItem item = pending.item();
    const auto bundle = bundle_of(pending);
    const bool enough = bundle && !pending.signatures.empty() &&
                        parts_.officers
                            .judge(*bundle, pending.statement(parts_.officers.place().host),
                                   {pending.group, pending.need})
                            .has_value();
    if (enough && !pending.releasing) item.state = "approved";
    return list.approvals.emplace_back(std::move(item));
  };
  if (!ask.id.empty()) {
    const Pending* pending = pending_.find(ask.id);
    if (pending == nullptr) return unknown();
    TRY(std::string text, pending->statement(parts_.officers.place().host).to_text());
    add(*pending).text = std::move(text);
    return list;
  }
  const std::vector<const Pending*> all = pending_.all();
  for (std::size_t i = ask.offset; i < all.size() && list.approvals.size() < kApprovalsPage; ++i)
    add(*all[i]);
  return list;
}

// Names of those who had not signed yet. All or nothing, so that a mistake is noticed by who made
// it and junk fills no room.
Result<std::vector<std::string>> ApprovalDesk::take_signatures(Pending& pending,
                                                               const std::string& bundle) {
  TRY(const officers::Bundle parsed, officers::Bundle::parse(bundle));
  TRY(const std::string text, pending.statement(parts_.officers.place().host).to_text());
  if (parsed.text != text)
    return fail(Code::denied, "these signatures are under another text",
                "hsm-signerctl approvals show " + pending.id + " --text prints the one to sign");
  std::vector<std::string> names;
  std::string armored;
  for (const officers::Signature& signature : parsed.signatures) {
    TRY(const officers::Verified verified,
        officers::verify(signature, as_bytes(text), officers::kNamespace));
    TRY(const officers::Officer* const officer,
        parts_.officers.place().officers.officer_of(verified));
    if (officer->name == pending.requester)
      return fail(Code::denied, "who asks for it cannot approve it", officer->name);
    if (!officer->is_in(pending.group))
      return fail(Code::denied, "this officer is not in the group that approves",
                  officer->name + " is not in \"" + pending.group + "\"");
    const bool again = contains_name(pending.officers, officer->name) ||
                       std::find(names.begin(), names.end(), officer->name) != names.end();
    if (again) continue;
    names.push_back(officer->name);
    armored += signature.to_text();
  }
  TRY_VOID(officers::Bundle::parse(text + pending.signatures + armored));  // Its bounds.
  pending.signatures += armored;
  for (const std::string& name : names) append_name(pending.officers, name);
  return names;
}

void ApprovalDesk::submit(const Peer& who, const wire::SubmitApproval& ask,
                          Reply<wire::ApprovalItem> reply) {
  sweep();
  Pending* pending = pending_.find(ask.id);
  if (pending == nullptr) return reply(unknown());
  const auto names = take_signatures(*pending, ask.bundle);
  if (!names) return reply(fail(names.error()));
  for (const std::string& name : *names)
    record(who, "approval_signed", *pending, name, {}, "of " + std::to_string(pending->need));
  keep(*pending, [this, id = ask.id, reply](const Result<void>& kept) {
    if (!kept) return reply(fail(kept.error()));
    const auto list = this->list({.id = id, .offset = 0});
    if (!list) return reply(fail(list.error()));
    wire::ApprovalItem item = list->approvals.front();
    item.text.clear();
    reply(std::move(item));
  });
}

void ApprovalDesk::reject(const Peer& who, const wire::RejectApproval& ask,
                          Reply<wire::Done> reply) {
  if (!is_reason(ask.reason))
    return reply(fail(Code::invalid_payload, "a reason is 1 to 200 printable ASCII characters"));
  sweep();
  const Pending* pending = pending_.find(ask.id);
  if (pending == nullptr) return reply(unknown());
  if (pending->releasing)
    return reply(fail(Code::denied, "too late: it is on its way to the token", ask.id));
  record(who, "approval_rejected", *pending, pending->officers, ask.reason, {});
  pending_.erase(ask.id);
  drop(ask.id, [reply](const Result<void>& dropped) {
    if (!dropped) return reply(fail(dropped.error()));
    reply(wire::Done{});
  });
}

std::size_t ApprovalDesk::waiting() {
  sweep();
  return pending_.size();
}

void ApprovalDesk::sweep() {
  for (const std::string& id : pending_.expire(parts_.clock.wall())) drop(id);
}

void ApprovalDesk::keep(const Pending& pending, std::function<void(Result<void>)> done) {
  parts_.state.put_note(std::string{kNotes}, pending.id, pending.to_note(),
                        [done = std::move(done)](const Result<void>& kept) {
                          if (!kept)
                            log(Level::warning, "approval_not_kept", kept.error().sentence());
                          if (done) done(kept);
                        });
}

void ApprovalDesk::drop(const std::string& id, std::function<void(Result<void>)> done) {
  parts_.state.erase_note(std::string{kNotes}, id, [done = std::move(done)](const auto& dropped) {
    if (!dropped) log(Level::warning, "approval_not_dropped", dropped.error().sentence());
    if (done) done(dropped);
  });
}

void ApprovalDesk::record(const Peer& who, std::string_view action, const Pending& pending,
                          std::string officers, std::string reason, std::string detail) {
  audit::Record event =
      audit::Record::admin_event(who, action, "client:" + pending.client + " key:" + pending.key);
  event.statement = pending.id;
  event.officers = std::move(officers);
  event.reason = std::move(reason);
  event.detail = std::move(detail);
  log(Level::notice, action, pending.id + " of " + event.subject);
  parts_.ledger.event(std::move(event));
}

}  // namespace hsm::service
