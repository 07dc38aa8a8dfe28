#include "hsm_signer/token/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <deque>
#include <thread>

#include "hsm_signer/base/log.h"
#include "hsm_signer/token/approvals.h"
#include "hsm_signer/token/confinement.h"
#include "hsm_signer/token/fleet.h"
#include "hsm_signer/token/pin.h"
#include "hsm_signer/token/spawn.h"
#include "hsm_signer/token/status.h"
#include "hsm_signer/token/wrap_key.h"
#include "hsm_signer/wire/hello.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kRefusedKept = 32;
constexpr std::chrono::milliseconds kGrace = 3s;  // Between SIGTERM and SIGKILL for workers.
constexpr std::chrono::milliseconds kOrphanPatience = 10s;
constexpr std::chrono::milliseconds kOrphanPause = 20ms;
constexpr std::chrono::milliseconds kAcceptPause = 100ms;

Result<OwnedFd> lock_state(const std::string& directory) {
  const std::string path = directory + "/lock";
  OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd.valid()) return fail(os_error(Code::usage, "cannot open the lock file", path));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Code::usage, "another hsm-tokend runs for this token", path);
  return fd;
}

// Under Landlock the module would only find that it may not write.
Result<void> check_module_writes(const Config& config) {
  for (const std::string& path : config.module_writes.value_or(std::vector<std::string>{})) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
      return fail(Code::usage, "module_writes names what is no directory", path);
  }
  return {};
}

// Workers of a supervisor that was killed end by themselves, and one that is just logging in holds
// its socket until then. Whoever calls this has the token's lock, so no other hsm-tokend serves it.
void let_orphans_end(const std::string& path) {
  const auto until = std::chrono::steady_clock::now() + kOrphanPatience;
  while (connect_unix(path) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(kOrphanPause);
}

Result<OwnedFd> listener(const std::string& path, gid_t group) {
  let_orphans_end(path);
  const mode_t mode = group == static_cast<gid_t>(-1) ? 0600 : 0660;
  TRY(OwnedFd fd, listen_unix(path, mode, group));
  // Workers and this process accept on the same socket: whoever comes second must not wait.
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0)
    return fail(os_error(Code::internal, "cannot set up", path));
  return fd;
}

Result<OwnedFd> watch_signals() {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&watched, signal);
  if (::sigprocmask(SIG_BLOCK, &watched, nullptr) != 0)
    return fail(os_error(Code::internal, "cannot block signals", "sigprocmask"));
  OwnedFd fd{::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot watch signals", "signalfd"));
  return fd;
}

// What such an ending mostly means.
std::string_view guess(int how) {
  if (!WIFSIGNALED(how)) return "";
  if (WTERMSIG(how) == SIGKILL) return " (a call into the module took too long?)";
  if (WTERMSIG(how) == SIGSYS)
    return " (SIGSYS: a system call outside its filter; the kernel's log has its number)";
  return "";
}

class Supervisor {
 public:
  static Result<Supervisor> create(const Config& config);
  void run();
  void stop();

 private:
  struct Process {
    pid_t pid = 0;
    OwnedFd status;
    std::string said;
  };
  Supervisor(const Config& config, OwnedFd lock, Spawner spawner, OwnedFd signals, OwnedFd socket,
             OwnedFd admin)
      : config_{config},
        lock_{std::move(lock)},
        spawner_{std::move(spawner)},
        signals_{std::move(signals)},
        sockets_{std::move(socket), std::move(admin)},
        fleet_{config.workers, config.profile->restart_delay},
        processes_(fleet_.size()) {}

  int listener_of(Role role) const { return sockets_[static_cast<std::size_t>(role)].get(); }
  void start_due();
  void wait();
  void read_status(Fleet::Slot slot);
  void hear(Fleet::Slot slot, const WorkerStatus& status);
  bool drain_signals();
  void reap();
  void refuse(Role role);
  void report();
  void take_out(const std::string& sentence);
  void signal_all(int signal) const;

  const Config& config_;
  OwnedFd lock_;
  Spawner spawner_;
  OwnedFd signals_;
  std::array<OwnedFd, 2> sockets_;  // By Role.
  Fleet fleet_;
  std::vector<Process> processes_;  // By slot.
  SystemClock clock_;
  std::deque<OwnedFd> refused_;
  bool stopping_ = false;
  bool reported_ = false;
};

