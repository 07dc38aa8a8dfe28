#include "hsm_signer/token/dispatch.h"

#include <algorithm>
#include <array>

#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/base/log.h"
#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/wire/blob.h"

namespace hsm::token {
namespace {

constexpr std::uint32_t kObjectsPerPage = 256;
constexpr const char* kProgram = "hsm-tokend/" HSM_VERSION;

Result<wire::Done> done(Result<void> result) {
  if (!result) return fail(std::move(result).error());
  return wire::Done{};
}

// A page of the list, from `offset`.
wire::ObjectList page(const std::vector<ObjectName>& names, std::uint32_t offset) {
  wire::ObjectList list;
  list.total = static_cast<std::uint32_t>(names.size());
  for (std::size_t i = offset; i < names.size() && list.objects.size() < kObjectsPerPage; ++i)
    list.objects.push_back({names[i].label, names[i].cka_id});
  return list;
}

}  // namespace

const Dispatcher::Handler* Dispatcher::handler_for(wire::Type type, Role role) {
  using wire::Type;
  static constexpr std::array kHandlers{
      Handler{Type::info, Role::signing, &Dispatcher::info},
      Handler{Type::mac, Role::signing, &Dispatcher::mac},
      Handler{Type::list, Role::signing, &Dispatcher::list},
      Handler{Type::key_check, Role::signing, &Dispatcher::key_check},
      Handler{Type::forget, Role::signing, &Dispatcher::forget},
      Handler{Type::sign_checkpoint, Role::signing, &Dispatcher::sign_checkpoint},
      Handler{Type::usage, Role::signing, &Dispatcher::usage},
      Handler{Type::import, Role::admin, &Dispatcher::import},
      Handler{Type::destroy, Role::admin, &Dispatcher::destroy},
      Handler{Type::generate, Role::admin, &Dispatcher::generate},
      Handler{Type::wrap_key, Role::admin, &Dispatcher::wrap_key},
      // For `key check`, which looks for objects that the registry lacks: the signer holds every
      // signing worker.
      Handler{Type::list, Role::admin, &Dispatcher::list},
  };  // Not listed for this socket: the connection is closed.
  for (const Handler& handler : kHandlers) {
    if (handler.type == type && handler.role == role) return &handler;
  }
  return nullptr;
}

Result<void> Dispatcher::answer(const wire::FrameView& frame, Bytes& out) {
  if (!greeted_) return greet(frame, out);
  const Handler* handler = handler_for(frame.type(), host_.role);
  if (handler == nullptr)
    return fail(Code::protocol_error, "an operation that this socket does not have",
                "type " + std::to_string(static_cast<unsigned>(frame.type())));
  return (this->*handler->answer)(frame, out);
}

template <class Message>
Result<void> Dispatcher::reply(const wire::FrameView& frame, const Result<Message>& result,
                               Bytes& out) {
  if (!result) return refuse(frame, result.error(), out);
  return wire::encode(out, wire::answer_to(frame.type()), frame.id(), *result);
}

Result<void> Dispatcher::refuse(const wire::FrameView& frame, const Error& error, Bytes& out) {
  if (error.ck_rv != 0) log(Level::warning, "token_call_failed", error.sentence());
  const Remedy helps = remedy(host_.profile.exceptions, error.ck_rv);
  if (ends_the_worker(helps))
    turn(helps == Remedy::log_in_again ? Health::lost_login : Health::lost_module,
         error.sentence());
  return wire::encode(out, wire::Type::error, frame.id(), wire::to_failure(error));
}

// What came first is why.
void Dispatcher::turn(Health health, std::string complaint) {
  if (health_ != Health::sound) return;
  health_ = health;
  complaint_ = std::move(complaint);
}

Result<void> Dispatcher::greet(const wire::FrameView& frame, Bytes& out) {
  if (frame.type() != wire::Type::hello)
    return fail(Code::protocol_error, "the first frame must be a hello");
  TRY(const auto hello, wire::decode<wire::Hello>(frame));
  if (hello.version != wire::kProtocolVersion)
    return fail(Code::protocol_error, "a protocol version that is not spoken here",
                std::to_string(hello.version));
  greeted_ = true;
  return reply(frame, Result<wire::Hello>{wire::Hello{.program = kProgram}}, out);
}

Result<void> Dispatcher::info(const wire::FrameView& frame, Bytes& out) {
  TRY_VOID(wire::decode<wire::InfoQuery>(frame));
  return reply(frame, Result<wire::Info>{host_.info}, out);
}

// What a sandbox key may do unasked, a production key may not: the file and the registry have to
// agree on which it is.
Result<void> Dispatcher::is_ceiling_of(const std::string& label, const Ceiling& ceiling,
                                       bool production) const {
  if (!production || ceiling.environment == Environment::production) return {};
  return fail(Code::denied, "a production key under a ceiling for sandbox keys",
              label +
                  ": give it a [[key]] with environment = \"production\" in ceilings.toml and "
                  "restart hsm-tokend");
}

Result<void> Dispatcher::is_fit_for(const Ceiling& ceiling) const {
  if (host_.profile.unfit.empty() || host_.accept_unfit_token ||
      ceiling.environment == Environment::sandbox)
    return {};
  return fail(Code::denied, "this token is not fit for production keys",
              std::string{host_.profile.unfit} +
                  "; who knows and wants it writes accept_unfit_token = true");
}

// A module that begins to give wrong MACs says CKR_OK with each. What the token made since the last
// canary may have been wrong and has left: the exchange refuses it.
Result<void> Dispatcher::canary(const KeyRef& key) {
  if (!canaries_.due(key.object.label)) return {};
  auto sang = host_.vault.canary(key);
  if (sang) canaries_.sang(key.object.label);
  // With a CK_RV the token has said no; without one it has signed wrongly.
  if (sang || sang.error().code != Code::quarantined || sang.error().ck_rv != 0) return sang;
  turn(Health::wrong_macs, sang.error().sentence());
  return fail(Code::token_unavailable, "the token signs wrongly and is taken out of service",
              sang.error().detail);
}

// Of a request whose ceiling demands it, what officers have stated.
Result<std::optional<officers::Stated>> Dispatcher::stated(
    const wire::MacRequest& request, const Ceiling& ceiling,
    const std::optional<Demanded>& demanded) const {
  if (demanded) {
    TRY(const KeyLabel label, parse_key_label(request.label));
    return host_.approvals.judge(*demanded, ceiling, label.name, request.statements,
                                 host_.clock.wall());
  }
  // A rule of the signer may want officers where this ceiling does not: one that comes along is not
  // looked at, and not spent.
  return std::optional<officers::Stated>{};
}

Result<void> Dispatcher::spend(const std::optional<officers::Stated>& stated,
                               const std::string& label) {
  if (!stated) return {};
  TRY_VOID(host_.approvals.spend(stated->statement, host_.clock.wall()));
  std::string names;
  for (const std::string& officer : stated->officers)
    names.append(names.empty() ? "" : ", ").append(officer);
  log(Level::notice, "statement_spent", stated->statement.id + " for " + label + ", of " + names);
  return {};
}

// Cheapest first, and nothing is charged or asked of the token for what would be refused anyway. A
// statement is spent last: what comes behind it is the MAC alone.
Result<wire::MacAnswer> Dispatcher::judged_mac(const wire::MacRequest& request) {
  const KeyRef key{{request.label, request.cka_id}, request.key_check};
  TRY_VOID(check_object_name(key.object));
  const Ceiling& ceiling = host_.ceilings.of(request.label);
  TRY(const std::string payload, payload_of(request.message, host_.info.payload_limit));
  TRY(const auto demanded, judge(ceiling, payload));
  TRY_VOID(is_ceiling_of(request.label, ceiling, request.production));
  TRY_VOID(is_fit_for(ceiling));
  TRY(const auto approved, stated(request, ceiling, demanded));
  TRY_VOID(host_.vault.find(key));
  // Of the key, not of its version: a draining version is no second allowance.
  TRY(const KeyLabel label, parse_key_label(request.label));
  TRY_VOID(host_.rates.take(label.name, ceiling.rate, host_.clock.steady()));
  TRY_VOID(canary(key));
  TRY_VOID(spend(approved, request.label));
  TRY(const Mac mac, host_.vault.mac(key, request.message));
  ledger_.record(request.label, sha256(as_bytes(payload)));
  return wire::MacAnswer{mac, ledger_.worker_id(), ledger_.counter(), ledger_.digest()};
}

Result<void> Dispatcher::mac(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::MacRequest>(frame));
  return reply(frame, judged_mac(request), out);
}

