#include "hsm_signer/service/admin.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/log.h"
#include "hsm_signer/service/key_rows.h"
#include "hsm_signer/service/question.h"

namespace hsm::service {
namespace {

using keystore::KeyVersion;

// Keys of the pool that belong to no API key: each control question is free to go to any worker.
// By token and CKA_ID: each token counts its CKA_IDs from 1, and a key of the pool lives in one
// token.
constexpr keystore::KeyIndex kControlKeys = 0xF000'0000;
keystore::KeyIndex control_key(keystore::TokenIndex token, std::uint16_t cka_id) {
  return kControlKeys + (token << 16) + cka_id;
}
constexpr std::size_t kVersionsPage = 128;
constexpr std::chrono::seconds kControlDeadline{10};

// What officers have to state of a version.
officers::Statement about(officers::Verb verb, const KeyVersion& version) {
  return {.verb = verb,
          .key = version.key.value,
          .api_key_id = version.api_key_id.value,
          .environment = std::string{name(version.environment)},
          .arguments = {{"version", std::to_string(version.version)}}};
}

// Of a registration that the registry would take.
officers::Statement about_import(const KeyVersion& added) {
  return {.verb = officers::Verb::import_key,
          .key = added.key.value,
          .api_key_id = added.api_key_id.value,
          .environment = std::string{name(added.environment)},
          .arguments = {{"roles", keystore::roles_text(added.roles)},
                        {"scope", std::string{name(added.scope)}},
                        {"token", added.token.value}}};
}

// Why a version is not well; "quarantined: …" where the token has spoken against the key itself.
std::string sickness(const Result<keystore::KeyCheckValue>& value) {
  if (value) return "quarantined: wrong key-check value";
  const bool itself = value.error().code == Code::quarantined;
  return (itself ? "quarantined: " : "") + value.error().sentence();
}

template <class T>
Result<T> spelled(const auto& table, const std::string& text, std::string_view what) {
  if (const auto value = from_spelling(table, text)) return *value;
  return fail(Code::usage, what, text.empty() ? "empty" : "unknown word");
}

}  // namespace

Result<keystore::Change> Admin::plan_registration(const wire::RegisterKey& ask) const {
  if (parts_.config.token(ask.token) == nullptr)
    return fail(Code::denied, "no such token in signer.toml");
  keystore::NewVersion wanted;
  wanted.key = {ask.key};
  wanted.token = {ask.token};
  wanted.api_key_id = {ask.api_key_id};
  TRY(wanted.environment, spelled<Environment>(kEnvironments, ask.environment, "bad environment"));
  TRY(wanted.scope, spelled<Scope>(kScopes, ask.scope, "bad scope"));
  TRY(wanted.roles, keystore::roles_from_text(ask.roles));
  TRY(wanted.nonce_form, nonce::form_from_name(ask.nonce_form));
  TRY(wanted.cka_id, parts_.registry.unused_cka_id(wanted.token));
  wanted.kcv = ask.key_check;
  return parts_.registry.register_version(wanted, parts_.clock.wall());
}

// In all of these: what would be refused anyway is refused before a statement is used up, and what
// may have changed while its use was written down is looked at again.
void Admin::register_key(const Peer& who, const wire::RegisterKey& ask,
                         Reply<wire::Registered> reply) {
  const Result<keystore::Change> fits = plan_registration(ask);
  if (!fits) return reply(fail(fits.error()));
  const auto go = [this, who, ask, reply](const Result<OfficersDesk::Stated>& stated) {
    if (!stated) return reply(fail(stated.error()));
    Result<keystore::Change> change = plan_registration(ask);
    if (!change) return reply(fail(change.error()));
    const KeyVersion added = change->rows.back();
    persist(*std::move(change), [this, who, added, reply](const Result<wire::Done>& done) {
      if (!done) return reply(fail(done.error()));
      record(who, "register", added);
      reply(wire::Registered{
          .version = added.version, .cka_id = added.cka_id, .label = added.label()});
    });
  };
  parts_.officers.administer(who, ask.statement, about_import(fits->rows.back()), go);
}

void Admin::activate(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply) {
  const KeyVersion* version = parts_.registry.find(ask.key, ask.version);
  if (version == nullptr) return reply(fail(Code::denied, "no such version of a key"));
  // The token has to hold the secret first: a statement is not used up for want of it.
  const officers::Statement expected = about(officers::Verb::activate, *version);
  ask_key_check(
      *version, [this, who, ask, expected, reply](const Result<keystore::KeyCheckValue>& value) {
        if (!value) return reply(fail(value.error()));
        const auto plan = [this, ask, value = *value] {
          return parts_.registry.activate(ask.key, ask.version, value, parts_.clock.wall());
        };
        if (const auto fits = plan(); !fits) return reply(fail(fits.error()));
        const auto go = [this, who, ask, plan, reply](const Result<OfficersDesk::Stated>& stated) {
          if (!stated) return reply(fail(stated.error()));
          Result<keystore::Change> change = plan();
          if (!change) return reply(fail(change.error()));
          persist(*std::move(change), [this, who, ask, reply](const Result<wire::Done>& done) {
            if (done) record(who, "activate", *parts_.registry.find(ask.key, ask.version));
            reply(done);
          });
        };
        parts_.officers.administer(who, ask.statement, expected, go);
      });
}

// Retiring a version and noting that its key is gone are two steps of one act, and the token host's
// own destroy lies between: one statement carries both. It names the version, and a version goes
// this way once, so the same text may count at each step.
void Admin::destroy_stated(const Peer& who, const wire::KeyVersionRef& ask,
                           std::function<void(Result<void>)> then) {
  const KeyVersion* version = parts_.registry.find(ask.key, ask.version);
  if (version == nullptr) return then(fail(Code::denied, "no such version of a key"));
  if (!version->activated && ask.statement.empty()) return then({});
  parts_.officers.administer(
      who, ask.statement, about(officers::Verb::destroy, *version),
      [then = std::move(then)](const Result<OfficersDesk::Stated>& stated) {
        then(stated ? Result<void>{} : fail(stated.error()));
      },
      OfficersDesk::Times::each_step);
}

void Admin::forget(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply) {
  const Result<keystore::Change> fits =
      parts_.registry.retire(ask.key, ask.version, parts_.clock.wall());
  if (!fits) return reply(fail(fits.error()));
  destroy_stated(who, ask, [this, who, ask, reply](const Result<void>& stated) {
    if (!stated) return reply(fail(stated.error()));
    retire(who, ask, reply);
  });
}

void Admin::retire(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply) {
  Result<keystore::Change> change =
      parts_.registry.retire(ask.key, ask.version, parts_.clock.wall());
  if (!change) return reply(fail(change.error()));
  const KeyVersion version = *parts_.registry.find(ask.key, ask.version);
  persist(*std::move(change), [this, who, version, reply](const Result<wire::Done>& done) {
    if (!done) return reply(done);
    record(who, "retire", version);
    const auto token = parts_.pool.index_of(version.token.value);
    if (!token) return reply(wire::Done{});
    parts_.pool.broadcast(*token, {.label = version.label(), .cka_id = version.cka_id},
                          wire::Type::forget, [reply](const Result<void>& forgotten) {
                            if (!forgotten) return reply(fail(forgotten.error()));
                            reply(wire::Done{});
                          });
  });
}

void Admin::destroyed(const Peer& who, const wire::KeyVersionRef& ask, Reply<wire::Done> reply) {
  const KeyVersion* version = parts_.registry.find(ask.key, ask.version);
  if (version == nullptr) return reply(fail(Code::denied, "no such version of a key"));
  // An administrator's word is not enough: the token itself says that the key is gone.
  ask_key_check(*version, [this, who, ask, reply](const Result<keystore::KeyCheckValue>& value) {
    if (value)
      return reply(fail(Code::denied, "the token still holds this key: destroy it there first"));
    if (value.error().code != Code::key_not_active) return reply(fail(value.error()));
    const auto plan = [this, ask] {
      return parts_.registry.destroyed(ask.key, ask.version, parts_.clock.wall());
    };
    if (const auto fits = plan(); !fits) return reply(fail(fits.error()));
    destroy_stated(who, ask, [this, who, ask, plan, reply](const Result<void>& stated) {
      if (!stated) return reply(fail(stated.error()));
      Result<keystore::Change> change = plan();
      if (!change) return reply(fail(change.error()));
      persist(*std::move(change), [this, who, ask, reply](const Result<wire::Done>& done) {
        if (done) record(who, "destroy", *parts_.registry.find(ask.key, ask.version));
        reply(done);
      });
    });
  });
}

void Admin::check(const wire::CheckKeys& ask, Reply<wire::VersionList> reply) {
  auto list = std::make_shared<wire::VersionList>();
  std::vector<KeyVersion> versions;
  for (const KeyVersion* version : parts_.registry.all()) {
    const bool wanted = ask.key.empty() || version->key.value == ask.key;
    if (!wanted || version->state == VersionState::destroyed) continue;
    if (list->total++ >= ask.offset && versions.size() < kVersionsPage)
      versions.push_back(*version);
  }
  if (list->total == 0 && !ask.key.empty()) return reply(fail(Code::denied, "no such key"));
  list->versions.resize(versions.size());
  auto open = std::make_shared<std::size_t>(versions.size());
  if (versions.empty()) return reply(*list);
  for (std::size_t i = 0; i < versions.size(); ++i) {
    ask_key_check(versions[i], [this, version = versions[i], i, list, open,
                                reply](const Result<keystore::KeyCheckValue>& value) {
      const bool right = value && *value == version.kcv;
      if (right) parts_.signer.set_health(version.label(), {});
      if (value && !right)
        parts_.signer.set_health(version.label(), "its key-check value is not the registered one");
      list->versions[i] = item(version);
      list->versions[i].health = right ? "ok" : sickness(value);
      if (--*open == 0) reply(*list);
    });
  }
}

wire::VersionList Admin::list(const wire::ListVersions& ask) const {
  wire::VersionList list;
  for (const KeyVersion* version : parts_.registry.all()) {
    if (!ask.key.empty() && version->key.value != ask.key) continue;
    if (list.total++ >= ask.offset && list.versions.size() < kVersionsPage)
      list.versions.push_back(item(*version));
  }
  return list;
}

wire::Status Admin::status() const {
  wire::Status status;
  status.version = HSM_VERSION;
  status.mode =
      parts_.config.mode == SignerConfig::Mode::development ? "development" : "production";
  status.state = parts_.signer.draining() ? "draining" : "serving";
  status.audit_size = parts_.ledger.size();
  status.signatures = parts_.signer.counters().signatures;
  status.refusals = parts_.signer.counters().refusals;
  status.connections = static_cast<std::uint32_t>(parts_.connections());
  status.turned_away = parts_.turned_away();
  status.officers = parts_.officers.posture();
  status.approvals = static_cast<std::uint32_t>(parts_.approvals.waiting());
  if (parts_.officers.on()) status.host = parts_.officers.place().host;
  for (const KeyVersion* version : parts_.registry.all())
    status.keys += version->state == VersionState::active ? 1U : 0U;
  status.anchor = parts_.anchors.status();
  if (const auto trouble = parts_.ledger.blocked()) status.problem = trouble->sentence();
  status.audit_warning = parts_.keeper.warning();
  for (keystore::TokenIndex token = 0; token < parts_.pool.size(); ++token) {
    const keystore::TokenPool::Health& health = parts_.pool.health(token);
    status.tokens.push_back({.token = parts_.config.tokens[token].name.value,
                             .workers = health.workers,
                             .configured = health.configured,
                             .problem = health.problem});
  }
  return status;
}

void Admin::ask_key_check(const KeyVersion& version, Reply<keystore::KeyCheckValue> reply) {
  const auto token = parts_.pool.index_of(version.token.value);
  if (!token)
    return reply(fail(Code::token_unavailable, "the key's token is not in signer.toml",
                      version.token.value));
  auto question = std::make_unique<Question>(
      [ref = wire::ObjectRef{.label = version.label(), .cka_id = version.cka_id}](
          keystore::JobId id, Bytes& out) {
        return wire::encode(out, wire::Type::key_check, id, ref);
      },
      [reply](const Result<wire::FrameView>& frame) {
        if (!frame) return reply(fail(frame.error()));
        const auto answer = wire::decode<wire::KeyCheckAnswer>(*frame);
        if (!answer) return reply(fail(answer.error()));
        reply(answer->key_check);
      });
  parts_.pool.submit(std::move(question), {.id = 0,
                                           .key = control_key(*token, version.cka_id),
                                           .client = keystore::kNoClient,
                                           .token = *token,
                                           .urgency = keystore::Urgency::other,
                                           .deadline = parts_.clock.steady() + kControlDeadline,
                                           .in_order = false});
}

void Admin::persist(keystore::Change change, Reply<wire::Done> reply) {
  // A change is planned against the registry as it is: the next one is planned when this one is
  // applied.
  if (persisting_) {
    Error busy{.code = Code::overloaded, .what = "another change to the registry is being written"};
    busy.retry_after_ms = 50;
    return reply(fail(std::move(busy)));
  }
  persisting_ = true;
  std::vector<KeyVersion> rows = change.rows;
  parts_.state.put_keys(to_rows(rows),
                        [this, change = std::move(change), reply](const Result<void>& stored) {
                          persisting_ = false;
                          if (!stored) return reply(fail(stored.error()));
                          const Result<void> applied = parts_.registry.apply(change);
                          if (!applied) return reply(fail(applied.error()));
                          reply(wire::Done{});
                        });
}

void Admin::record(const Peer& who, std::string_view what, const KeyVersion& version) {
  log(Level::notice, "key_event", std::string{what} + " " + version.label());
  audit::Record event = audit::Record::key_event(who, what, version.key.value, version.version);
  event.api_key_id = version.api_key_id.value;
  event.token = version.token.value;
  event.cka_id = version.cka_id;
  parts_.ledger.event(std::move(event));
}

wire::VersionItem Admin::item(const KeyVersion& version) const {
  const std::string sick = parts_.signer.health(version.label());
  state::KeyRow row = to_row(version);
  return {.key = std::move(row.key),
          .version = row.version,
          .token = std::move(row.token),
          .cka_id = row.cka_id,
          .api_key_id = std::move(row.api_key_id),
          .environment = std::move(row.environment),
          .scope = std::move(row.scope),
          .roles = std::move(row.roles),
          .nonce_form = std::move(row.nonce_form),
          .key_check = std::move(row.kcv),
          .state = std::move(row.state),
          .created = std::move(row.created),
          .activated = std::move(row.activated),
          .health = sick.empty() ? "unchecked" : "quarantined: " + sick};
}

}  // namespace hsm::service
