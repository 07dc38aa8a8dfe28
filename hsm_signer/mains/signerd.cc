// hsm-signerd: builds every part, passes each to those who need it, and runs one thread until told
// to stop.
#include <sys/random.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <map>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/own_binary.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/service/admin.h"
#include "hsm_signer/service/confinement.h"
#include "hsm_signer/service/key_rows.h"
#include "hsm_signer/service/log_keeper.h"
#include "hsm_signer/service/officers_desk.h"
#include "hsm_signer/service/panic.h"
#include "hsm_signer/service/past.h"
#include "hsm_signer/service/policy_office.h"
#include "hsm_signer/service/retention_desk.h"
#include "hsm_signer/service/sealer.h"
#include "hsm_signer/service/signer.h"
#include "hsm_signer/transport/admin_handler.h"
#include "hsm_signer/transport/client_handler.h"
#include "hsm_signer/transport/server.h"

namespace hsm {
namespace {

namespace asio = boost::asio;
constexpr std::chrono::seconds kDrainPatience{10};
constexpr std::chrono::milliseconds kDrainTick{10};
constexpr std::chrono::seconds kLastWords{2};

std::vector<keystore::TokenPool::Token> tokens_of(const SignerConfig& config) {
  std::vector<keystore::TokenPool::Token> tokens;
  for (const TokenConfig& token : config.tokens)
    tokens.push_back({.name = token.name, .socket = token.socket});
  return tokens;
}

// Every client holds a descriptor: the soft limit of 1,024 would be the first thing to run out.
// Gives how many there may be in all.
std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit highest{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &highest) == 0) return highest.rlim_cur;
  log(Level::warning, "descriptor_limit", "stays as it is");
  return limit.rlim_cur;
}

// Tells one run from another in the log.
std::string random_instance() {
  std::array<Byte, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    std::abort();
  return hex_encode(bytes);
}

using Officers = std::optional<service::OfficersDesk::Place>;

class Daemon {
 public:
  Daemon(const SignerConfig& config, const service::PolicyFile& file, service::PolicyDesk& policy,
         audit::Log& log, state::State& state, keystore::Registry& registry, service::Past past,
         Officers officers, asio::io_context& io)
      : config_{config},
        io_{io},
        signals_{io, SIGTERM, SIGINT},
        hangups_{io, SIGHUP},
        drain_timer_{io},
        log_{log},
        ledger_{io, clock_, log, std::move(past.released), std::move(past.counts)},
        keeper_{io, ledger_, log, config.audit_low_water_bytes},
        nonces_{clock_, state, std::move(past.marks)},
        officers_{{.clock = clock_, .state = state, .ledger = ledger_},
                  std::move(officers),
                  std::move(past.used)},
        approvals_{{.clock = clock_, .state = state, .ledger = ledger_, .officers = officers_}},
        pool_{io, clock_, tokens_of(config), [this] { turn_over(); }},
        tokens_{ledger_, pool_},
        anchors_{{.io = io,
                  .clock = clock_,
                  .every = config.audit_anchor_every,
                  .remember = [&state, scope = service::anchored_scope(config.audit_anchor)](
                                  std::uint64_t anchored) { state.raise(scope, anchored, {}); }},
                 std::move(past.anchor)},
        sealer_{io,
                clock_,
                ledger_,
                pool_,
                tokens_,
                anchors_,
                config.audit_key,
                [&state](std::uint64_t sealed, const service::Sealer::Done& done) {
                  state.raise(std::string{service::kSealedScope}, sealed,
                              [done](const Result<Uint128>& before) {
                                done(before ? Result<void>{} : fail(before.error()));
                              });
                }},
        deadlines_{io, clock_},
        switches_{{.clock = clock_,
                   .state = state,
                   .ledger = ledger_,
                   .officers = officers_,
                   .registry = registry,
                   .is_client =
                       [&policy](std::string_view name) {
                         return std::ranges::any_of(policy.rules()->clients(),
                                                    [&](const policy::Client& client) {
                                                      return client.name.value == name;
                                                    });
                       }},
                  std::move(past.switches)},
        panic_{{.task = {.clock = clock_,
                         .registry = registry,
                         .nonces = nonces_,
                         .pool = pool_,
                         .ledger = ledger_},
                .switches = switches_,
                .deadlines = deadlines_,
                .deadline = config.deadline}},
        signer_{{.clock = clock_,
                 .policy = policy,
                 .switches = switches_,
                 .registry = registry,
                 .nonces = nonces_,
                 .pool = pool_,
                 .ledger = ledger_,
                 .deadlines = deadlines_,
                 .approvals = approvals_,
                 .deadline = config.deadline}},
        admin_{{.clock = clock_,
                .config = config,
                .registry = registry,
                .state = state,
                .nonces = nonces_,
                .pool = pool_,
                .ledger = ledger_,
                .keeper = keeper_,
                .signer = signer_,
                .officers = officers_,
                .approvals = approvals_,
                .anchors = anchors_,
                .connections = [this] { return clients_ ? clients_->connections() : 0; },
                .turned_away = [this] { return clients_ ? clients_->turned_away() : 0; },
                .drain = [this] { drain(); }}},
        gate_{state, officers_, std::move(past.policy)},
        policies_{{.desk = policy, .gate = gate_, .ledger = ledger_}, file},
        gates_{
            io_,
            {.clock = clock_, .policy = policy, .registry = registry, .deadline = config.deadline}},
        client_handler_{signer_, gates_},
        audit_{clock_, ledger_},
        retention_{
            {.io = io,
             .clock = clock_,
             .log = log,
             .ledger = ledger_,
             .officers = officers_,
             .audit_key = config.audit_key,
             .seal_now = [this](std::function<void()> done) { sealer_.seal_now(std::move(done)); },
             .anchored = [this] { return anchors_.covered(); }}},
        admin_handler_{admin_, switches_, panic_, policies_, audit_, retention_},
        past_{std::move(past)} {}

