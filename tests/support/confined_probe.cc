// Tries one forbidden act, under the very confinement of a daemon or under none:
//
//   confined_probe --signer FILE | --supervisor FILE | --worker FILE | --free  ACT [ARGUMENT…]
//
// FILE is the daemon's configuration. Prints "ACT: done" or "ACT: refused (errno)"; a fatal
// violation ends it by SIGSYS before a word. "confines" says whether this build confines at all.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/confine/confine.h"
#include "hsm_signer/service/confinement.h"
#include "hsm_signer/token/confinement.h"

namespace {

using Arguments = std::vector<std::string>;
// 0, or -1 with errno, as a system call answers.
using Act = std::function<long(const Arguments&)>;

long number(const std::string& text) { return std::strtol(text.c_str(), nullptr, 10); }
long as_long(bool worked) { return worked ? 0 : -1; }

// Without libc's wrapper: its own way of asking is not what is judged.
template <class... Args>
long call(long what, Args... args) {
  return ::syscall(what, args...);
}

long open_for(const std::string& path, int flags) {
  const hsm::OwnedFd fd{::open(path.c_str(), flags | O_CLOEXEC, 0600)};
  if (!fd.valid()) return -1;
  char byte = 0;
  return (flags & O_ACCMODE) == O_RDONLY ? as_long(::read(fd.get(), &byte, 1) >= 0) : 0;
}

long execute(const char* file) {
  const hsm::OwnedFd program{::open(file, O_PATH | O_CLOEXEC)};
  std::string name{"echo"}, text{"exec: done"};
  std::array<char*, 3> arguments{name.data(), text.data(), nullptr};
  std::array<char*, 1> environment{};
  return call(SYS_execveat, program.get(), "", arguments.data(), environment.data(), AT_EMPTY_PATH);
}

// In a child, so that this process is there to tell.
long in_child(const std::function<long()>& act) {
  const pid_t child = ::fork();
  if (child < 0) return -1;
  if (child == 0) {
    errno = 0;
    ::_exit(act() == 0 ? 0 : errno);
  }
  int how = 0;
  if (::waitpid(child, &how, 0) != child) return -1;
  if (WIFSIGNALED(how)) ::raise(WTERMSIG(how));
  errno = WEXITSTATUS(how);
  return as_long(errno == 0);
}

// Alone: waiting for the child would be a violation of its own.
long forked() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return as_long(child > 0);
}

long executable_mapping() {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return as_long(page != MAP_FAILED);
}

long made_executable() {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return -1;
  return ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

long read_memory_of(pid_t pid) {
  std::array<char, 8> here{};
  iovec local{here.data(), here.size()};
  iovec remote{here.data(),
               here.size()};  // EFAULT where nothing is mapped there: let in all the same.
  const long got = call(SYS_process_vm_readv, pid, &local, 1L, &remote, 1L, 0L);
  return as_long(got >= 0 || errno == EFAULT);
}

long traced(pid_t pid) {
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return -1;
  ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return 0;
}

long abstract_connection(const std::string& name) {
  const hsm::OwnedFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return -1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size);
}