Result<Supervisor> Supervisor::create(const Config& config) {
  TRY_VOID(make_directory(config.state_dir, 0700));
  TRY(OwnedFd lock, lock_state(config.state_dir));
  TRY(Spawner spawner, Spawner::create(config));
  TRY(OwnedFd signals, watch_signals());
  TRY(OwnedFd socket, listener(config.socket, config.socket_group));
  TRY(OwnedFd admin, listener(config.admin_socket, config.admin_group));
  return Supervisor{
      config,          std::move(lock), std::move(spawner), std::move(signals), std::move(socket),
      std::move(admin)};
}

void Supervisor::start_due() {
  const auto slot = fleet_.next(clock_.steady());
  if (!slot) return;
  fleet_.started(*slot);
  auto child = spawner_.start(Fleet::role(*slot), listener_of(Fleet::role(*slot)));
  if (!child) {
    log(Level::error, "worker_not_started", child.error().sentence());
    fleet_.failed(*slot, child.error().sentence());
    fleet_.ended(*slot, Fleet::Ending::died, clock_.steady());
    return;
  }
  processes_[*slot] = {child->pid, std::move(child->status), {}};
}

void Supervisor::hear(Fleet::Slot slot, const WorkerStatus& status) {
  switch (status.kind) {
    case WorkerStatus::Kind::ready:
      fleet_.ready(slot);
      return;
    case WorkerStatus::Kind::pin_refused:
      log(Level::error, "pin_refused",
          status.sentence + "; no further login until hsm-tokend is restarted");
      fleet_.pin_refused(slot, status.sentence);
      return;
    case WorkerStatus::Kind::failed:
      fleet_.failed(slot, status.sentence);
      return;
    case WorkerStatus::Kind::has_signed:
      fleet_.has_signed(slot);
      return;
    case WorkerStatus::Kind::wrong_macs:
      take_out(status.sentence);
  }
}

// One wrong MAC is enough: which of its answers were right, nobody can say any more. The admin
// worker goes too, for what it would import would have to be proved by the same token.
void Supervisor::take_out(const std::string& sentence) {
  log(Level::alert, "token_taken_out",
      sentence + "; nothing is signed until hsm-tokend is restarted");
  fleet_.taken_out(sentence);
  // Nothing more leaves that it has signed. An import or a login is let finish: cut off it may
  // leave half a key, or a SoftHSM token without its object file.
  for (Fleet::Slot slot = 0; slot < processes_.size(); ++slot) {
    const bool signs = Fleet::role(slot) == Role::signing && fleet_.is_ready(slot);
    if (processes_[slot].pid != 0) ::kill(processes_[slot].pid, signs ? SIGKILL : SIGTERM);
  }
}

void Supervisor::read_status(Fleet::Slot slot) {
  Process& process = processes_[slot];
  std::array<char, 512> buffer;
  for (;;) {
    const ssize_t n = ::read(process.status.get(), buffer.data(), buffer.size());
    if (n < 0) return;  // The pipe is empty until the worker says more.
    if (n == 0) break;
    process.said.append(buffer.data(), static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = process.said.find('\n')) != std::string::npos;) {
      if (const auto status = parse_status(process.said.substr(0, end))) hear(slot, *status);
      process.said.erase(0, end + 1);
    }
  }
  process.status.reset();
}

void Supervisor::signal_all(int signal) const {
  for (const Process& process : processes_) {
    if (process.pid != 0) ::kill(process.pid, signal);
  }
}

void Supervisor::reap() {
  for (Fleet::Slot slot = 0; slot < processes_.size(); ++slot) {
    Process& process = processes_[slot];
    int how = 0;
    if (process.pid == 0 || ::waitpid(process.pid, &how, WNOHANG) != process.pid) continue;
    process.pid = 0;                                // It may be another's by now.
    if (process.status.valid()) read_status(slot);  // Its last word may not have been read.
    process = {};
    const int exited = WIFEXITED(how) ? WEXITSTATUS(how) : kExitFailed;
    if (exited != kExitServed) {
      const std::string why = WIFSIGNALED(how) ? "signal " + std::to_string(WTERMSIG(how))
                                               : "status " + std::to_string(WEXITSTATUS(how));
      log(Level::warning, "worker_died", why + std::string{guess(how)});
    }
    fleet_.ended(slot,
                 exited == kExitServed      ? Fleet::Ending::served
                 : exited == kExitLoggedOut ? Fleet::Ending::logged_out
                                            : Fleet::Ending::died,
                 clock_.steady());
  }
}