  // Whether officers have let in the policy that this run is to begin with.
  Result<void> let_in(const service::PolicyFile& file) {
    const Peer self{.uid = ::geteuid(), .gid = ::getegid(), .pid = ::getpid()};
    TRY_VOID(service::wait_for_state<service::PolicyGate::Passed>(
        io_,
        [&](service::PolicyGate::Reply done) { gate_.pass(self, file, {}, std::move(done)); }));
    return {};
  }

  // `descriptors`: how many this process may open.
  Result<void> listen(std::size_t descriptors) {
    // Clients of any uid may knock: who they are is the policy's business. Administrators are
    // named.
    TRY(OwnedFd client_socket,
        listen_unix(config_.socket, 0666, config_.socket_group, Senders::told));
    TRY(OwnedFd admin_socket,
        listen_unix(config_.admin_socket, 0660, config_.admin_group, Senders::told));
    const transport::Limits limits = transport::client_limits(descriptors);
    if (limits.connections < transport::Limits{}.connections)
      log(Level::warning, "few_descriptors",
          std::to_string(descriptors) + " may be open, so at most " +
              std::to_string(limits.connections) + " clients; raise LimitNOFILE");
    clients_.emplace(io_, std::move(client_socket), limits, client_handler_,
                     [this](const Peer& peer) -> Result<void> {
                       TRY_VOID(signer_.whoami(peer));
                       return {};
                     });
    admins_.emplace(io_, std::move(admin_socket), transport::admin_limits(descriptors),
                    admin_handler_, [this](const Peer& peer) -> Result<void> {
                      const bool admitted =
                          std::ranges::find(config_.admins, peer.uid) != config_.admins.end();
                      audit_.came(peer, admitted);
                      if (admitted) return {};
                      return fail(Code::unauthorized, "not an administrator of this signer");
                    });
    return {};
  }

