#include "hsm_signer/token/worker.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/own_binary.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/confinement.h"
#include "hsm_signer/token/login.h"
#include "hsm_signer/token/serve.h"
#include "hsm_signer/token/service_keys.h"
#include "hsm_signer/token/status.h"
#include "hsm_signer/token/token_vault.h"

namespace hsm::token {
namespace {

constexpr std::size_t kConfigLimit = 128 * 1024;

class TokenServiceKeys final : public ServiceKeys {
 public:
  TokenServiceKeys(const Cryptoki& cryptoki, TokenAccess& access, const Profile& profile)
      : cryptoki_{cryptoki}, access_{access}, profile_{profile} {}
  Result<Bytes> sign(ByteView text) override { return access_.sign_with_audit_key(text); }
  Result<void> ensure() override {
    TRY(const Session session, Session::open(cryptoki_, access_.slot()));
    return ensure_service_keys(session, profile_);
  }

 private:
  const Cryptoki& cryptoki_;
  TokenAccess& access_;
  const Profile& profile_;
};

Result<Config> inherited_config() {
  Bytes bytes(kConfigLimit);
  const ssize_t size = ::pread(kConfigFd, bytes.data(), bytes.size(), 0);
  if (size <= 0)
    return fail(os_error(Code::internal, "cannot read the inherited configuration", "memfd"));
  const std::string_view text = as_text(ByteView{bytes}.first(static_cast<std::size_t>(size)));
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos)
    return fail(Code::internal, "the inherited configuration is damaged");
  return Config::parse(text.substr(end + 1), std::string{text.substr(0, end)});
}

Result<std::uint64_t> random_id() {
  std::uint64_t id = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof id) != 1)
    return fail(Code::internal, "no random worker id");
  return id;
}

// Everything a worker holds once it is logged in; built in this order.
class Worker {
 public:
  Worker(Role role, Config config, Bytes binary_sha256, KillTimer timer)
      : role_{role},
        config_{std::move(config)},
        binary_sha256_{std::move(binary_sha256)},
        timer_{std::move(timer)} {}

  // Up to the point where a connection can be served.
  Result<void> prepare();
  // Says goodbye to the token where it listens; what to exit with after `error`.
  int leave(const Error& error);
  // Serves one; what to exit with.
  Result<int> run(const StopSignal& stop);

 private:
  Result<void> open_token();
  Result<void> publish_keys();
  Result<std::unique_ptr<WrapKey>> wrap_key_outside() const;
  Result<wire::Info> info() const;
  Result<void> serve_one(Dispatcher& dispatcher, const StopSignal& stop);

  Role role_;
  Config config_;
  const Bytes binary_sha256_;
  KillTimer timer_;
  SystemClock clock_;
  std::optional<Ceilings> ceilings_;
  std::optional<Approvals> approvals_;
  std::optional<Rates> rates_;
  std::optional<LastWords> last_words_;
  std::optional<Cryptoki> cryptoki_;
  std::optional<TokenAccess> access_;
  bool logged_in_ = false;
  std::optional<TokenServiceKeys> service_keys_;
  std::unique_ptr<WrapKey> wrap_key_;
  std::optional<TokenVault> vault_;
};

Result<void> Worker::open_token() {
  TRY(Cryptoki cryptoki, Cryptoki::load(config_.module, config_.module_arguments, timer_));
  cryptoki_.emplace(std::move(cryptoki));
  TRY(TokenAccess access, TokenAccess::find(*cryptoki_, config_.uri));
  access_.emplace(std::move(access));
  TRY(const Pin pin, read_pin(config_.pin_file));
  TRY_VOID(access_->login(pin));
  logged_in_ = true;
  service_keys_.emplace(*cryptoki_, *access_, *config_.profile);
  return {};
}

Result<void> Worker::publish_keys() {
  TRY(const Bytes audit, access_->audit_public_key());
  TRY_VOID(publish(config_.audit_public, public_key_pem(audit)));
  if (config_.profile->way == SecretWay::linked) return {};
  TRY(const Bytes wrap, wrap_key_->public_der());
  return publish(config_.wrap_public, public_key_pem(wrap));
}

// Null for a key that is in the token.
Result<std::unique_ptr<WrapKey>> Worker::wrap_key_outside() const {
  if (role_ != Role::admin) return no_wrap_key("a signing worker imports nothing");
  if (config_.profile->way == SecretWay::unwrapped_in_token) return std::unique_ptr<WrapKey>{};
  return wrap_key_for(*config_.profile, {}, config_.wrap_private);
}

Result<void> Worker::prepare() {
  // What can fail without the token fails before it costs a login.
  TRY(Ceilings ceilings, Ceilings::load(config_.ceilings, config_.mode));
  ceilings_.emplace(std::move(ceilings));
  TRY(Approvals approvals, Approvals::open(config_, *ceilings_));
  approvals_.emplace(std::move(approvals));
  TRY(Rates rates, Rates::open(config_.state_dir + "/rates"));
  rates_.emplace(std::move(rates));
  last_words_.emplace(config_.state_dir);
  TRY(wrap_key_, wrap_key_outside());
  TRY_VOID(open_token());
  if (role_ == Role::admin) TRY_VOID(service_keys_->ensure());
  TRY_VOID(access_->load_service_keys(*config_.profile));
  if (!wrap_key_) {
    TRY(Bytes public_der, access_->wrap_public_key());
    wrap_key_ = wrap_key_in_token(std::move(public_der));
  }
  if (role_ == Role::admin) TRY_VOID(publish_keys());
  TRY(Session session, Session::open(*cryptoki_, access_->slot()));
  vault_.emplace(std::move(session), *config_.profile, *wrap_key_);
  TRY(const auto names, vault_->list());
  if (!config_.profile->needs.new_code) TRY_VOID(confine::forbid_new_code(violation_of(config_)));
  log(Level::info, "worker_ready", std::to_string(names.size()) + " keys in the token");
  return {};
}