bool Supervisor::drain_signals() {
  signalfd_siginfo info{};
  bool child = false;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    child |= info.ssi_signo == SIGCHLD;
    stopping_ |= info.ssi_signo != SIGCHLD;
  }
  return child;
}

// One frame that says why, for who would otherwise wait in the backlog for nobody.
void Supervisor::refuse(Role role) {
  const auto refusal = fleet_.refusal(role);
  if (!refusal) return;
  OwnedFd connection{::accept4(listener_of(role), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!connection.valid()) {
    // Whatever is lacking, the listener stays readable.
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
      std::this_thread::sleep_for(kAcceptPause);
    return;
  }
  const auto peer = peer_of(connection.get());
  const auto& uids = role == Role::signing ? config_.clients : config_.admin_clients;
  if (!peer || std::find(uids.begin(), uids.end(), peer->uid) == uids.end()) return;
  Bytes frame;
  if (!wire::encode(frame, wire::Type::error, 0, wire::to_failure(*refusal))) return;
  ::send(connection.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
  ::shutdown(connection.get(), SHUT_WR);
  // Kept open for a while: the peer's own hello would fail on a closed socket before it reads our
  // sentence.
  if (refused_.size() == kRefusedKept) refused_.pop_front();
  refused_.push_back(std::move(connection));
}

void Supervisor::report() {
  if (reported_ || !fleet_.settled()) return;
  reported_ = true;
  log(Level::notice, fleet_.all_ready() ? "ready" : "not_ready", config_.socket);
  // READY also with a refused PIN: a time-out would make systemd restart us, one wrong login at a
  // time.
  ::sd_notify(0,
              fleet_.all_ready() ? "READY=1" : "READY=1\nSTATUS=no worker is ready, see the log");
}

void Supervisor::wait() {
  std::vector<pollfd> watched{{signals_.get(), POLLIN, 0}};
  for (const Role role : {Role::signing, Role::admin})
    watched.push_back({fleet_.refusal(role) ? listener_of(role) : -1, POLLIN, 0});
  for (const Process& process : processes_)
    watched.push_back({process.status.valid() ? process.status.get() : -1, POLLIN, 0});
  int timeout = -1;
  if (const auto at = fleet_.wake_at()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at - clock_.steady());
    timeout = static_cast<int>(std::max<std::int64_t>(0, left.count()));
  }
  if (::poll(watched.data(), watched.size(), timeout) <= 0) return;
  for (Fleet::Slot slot = 0; slot < processes_.size(); ++slot) {
    if (watched[3 + slot].revents != 0) read_status(slot);
  }
  if (watched[0].revents != 0 && drain_signals()) reap();
  for (const Role role : {Role::signing, Role::admin}) {
    if (watched[1 + static_cast<std::size_t>(role)].revents != 0) refuse(role);
  }
}

void Supervisor::run() {
  while (!stopping_) {
    start_due();
    report();
    wait();
  }
}

void Supervisor::stop() {
  ::sd_notify(0, "STOPPING=1");
  ::unlink(config_.socket.c_str());
  ::unlink(config_.admin_socket.c_str());
  const auto running = [this] {
    return std::any_of(processes_.begin(), processes_.end(),
                       [](const Process& p) { return p.pid != 0; });
  };
  signal_all(SIGTERM);
  const auto deadline = clock_.steady() + kGrace;
  while (running() && clock_.steady() < deadline) {
    pollfd watched{signals_.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.steady());
    ::poll(&watched, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    drain_signals();
    reap();
  }
  signal_all(SIGKILL);
  log(Level::notice, "stopped");
}

}  // namespace

Result<void> check(const Config& config) {
  // First: the PIN comes here to be looked at, though it is used by workers only. They run under
  // the same limits and start anew for each connection, so what is said of them is said once, here.
  TRY_VOID(lock_down(LockMemory::yes));
  TRY(const Ceilings ceilings, Ceilings::load(config.ceilings, config.mode));
  TRY_VOID(load_officers(config, ceilings));
  TRY_VOID(read_pin(config.pin_file));
  if (config.profile->way == SecretWay::decrypted_in_host)
    TRY_VOID(wrap_key_in_file(config.wrap_private));
  return check_module_writes(config);
}

Result<void> supervise(const Config& config) {
  TRY_VOID(check(config));
  TRY(Supervisor supervisor, Supervisor::create(config));
  TRY(const confine::Confinement confinement, confinement_of_supervisor(config));
  TRY_VOID(confine::confine(confinement));
  supervisor.run();
  supervisor.stop();
  return {};
}

}  // namespace hsm::token