  void run(const std::string& policy_sha256, ByteView binary_sha256) {
    record_start(policy_sha256, binary_sha256);
    tell_past(std::exchange(past_, {}));
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) drain();
    });
    reload_at_hangup();
    pool_.start();
    sealer_.start();
    keeper_.start();
    retention_.start();
    clients_->start();
    admins_->start();
    ::sd_notify(0, "READY=1");
    log(Level::notice, "officers", officers_.posture());
    log(Level::notice, "ready", "serving " + config_.socket);
    io_.run();
  }

 private:
  void tell_past(service::Past past) {
    for (audit::Record& event : past.events) ledger_.event(std::move(event));
    approvals_.load(past.approvals, past.approvals_void);
  }

  void record_start(const std::string& policy_sha256, ByteView binary_sha256) {
    audit::Record start = audit::Record::start(instance_);
    start.software = HSM_VERSION;
    start.binary_sha256 = hex_encode(binary_sha256);
    start.config_sha256 = config_.file_sha256;
    start.policy_sha256 = policy_sha256;
    start.cut_bytes = log_.recovered().cut_bytes;
    ledger_.event(std::move(start));
  }

  // As `systemctl reload` does it.
  void reload_at_hangup() {
    hangups_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      policies_.reload_and_log();
      reload_at_hangup();
    });
  }

  void drain() {
    if (signer_.draining()) return;
    log(Level::notice, "draining", std::to_string(signer_.unfinished()) + " requests to finish");
    ::sd_notify(0, "STOPPING=1");
    signer_.drain();
    gates_.drain();
    clients_->stop_accepting();
    drain_until_ = clock_.steady() + kDrainPatience;
    wait_for_requests();
  }

  void wait_for_requests() {
    if (signer_.unfinished() + panic_.unfinished() == 0 || clock_.steady() >= drain_until_)
      return finish();
    drain_timer_.expires_after(kDrainTick);
    drain_timer_.async_wait([this](const boost::system::error_code&) { wait_for_requests(); });
  }

  void finish() {
    // Of all that the workers signed nothing is left to tell: the last record is that of the stop.
    tokens_.collect([this] { say_goodbye(); });
  }

  void say_goodbye() {
    ledger_.tell_refusals(service::Ledger::EvenLow::yes);
    ledger_.event(audit::Record::stop(instance_, "asked to stop"));
    sealer_.seal_now(
        [this] { anchors_.finish([this] { nonces_.settle([this] { take_leave(); }); }); });
  }

  void take_leave() {
    pool_.stop();
    sealer_.stop();
    keeper_.stop();
    clients_->finish_all();
    admins_->finish_all();
    drain_until_ = clock_.steady() + kLastWords;
    wait_for_clients();
  }

  // The answers of a worker that were read together have all been delivered: in one write they are
  // recorded, and in one each they leave.
  void turn_over() {
    ledger_.flush();
    if (clients_) clients_->send_answers();
  }

  // What was signed still leaves, to clients that take it.
  void wait_for_clients() {
    const bool open = clients_->connections() + admins_->connections() > 0;
    if (!open || clock_.steady() >= drain_until_) return io_.stop();
    drain_timer_.expires_after(kDrainTick);
    drain_timer_.async_wait([this](const boost::system::error_code&) { wait_for_clients(); });
  }

  const SignerConfig& config_;
  asio::io_context& io_;
  SystemClock clock_;
  asio::signal_set signals_;
  asio::signal_set hangups_;
  asio::steady_timer drain_timer_;
  const std::string instance_ = random_instance();
  audit::Log& log_;
  service::Ledger ledger_;
  service::LogKeeper keeper_;
  service::NonceDesk nonces_;
  service::OfficersDesk officers_;
  service::ApprovalDesk approvals_;
  keystore::TokenPool pool_;
  service::TokenDesk tokens_;
  service::AnchorDesk anchors_;
  service::Sealer sealer_;
  service::Deadlines deadlines_;
  service::SwitchDesk switches_;
  service::Panic panic_;
  service::Signer signer_;
  service::Admin admin_;
  service::PolicyGate gate_;
  service::PolicyOffice policies_;
  service::GateDesk gates_;
  transport::ClientHandler client_handler_;
  service::AuditDesk audit_;
  service::RetentionDesk retention_;
  transport::AdminHandler admin_handler_;
  service::Past past_;  // What is left of it once every part has its own; until run().
  std::optional<transport::Server> clients_;
  std::optional<transport::Server> admins_;
  Clock::Steady drain_until_{};
};

