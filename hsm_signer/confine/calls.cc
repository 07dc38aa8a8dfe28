#include "hsm_signer/confine/calls.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

namespace hsm::confine {
namespace {

// Each call stands with its neighbours: another libc than Debian 12's asks for the same with an
// older or a younger one (fstat, newfstatat, statx). Names that this libseccomp or this processor
// does not know are passed over.

constexpr Rule masked(const char* call, unsigned argument, std::uint64_t mask,
                      std::uint64_t value) {
  return {call, Condition{argument, mask, value}};
}
constexpr Rule equal(const char* call, unsigned argument, std::uint64_t value) {
  return masked(call, argument, kEveryBit, value);
}

constexpr std::array kEveryGroup{
    Calls::core,     Calls::files,  Calls::local_sockets, Calls::network, Calls::hardware,
    Calls::new_code, Calls::timers, Calls::further,       Calls::start,   Calls::processes};

constexpr std::uint64_t kNamespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                                      CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;
// Of fork(3); the lowest byte is the signal that the parent gets.
constexpr std::uint64_t kFork = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;

constexpr std::array kCore{
    // Descriptors.
    Rule{"read"}, Rule{"write"}, Rule{"readv"}, Rule{"writev"}, Rule{"pread64"}, Rule{"pwrite64"},
    Rule{"preadv"}, Rule{"pwritev"}, Rule{"lseek"}, Rule{"close"}, Rule{"close_range"}, Rule{"dup"},
    Rule{"dup2"}, Rule{"dup3"}, Rule{"pipe"}, Rule{"pipe2"}, Rule{"fstat"},
    equal("fcntl", 1, F_DUPFD), equal("fcntl", 1, F_DUPFD_CLOEXEC), equal("fcntl", 1, F_GETFD),
    equal("fcntl", 1, F_SETFD), equal("fcntl", 1, F_GETFL), equal("fcntl", 1, F_SETFL),
    equal("fcntl", 1, F_GETLK), equal("fcntl", 1, F_SETLK), equal("fcntl", 1, F_SETLKW),
    equal("fcntl", 1, F_OFD_GETLK), equal("fcntl", 1, F_OFD_SETLK), equal("fcntl", 1, F_OFD_SETLKW),
    equal("ioctl", 1, FIONBIO), equal("ioctl", 1, FIONREAD), Rule{"poll"}, Rule{"ppoll"},
    Rule{"select"}, Rule{"pselect6"}, Rule{"epoll_create"}, Rule{"epoll_create1"},
    Rule{"epoll_ctl"}, Rule{"epoll_wait"}, Rule{"epoll_pwait"}, Rule{"epoll_pwait2"},
    Rule{"eventfd2"}, Rule{"timerfd_create"}, Rule{"timerfd_settime"}, Rule{"timerfd_gettime"},
    // Memory that is never executed.
    Rule{"brk"}, masked("mmap", kProtectionArgument, PROT_EXEC, 0), Rule{"munmap"}, Rule{"mremap"},
    masked("mprotect", kProtectionArgument, PROT_EXEC, 0), Rule{"madvise"}, Rule{"mlock"},
    Rule{"mlock2"}, Rule{"munlock"}, Rule{"membarrier"},
    // Threads, no processes.
    masked("clone", 0, CLONE_THREAD | kNamespaces, CLONE_THREAD), Rule{"futex"},
    Rule{"futex_waitv"}, Rule{"set_robust_list"}, Rule{"get_robust_list"}, Rule{"rseq"},
    Rule{"sched_yield"}, Rule{"sched_getaffinity"}, Rule{"getcpu"}, Rule{"exit"},
    Rule{"exit_group"}, equal("prctl", 0, PR_SET_NAME), equal("prctl", 0, PR_GET_NAME),
    // One's own signals. Another process's are in kProcesses.
    Rule{"rt_sigaction"}, Rule{"rt_sigprocmask"}, Rule{"rt_sigreturn"}, Rule{"rt_sigpending"},
    Rule{"rt_sigtimedwait"}, Rule{"sigaltstack"}, Rule{"pause"}, Rule{"restart_syscall"},
    // Who and where one is, and the time.
    Rule{"getpid"}, Rule{"getppid"}, Rule{"gettid"}, Rule{"getuid"}, Rule{"geteuid"},
    Rule{"getgid"}, Rule{"getegid"}, Rule{"getresuid"}, Rule{"getresgid"}, Rule{"getgroups"},
    Rule{"getpgrp"}, Rule{"getrlimit"}, equal("prlimit64", 2, 0), Rule{"getrusage"}, Rule{"times"},
    Rule{"uname"}, Rule{"sysinfo"}, Rule{"getrandom"}, Rule{"clock_gettime"}, Rule{"clock_getres"},
    Rule{"clock_nanosleep"}, Rule{"nanosleep"}, Rule{"gettimeofday"}, Rule{"time"}};

constexpr std::array kFiles{
    Rule{"open"},       Rule{"openat"},     Rule{"stat"},       Rule{"lstat"},
    Rule{"newfstatat"}, Rule{"statx"},      Rule{"access"},     Rule{"faccessat"},
    Rule{"faccessat2"}, Rule{"readlink"},   Rule{"readlinkat"}, Rule{"getcwd"},
    Rule{"getdents"},   Rule{"getdents64"}, Rule{"mkdir"},      Rule{"mkdirat"},
    Rule{"rmdir"},      Rule{"unlink"},     Rule{"unlinkat"},   Rule{"rename"},
    Rule{"renameat"},   Rule{"renameat2"},  Rule{"ftruncate"},  Rule{"fallocate"},
    Rule{"fsync"},      Rule{"fdatasync"},  Rule{"flock"},      Rule{"fadvise64"},
    Rule{"statfs"},     Rule{"fstatfs"},    Rule{"umask"},      Rule{"fchmod"},
    Rule{"fchown"},     Rule{"utimensat"},  Rule{"utimes"}};

constexpr std::array kLocalSockets{
    equal("socket", 0, AF_UNIX), Rule{"connect"}, Rule{"bind"}, Rule{"listen"}, Rule{"accept"},
    Rule{"accept4"}, Rule{"getsockname"}, Rule{"getpeername"}, Rule{"setsockopt"},
    Rule{"getsockopt"}, Rule{"sendto"}, Rule{"sendmsg"}, Rule{"sendmmsg"}, Rule{"recvfrom"},
    Rule{"recvmsg"}, Rule{"recvmmsg"}, Rule{"shutdown"},
    // A socket's file gets its mode and its group by name.
    Rule{"chmod"}, Rule{"fchmodat"}, Rule{"chown"}, Rule{"lchown"}, Rule{"fchownat"}};

constexpr std::array kNetwork{
    equal("socket", 0, AF_INET), equal("socket", 0, AF_INET6), equal("socket", 0, AF_NETLINK),
    equal("socketpair", 0, AF_UNIX)};  // libcurl wakes its own poll(2) with a pair.

// What PC/SC, libusb and openCryptoki's shared memory ask for, not measured one by one; and the
// thread pools of GLib, by which tpm2-pkcs11 talks to its resource manager.
constexpr std::array kHardware{Rule{"ioctl"}, Rule{"shmget"},        Rule{"shmat"},
                               Rule{"shmdt"}, Rule{"shmctl"},        Rule{"semget"},
                               Rule{"semop"}, Rule{"semtimedop"},    Rule{"semctl"},
                               Rule{"msync"}, Rule{"sched_getattr"}, Rule{"sched_setattr"}};

constexpr std::array kNewCode{Rule{"mmap"}, Rule{"mprotect"}};

constexpr std::array kTimers{Rule{"timer_create"}, Rule{"timer_settime"}, Rule{"timer_gettime"},
                             Rule{"timer_delete"}};

constexpr std::array kFurther{Rule{"seccomp"}, equal("prctl", 0, PR_SET_NO_NEW_PRIVS)};

constexpr std::array kStart{Rule{"landlock_create_ruleset"}, Rule{"landlock_add_rule"},
                            Rule{"landlock_restrict_self"}, Rule{"arch_prctl"},
                            Rule{"set_tid_address"}, Rule{"mlockall"},
                            equal("prctl", 0, PR_SET_DUMPABLE),
                            // libcap, which libsystemd brings along, looks around before main().
                            equal("prctl", 0, PR_CAPBSET_READ), equal("prctl", 0, PR_CAP_AMBIENT),
                            Rule{"capget"}, Rule{"prlimit64"}, Rule{"setrlimit"}};

constexpr std::array kProcesses{equal("clone", 0, kFork),
                                Rule{"execveat"},
                                Rule{"wait4"},
                                Rule{"waitid"},
                                equal("prctl", 0, PR_SET_PDEATHSIG),
                                equal("kill", 1, SIGTERM),
                                equal("kill", 1, SIGKILL),
                                Rule{"signalfd4"}};

// glibc then falls back to clone(2), whose flags are not behind a pointer.
constexpr std::array kAnsweredEnosys{"clone3"};

}  // namespace

std::span<const Rule> rules_of(Calls group) {
  switch (group) {
    case Calls::core:
      return kCore;
    case Calls::files:
      return kFiles;
    case Calls::local_sockets:
      return kLocalSockets;
    case Calls::network:
      return kNetwork;
    case Calls::hardware:
      return kHardware;
    case Calls::new_code:
      return kNewCode;
    case Calls::timers:
      return kTimers;
    case Calls::further:
      return kFurther;
    case Calls::start:
      return kStart;
    case Calls::processes:
      return kProcesses;
  }
  return {};
}

std::vector<Rule> every_rule() {
  std::vector<Rule> all;
  for (const Calls group : kEveryGroup) {
    const std::span<const Rule> rules = rules_of(group);
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

std::span<const char* const> answered_enosys() { return kAnsweredEnosys; }

}  // namespace hsm::confine
