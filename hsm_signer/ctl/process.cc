#include "hsm_signer/ctl/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

namespace hsm::ctl {
namespace {

constexpr std::size_t kPidLimit = 32;
constexpr std::size_t kTailBytes = 8192;
constexpr std::chrono::milliseconds kOrphanPatience{10'000};

// glibc 2.36 has both as functions, but only with _GNU_SOURCE headers that clash with <signal.h>.
int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }
int pidfd_send(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

std::optional<pid_t> read_pid(const std::string& file) {
  const auto bytes = read_file(file, kPidLimit);
  if (!bytes) return std::nullopt;
  const std::string_view text = as_text(*bytes);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), pid);
  const bool whole = end == text.end() || (end + 1 == text.end() && *end == '\n');
  if (error != std::errc{} || !whole || pid <= 1) return std::nullopt;
  return pid;
}

// The arguments of a process; empty for one that has ended (a zombie has none).
std::vector<std::string> command_line(pid_t pid) {
  const OwnedFd fd{
      ::open(("/proc/" + std::to_string(pid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 4096> buffer{};
  const ssize_t size = fd.valid() ? ::read(fd.get(), buffer.data(), buffer.size()) : 0;
  std::vector<std::string> arguments;
  for (ssize_t at = 0; at < size;) {
    arguments.emplace_back(buffer.data() + at,
                           ::strnlen(buffer.data() + at, static_cast<std::size_t>(size - at)));
    at += static_cast<ssize_t>(arguments.back().size()) + 1;
  }
  return arguments;
}

// /proc/PID/exe would say more, but of an undumpable process only root may read it.
bool is_ours(pid_t pid, const DaemonFiles& daemon) {
  const std::vector<std::string> arguments = command_line(pid);
  if (arguments.size() < 3) return false;
  return std::filesystem::path{arguments[0]}.filename() == daemon.program &&
         arguments[1] == "--config" && arguments[2] == daemon.config;
}

// In the child: nothing here may return.
[[noreturn]] void become(const DaemonFiles& daemon, const std::string& program, int log,
                         int failure) {
  ::setsid();
  ::umask(077);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  // What the caller's shell left open (a pipe, a lock) would be held for as long as the daemon
  // runs.
  ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execl(program.c_str(), program.c_str(), "--config", daemon.config.c_str(), nullptr);
  const int why = errno;
  [[maybe_unused]] const ssize_t told = ::write(failure, &why, sizeof why);
  ::_exit(127);
}

// Empty when exec() closed the pipe: the program runs.
Result<void> wait_for_exec(int pipe, const std::string& program) {
  int why = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &why, sizeof why);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return {};
  return fail(os_error(Code::internal, "cannot run", program, why));
}

// Without its pid file nobody would find it again.
Error stop_orphan(const DaemonFiles& daemon, const Running& process, Error why) {
  if (const auto stopped = stop(daemon, process, kOrphanPatience); !stopped)
    why.detail += "; " + stopped.error().sentence();
  return why;
}

}  // namespace

Result<OwnedFd> lock_directory(const std::string& directory) {
  OwnedFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return fail(os_error(Code::usage, "cannot open", directory));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Code::usage, "another hsm-signerctl is starting or stopping daemons here",
                directory);
  return fd;
}

std::vector<DaemonFiles> daemons_of(const std::string& directory, const SignerConfig& config) {
  const auto files = [&](const std::string& name, const std::string& program,
                         const std::string& config_name) {
    return DaemonFiles{.name = name,
                       .program = program,
                       .config = directory + "/" + config_name,
                       .pid_file = directory + "/run/" + name + ".pid",
                       .log_file = directory + "/log/" + name + ".log"};
  };
  std::vector<DaemonFiles> daemons;
  for (const TokenConfig& token : config.tokens)
    daemons.push_back(
        files("hsm-tokend-" + token.name.value, "hsm-tokend", token.name.value + ".toml"));
  daemons.push_back(files("hsm-signerd", "hsm-signerd", "signer.toml"));
  return daemons;
}

std::string own_directory() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "/usr/bin" : self.parent_path().string();
}

Running find_running(const DaemonFiles& daemon) {
  const auto pid = read_pid(daemon.pid_file);
  if (!pid) return {};
  // Opened before it is looked at: afterwards its number cannot pass to another process.
  OwnedFd pidfd{pidfd_open(*pid)};
  if (!pidfd.valid() || !is_ours(*pid, daemon)) return {};
  return {.pidfd = std::move(pidfd), .pid = *pid};
}

Result<Running> start(const DaemonFiles& daemon) {
  std::string program = own_directory() + "/" + daemon.program;
  if (::access(program.c_str(), X_OK) != 0) program = "/usr/sbin/" + daemon.program;
  const OwnedFd log{
      ::open(daemon.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  if (!log.valid()) return fail(os_error(Code::usage, "cannot open", daemon.log_file));
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return fail(os_error(Code::internal, "cannot make a pipe", daemon.name));
  const OwnedFd told{pipe[0]};
  OwnedFd tells{pipe[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork for", daemon.name));
  if (pid == 0) become(daemon, program, log.get(), tells.get());
  tells.reset();
  Running process{.pidfd = OwnedFd{pidfd_open(pid)}, .pid = pid};
  TRY_VOID(wait_for_exec(told.get(), program));
  const std::string line = std::to_string(pid) + "\n";
  const auto written = write_file_atomic(daemon.pid_file, as_bytes(line), 0644);
  if (!written) return fail(stop_orphan(daemon, process, written.error()));
  return process;
}

bool has_ended(const Running& process) {
  pollfd ended{.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) != 0;
}

Result<void> stop(const DaemonFiles& daemon, const Running& process,
                  std::chrono::milliseconds patience) {
  if (pidfd_send(process.pidfd.get(), SIGTERM) != 0 && errno != ESRCH)
    return fail(os_error(Code::denied, "cannot stop", daemon.name));
  pollfd ended{.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) {
    return fail(Code::internal, "does not stop",
                daemon.name + " (pid " + std::to_string(process.pid) + "); see " + daemon.log_file);
  }
  ::waitpid(process.pid, nullptr, WNOHANG);  // Reaps it where it is our own child.
  ::unlink(daemon.pid_file.c_str());
  return {};
}

std::string last_lines(const std::string& log_file, std::size_t count) {
  const OwnedFd fd{::open(log_file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return {};
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  ::lseek(fd.get(), std::max<off_t>(0, size - static_cast<off_t>(kTailBytes)), SEEK_SET);
  std::string tail(kTailBytes, '\0');
  const ssize_t got = ::read(fd.get(), tail.data(), tail.size());
  tail.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  std::size_t begin = tail.size();
  for (std::size_t lines = 0; lines < count && begin != std::string::npos && begin > 0; ++lines)
    begin = tail.rfind('\n', begin - 1);
  std::string text;
  tail = begin == std::string::npos || begin == 0 ? tail : tail.substr(begin + 1);
  for (std::size_t at = 0; at < tail.size();) {
    const std::size_t end = std::min(tail.find('\n', at), tail.size());
    text.append("  ").append(tail, at, end - at).append("\n");
    at = end + 1;
  }
  return text;
}

}  // namespace hsm::ctl