struct Options {
  std::string config = "/etc/hsm-signer/signer.toml";
  bool check = false;
  bool audit_lost = false;
};

Result<void> serve(const Options& options) {
  const std::string& config_path = options.config;
  TRY(const SignerConfig config, SignerConfig::load(config_path));
  TRY(const service::PolicyFile file,
      service::PolicyFile::load(config.policy, policy::system_resolver()));
  TRY(Officers officers, service::OfficersDesk::place_of(config));
  if (options.check) {
    std::printf("%s and %s are fine\n", config_path.c_str(), config.policy.c_str());
    return {};
  }
  const Bytes binary_sha256 = own_binary_sha256();
  TRY_VOID(lock_down(LockMemory::yes));
  const std::size_t descriptors = raise_descriptor_limit();
  // Names of users are resolved, nothing of a client has been read, no thread runs yet.
  TRY_VOID(audit::Log::make_directory(config.audit));
  TRY_VOID(confine::confine(service::confinement_of(config)));

  asio::io_context io{1};
  // Answers of the state's thread come back to this one; while they are owed, the loop may not end.
  const auto post = [&io](std::function<void()> work) { asio::post(io, std::move(work)); };
  TRY(const std::unique_ptr<state::State> state, state::State::open(config.state, post));
  TRY(std::vector<keystore::KeyVersion> versions, service::from_rows(state->keys_at_open()));
  TRY(keystore::Registry registry, keystore::Registry::restore(std::move(versions)));
  const SystemClock clock;
  service::PolicyDesk policy{clock, file.rules};
  TRY(service::Past past, service::Past::of_state(io, *state, clock));
  const auto replay = [&](const audit::Record& record) {
    past.replay(record);
    policy.replay(record);
  };
  TRY(past.anchor, service::open_anchor(io, *state, config, options.audit_lost));
  TRY(const std::unique_ptr<audit::Log> log,
      audit::Log::open(config.audit, replay, audit::Disk::system(),
                       {.bytes = config.audit_segment_bytes, .reserve = config.audit_reserve_bytes},
                       past.anchor.heads,
                       [&past](const audit::Retired& retired) { past.resume(retired); }));
  if (options.audit_lost) TRY_VOID(service::give_up_log(io, *state, *log, config.audit_anchor));
  TRY_VOID(service::check_sealed(io, *state, *log, clock, past));
  TRY_VOID(past.read_statements(io, *state, clock.wall()));
  Daemon daemon{config, file, policy, *log, *state, registry, std::move(past), std::move(officers),
                io};
  TRY_VOID(daemon.let_in(file));
  TRY_VOID(daemon.listen(descriptors));
  daemon.run(file.sha256, binary_sha256);
  hsm::log(Level::notice, "stopped");
  return {};
}

}  // namespace
}  // namespace hsm

int main(int argc, char** argv) {
  CLI::App app{
      "hsm-signerd: signs requests to the Gemini exchange with keys that stay in a PKCS#11 token."};
  app.footer("Example: hsm-signerd --config /etc/hsm-signer/signer.toml\nManual: hsm-signerd(8)");
  hsm::Options options;
  app.add_option("--config", options.config, "Configuration file")->capture_default_str();
  app.add_flag("--check", options.check,
               "Read configuration and policy, say what is wrong, and end");
  app.add_flag("--audit-lost", options.audit_lost,
               "Begin a new audit log in an empty directory although state.db knows an older one");
  app.set_version_flag("--version", "hsm-signerd " HSM_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  hsm::set_log_name("hsm-signerd");
  try {
    const hsm::Result<void> served = hsm::serve(options);
    if (served) return 0;
    hsm::log(hsm::Level::error, hsm::name(served.error().code), served.error().sentence());
    return hsm::exit_status(served.error().code);
  } catch (const std::exception& error) {
    // A rim: only bugs and exhausted memory come here.
    hsm::log(hsm::Level::error, "internal", error.what());
    return hsm::exit_status(hsm::Code::internal);
  }
}