long tcp_connection(long port) {
  const hsm::OwnedFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

long threaded() {
  std::thread thread{[] {}};
  thread.join();
  return 0;
}

const std::map<std::string_view, Act>& acts() {
  static const std::map<std::string_view, Act> known{
      // What the program needs: they must work under each confinement.
      {"unix-socket",
       [](const Arguments&) { return as_long(::socket(AF_UNIX, SOCK_STREAM, 0) >= 0); }},
      {"thread", [](const Arguments&) { return threaded(); }},
      // Files.
      {"read", [](const Arguments& a) { return open_for(a.at(0), O_RDONLY); }},
      {"write", [](const Arguments& a) { return open_for(a.at(0), O_WRONLY); }},
      {"create", [](const Arguments& a) { return open_for(a.at(0), O_WRONLY | O_CREAT | O_EXCL); }},
      {"list",
       [](const Arguments& a) {
         return as_long(::open(a.at(0).c_str(), O_RDONLY | O_DIRECTORY) >= 0);
       }},
      {"remove", [](const Arguments& a) { return as_long(::unlink(a.at(0).c_str()) == 0); }},
      {"execute", [](const Arguments&) { return in_child([] { return execute("/bin/true"); }); }},
      // The same without a process of its own, where fork is refused already.
      {"exec", [](const Arguments&) { return execute("/bin/echo"); }},
      // Sockets.
      {"socket-inet",
       [](const Arguments&) { return as_long(::socket(AF_INET, SOCK_STREAM, 0) >= 0); }},
      {"socket-inet6",
       [](const Arguments&) { return as_long(::socket(AF_INET6, SOCK_DGRAM, 0) >= 0); }},
      {"socket-netlink",
       [](const Arguments&) { return as_long(::socket(AF_NETLINK, SOCK_RAW, 0) >= 0); }},
      {"tcp", [](const Arguments& a) { return tcp_connection(number(a.at(0))); }},
      {"abstract-socket", [](const Arguments& a) { return abstract_connection(a.at(0)); }},
      // Other processes.
      {"fork", [](const Arguments&) { return forked(); }},
      {"clone3", [](const Arguments&) { return call(SYS_clone3, nullptr, 0L); }},
      {"ptrace", [](const Arguments& a) { return traced(static_cast<pid_t>(number(a.at(0)))); }},
      {"process-memory",
       [](const Arguments& a) { return read_memory_of(static_cast<pid_t>(number(a.at(0)))); }},
      {"kill", [](const Arguments& a) { return call(SYS_kill, number(a.at(0)), number(a.at(1))); }},
      {"tgkill",
       [](const Arguments& a) { return call(SYS_tgkill, number(a.at(0)), number(a.at(0)), 0L); }},
      {"pidfd",
       [](const Arguments& a) { return as_long(call(SYS_pidfd_open, number(a.at(0)), 0L) >= 0); }},
      // Code that was not there at the start.
      {"mmap-exec", [](const Arguments&) { return executable_mapping(); }},
      {"mprotect-exec", [](const Arguments&) { return made_executable(); }},
      // The kernel's wider surface.
      {"io-uring",
       [](const Arguments&) {
         std::array<char, 256> parameters{};
         return as_long(call(SYS_io_uring_setup, 1L, parameters.data()) >= 0);
       }},
      {"keyctl",
       [](const Arguments&) {
         return as_long(call(SYS_keyctl, static_cast<long>(KEYCTL_GET_KEYRING_ID), -3L, 0L) >= 0);
       }},
      {"memfd", [](const Arguments&) { return as_long(::memfd_create("probe", 0) >= 0); }},
      {"unshare", [](const Arguments&) { return call(SYS_unshare, 0L); }},
      {"personality",
       [](const Arguments&) { return as_long(call(SYS_personality, 0xffffffffL) >= 0); }},
      {"ioctl",
       [](const Arguments&) {
         int value = 0;
         const hsm::OwnedFd fd{::open("/dev/urandom", O_RDONLY | O_CLOEXEC)};
         return ::ioctl(fd.get(), _IOR('R', 0x00, int), &value);  // RNDGETENTCNT.
       }},
      {"dumpable", [](const Arguments&) { return as_long(::prctl(PR_SET_DUMPABLE, 1) == 0); }},
      {"setuid", [](const Arguments&) { return call(SYS_setuid, static_cast<long>(::getuid())); }},
  };
  return known;
}

hsm::Result<void> confine_as(std::string_view program, const std::string& file) {
  if (program == "--free") return {};
  if (program == "--signer") {
    TRY(const hsm::SignerConfig config, hsm::SignerConfig::load(file));
    return hsm::confine::confine(hsm::service::confinement_of(config));
  }
  TRY(const hsm::token::Config config, hsm::token::Config::load(file));
  if (program == "--supervisor") {
    TRY(const auto confinement, hsm::token::confinement_of_supervisor(config));
    return hsm::confine::confine(confinement);
  }
  TRY_VOID(
      hsm::confine::confine(hsm::token::confinement_of_worker(config, hsm::token::Role::signing)));
  if (config.profile->needs.new_code) return {};
  return hsm::confine::forbid_new_code(hsm::token::violation_of(config));
}

int usage() {
  std::fprintf(stderr,
               "confined_probe --signer FILE|--supervisor FILE|--worker FILE|--free ACT …\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments words(argv + 1, argv + argc);
  if (words.size() == 1 && words[0] == "confines")
    return hsm::confine::is_built_to_confine() ? 0 : 1;
  const bool free = !words.empty() && words[0] == "--free";
  const std::size_t first = free ? 1 : 2;
  if (words.size() <= first || acts().count(words[first]) == 0) return usage();
  hsm::set_log_name("confined_probe");
  if (const auto confined = confine_as(words[0], words[1]); !confined) {
    std::fprintf(stderr, "%s\n", confined.error().sentence().c_str());
    return 2;
  }
  const std::string name = words[first];
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(first) + 1);
  errno = 0;
  if (acts().at(name)(words) == 0) {
    std::printf("%s: done\n", name.c_str());
  } else {
    std::printf("%s: refused (%d)\n", name.c_str(), errno);
  }
  return 0;
}