Result<void> Dispatcher::list(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::ListObjects>(frame));
  const auto names = host_.vault.list();
  if (!names) return refuse(frame, names.error(), out);
  return reply(frame, Result<wire::ObjectList>{page(*names, request.offset)}, out);
}

Result<void> Dispatcher::key_check(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::ObjectRef>(frame));
  const auto value = host_.vault.key_check({request.label, request.cka_id});
  if (!value) return refuse(frame, value.error(), out);
  return reply(frame, Result<wire::KeyCheckAnswer>{wire::KeyCheckAnswer{*value}}, out);
}

Result<void> Dispatcher::forget(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::ObjectRef>(frame));
  host_.vault.forget({request.label, request.cka_id});
  return reply(frame, Result<wire::Done>{wire::Done{}}, out);
}

// The audit key signs what a checkpoint can say and nothing else. A usage text of a worker is none:
// its first line holds blanks, which no origin does.
Result<wire::CheckpointSignature> Dispatcher::judged_checkpoint(const std::string& text) {
  TRY_VOID(is_checkpoint_text(text));
  TRY(Bytes signature, host_.service_keys.sign(as_bytes(text)));
  return wire::CheckpointSignature{std::move(signature)};
}

Result<void> Dispatcher::sign_checkpoint(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::SignCheckpoint>(frame));
  return reply(frame, judged_checkpoint(request.text), out);
}

