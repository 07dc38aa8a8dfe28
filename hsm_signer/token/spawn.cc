#include "hsm_signer/token/spawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "hsm_signer/token/status.h"

namespace hsm::token {
namespace {

constexpr int kAboveInherited = 10;

// The file itself, not its name: another version installed under that name is another program,
// which this one's filter does not let it execute, and whose workers may speak another language.
Result<OwnedFd> running_program() {
  OwnedFd fd{::open("/proc/self/exe", O_PATH | O_CLOEXEC)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot open", "/proc/self/exe"));
  return fd;
}

Result<OwnedFd> config_memfd(const Config& config) {
  OwnedFd fd{::memfd_create("hsm-tokend-config", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd.valid())
    return fail(os_error(Code::internal, "cannot make a memfd", "the configuration"));
  TRY_VOID(write_all(fd.get(), as_bytes(config.file + "\n" + config.text), Code::internal,
                     "the configuration"));
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0)
    return fail(os_error(Code::internal, "cannot seal the memfd", "the configuration"));
  return fd;
}

std::vector<std::string> environment_of(const Config& config) {
  std::vector<std::string> environment;
  for (const char* name : {"LANG", "TZ"}) {
    if (const char* value = ::getenv(name); value != nullptr)
      environment.push_back(std::string{name} + "=" + value);
  }
  for (const auto& [name, value] : config.module_env) environment.push_back(name + "=" + value);
  return environment;
}

// Between fork and exec: system calls only.
[[noreturn]] void become_worker(int program, char* const* arguments, char* const* environment,
                                const std::array<int, 3>& inherited, pid_t supervisor) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != supervisor) ::_exit(1);  // It died before the line above.
  const int self = ::fcntl(program, F_DUPFD_CLOEXEC, kAboveInherited);
  std::array<int, 3> high{};
  for (std::size_t i = 0; i < inherited.size(); ++i)
    high[i] = ::fcntl(inherited[i], F_DUPFD_CLOEXEC, kAboveInherited);
  ::dup2(high[0], kConfigFd);  // dup2 leaves FD_CLOEXEC behind.
  ::dup2(high[1], kListenFd);
  ::dup2(high[2], kStatusFd);
  ::execveat(self, "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(127);
}

}  // namespace

Result<Spawner> Spawner::create(const Config& config) {
  Spawner spawner;
  TRY(spawner.program_, running_program());
  TRY(spawner.config_, config_memfd(config));
  spawner.environment_ = environment_of(config);
  return spawner;
}

Result<Child> Spawner::start(Role role, int listener) const {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return fail(os_error(Code::internal, "cannot make a pipe", "a worker"));
  OwnedFd read_end{pipe[0]};
  const OwnedFd write_end{pipe[1]};
  ::fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  std::string name = "hsm-tokend";
  std::string flag = role == Role::admin ? kAdminWorker : kSigningWorker;
  const std::array<char*, 3> arguments{name.data(), flag.data(), nullptr};
  std::vector<char*> environment;
  for (const std::string& variable : environment_)
    environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);
  const pid_t supervisor = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork", "a worker"));
  if (pid == 0)
    become_worker(program_.get(), arguments.data(), environment.data(),
                  {config_.get(), listener, write_end.get()}, supervisor);
  return Child{pid, std::move(read_end)};
}

}  // namespace hsm::token