Result<wire::Info> Worker::info() const {
  TRY(Bytes audit, access_->audit_public_key());
  TRY(const std::uint64_t id, random_id());
  return wire::Info{.token = config_.token,
                    .profile = std::string{config_.profile->name},
                    .workers = config_.workers,
                    .depth = config_.depth,
                    .worker_id = id,
                    .payload_limit = config_.profile->base64_limit,
                    .audit_key = std::move(audit),
                    .software = HSM_VERSION,
                    .binary_sha256 = binary_sha256_};
}

// A connection that ended badly is no failure of this worker.
Result<void> Worker::serve_one(Dispatcher& dispatcher, const StopSignal& stop) {
  const auto& uids = role_ == Role::signing ? config_.clients : config_.admin_clients;
  const auto connection = accept_client(kListenFd, uids, stop);
  if (!connection) return {};
  const auto first_signature = [] {
    return send_status(kStatusFd, {WorkerStatus::Kind::has_signed, {}});
  };
  if (const auto served = serve(connection->get(), dispatcher, stop, first_signature); !served)
    log(Level::warning, "connection_closed", served.error().sentence());
  switch (dispatcher.health()) {
    case Dispatcher::Health::wrong_macs:
      return send_status(kStatusFd, {WorkerStatus::Kind::wrong_macs, dispatcher.complaint()});
    case Dispatcher::Health::lost_login:
    case Dispatcher::Health::lost_module:
      log(Level::error, "worker_failed", "a fresh worker is wanted: " + dispatcher.complaint());
      return send_status(kStatusFd, {WorkerStatus::Kind::failed, dispatcher.complaint()});
    case Dispatcher::Health::sound:
    case Dispatcher::Health::spent:
      break;
  }
  return {};
}

Result<int> Worker::run(const StopSignal& stop) {
  TRY(wire::Info description, info());
  Dispatcher dispatcher{Host{.role = role_,
                             .vault = *vault_,
                             .service_keys = *service_keys_,
                             .profile = *config_.profile,
                             .accept_unfit_token = config_.accept_unfit_token,
                             .ceilings = *ceilings_,
                             .approvals = *approvals_,
                             .rates = *rates_,
                             .last_words = *last_words_,
                             .clock = clock_,
                             .info = std::move(description)}};
  TRY_VOID(send_status(kStatusFd, {WorkerStatus::Kind::ready, {}}));
  TRY_VOID(serve_one(dispatcher, stop));
  const Dispatcher::Health health = dispatcher.health();
  if (health == Dispatcher::Health::lost_module) return kExitFailed;
  if (const auto said = dispatcher.say_last_words(); !said)
    log(Level::warning, "last_words_not_kept", said.error().sentence());
  access_->logout();
  const bool served = health == Dispatcher::Health::sound || health == Dispatcher::Health::spent;
  return served ? kExitServed : kExitLoggedOut;
}

int Worker::leave(const Error& error) {
  const bool listens = remedy(config_.profile->exceptions, error.ck_rv) != Remedy::re_initialise;
  if (!logged_in_ || !listens) return kExitFailed;
  access_->logout();
  return kExitLoggedOut;
}

WorkerStatus status_of(const Error& error) {
  const bool pin = is_pin_refusal(error.ck_rv);
  return {pin ? WorkerStatus::Kind::pin_refused : WorkerStatus::Kind::failed, error.sentence()};
}

Result<int> worker_main(Role role) {
  const StopSignal stop;
  for (const int fd : {kConfigFd, kListenFd, kStatusFd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  TRY_VOID(lock_down(LockMemory::where_allowed));  // The supervisor says where it is not.
  TRY(Config config, inherited_config());
  set_log_name("hsm-tokend[" + config.token + "] " +
               (role == Role::admin ? "admin worker" : "worker"));
  Bytes binary = own_binary_sha256();
  // Before the module is loaded: its code runs from then on.
  TRY_VOID(confine::confine(confinement_of_worker(config, role)));
  TRY(KillTimer timer, KillTimer::create({.call = config.call_limit}));
  // Never destroyed: the way out is _exit, and a half-built worker would call into a module that
  // failed.
  Worker& worker = *new Worker{role, std::move(config), std::move(binary), std::move(timer)};
  if (auto prepared = worker.prepare(); !prepared) {
    log(Level::error, "worker_failed", prepared.error().sentence());
    TRY_VOID(send_status(kStatusFd, status_of(prepared.error())));
    return worker.leave(prepared.error());
  }
  return worker.run(stop);
}

}  // namespace

void run_worker(Role role) {
  ::prctl(PR_SET_NAME,
          "hsm-tokend");  // Started from a descriptor, it would be called by its number.
  set_log_name("hsm-tokend worker");
  const auto ended = worker_main(role);
  if (!ended) log(Level::error, "worker_failed", ended.error().sentence());
  // No exit(): destructors of module and libp11 would run C_Finalize, and may hang without a
  // deadline.
  ::_exit(ended ? *ended : kExitFailed);
}

}  // namespace hsm::token