Result<wire::SignedUsage> Dispatcher::signed_usage() {
  std::string text =
      usage_text(host_.info.token, ledger_.worker_id(), ledger_.counter(), ledger_.digest());
  TRY(Bytes signature, host_.service_keys.sign(as_bytes(text)));
  return wire::SignedUsage{.text = std::move(text), .signature = std::move(signature)};
}

Result<void> Dispatcher::usage(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto query, wire::decode<wire::UsageQuery>(frame));
  for (const wire::WorkerRef& worker : query.recorded) host_.last_words.forget(worker.worker_id);
  auto said = signed_usage();
  if (!said) return refuse(frame, said.error(), out);
  return reply(frame,
               Result<wire::Usage>{wire::Usage{.text = std::move(said->text),
                                               .signature = std::move(said->signature),
                                               .ended = host_.last_words.kept()}},
               out);
}

Result<void> Dispatcher::say_last_words() {
  if (!has_signed()) return {};
  TRY(const wire::SignedUsage said, signed_usage());
  return host_.last_words.keep(ledger_.worker_id(), said);
}

Result<void> Dispatcher::import(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::Import>(frame));
  const auto blob = wire::WrappedKey::decode(request.blob);
  if (!blob) return refuse(frame, blob.error(), out);
  const Ceiling& ceiling = host_.ceilings.of(request.label);
  auto imported = is_ceiling_of(request.label, ceiling, request.production);
  if (imported) imported = is_fit_for(ceiling);
  if (imported) {
    // OpenSSL does not wipe all that it decrypts; the end of the process does.
    if (host_.vault.decrypted_by() == "host") turn(Health::spent, "a secret was decrypted");
    imported = host_.vault.import({request.label, request.cka_id}, *blob);
  }
  if (!imported) return refuse(frame, imported.error(), out);
  const std::string by{host_.vault.decrypted_by()};
  log(Level::notice, "key_imported", request.label + ", decrypted by the " + by);
  // import() has proved that the key in the token has this value.
  return reply(frame, Result<wire::Imported>{wire::Imported{blob->key_check, by}}, out);
}

Result<void> Dispatcher::destroy(const wire::FrameView& frame, Bytes& out) {
  TRY(const auto request, wire::decode<wire::ObjectRef>(frame));
  auto destroyed = host_.vault.destroy({request.label, request.cka_id});
  if (destroyed) log(Level::notice, "key_destroyed", request.label);
  return reply(frame, done(std::move(destroyed)), out);
}

Result<void> Dispatcher::generate(const wire::FrameView& frame, Bytes& out) {
  TRY_VOID(wire::decode<wire::Generate>(frame));
  return reply(frame, done(host_.service_keys.ensure()), out);
}

Result<void> Dispatcher::wrap_key(const wire::FrameView& frame, Bytes& out) {
  TRY_VOID(wire::decode<wire::WrapKeyQuery>(frame));
  auto pem = host_.vault.wrap_key_pem();
  if (!pem) return refuse(frame, pem.error(), out);
  return reply(frame, Result<wire::PublicKeyAnswer>{wire::PublicKeyAnswer{*std::move(pem)}}, out);
}

}  // namespace hsm::token
