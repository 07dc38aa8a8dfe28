// The tables themselves: what they name exists, and what they must never name they do not.
#include "hsm_signer/confine/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <seccomp.h>

#include <map>
#include <set>
#include <string>

namespace hsm::confine {
namespace {

std::set<std::string> every_name() {
  std::set<std::string> names;
  for (const Rule& rule : every_rule()) names.insert(rule.call);
  return names;
}

// A name with a slip of the pen would be passed over in silence, as another processor's calls are.
TEST(Calls, AreAllKnownToLibseccomp) {
  EXPECT_GT(every_name().size(), 100U);
  for (const std::string& name : every_name())
    EXPECT_NE(seccomp_syscall_resolve_name(name.c_str()), __NR_SCMP_ERROR) << name;
  for (const char* const name : answered_enosys())
    EXPECT_NE(seccomp_syscall_resolve_name(name), __NR_SCMP_ERROR) << name;
  for (const char* const name : kMakesCode)
    EXPECT_NE(seccomp_syscall_resolve_name(name), __NR_SCMP_ERROR) << name;
}

TEST(Calls, OfNoGroupReachIntoOtherProcessesOrTheKernelsWiderSurface) {
  const std::set<std::string> names = every_name();
  for (const char* const name :
       {"ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_open",
        "pidfd_getfd",
        "process_madvise",
        "kcmp",
        "execve",
        "truncate",  // Landlock knows it from ABI 3 on; ftruncate() is ours.
        "fork",
        "vfork",
        "clone3",
        "unshare",
        "setns",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "keyctl",
        "add_key",
        "request_key",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "open_by_handle_at",
        "name_to_handle_at",
        "init_module",
        "finit_module",
        "kexec_load",
        "setuid",
        "setresuid",
        "setgid",
        "setgroups",
        "personality",
        "pkey_mprotect",
        "remap_file_pages",
        "mknod",
        "mknodat",
        "symlink",
        "symlinkat",
        "link",
        "linkat",
        "memfd_secret",
        "memfd_create",
        "sethostname",
        "reboot",
        "swapon",
        "quotactl",
        "ioperm",
        "iopl",
        "modify_ldt",
        "tkill",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "pidfd_send_signal"}) {
    EXPECT_NE(seccomp_syscall_resolve_name(name), __NR_SCMP_ERROR) << name;
    EXPECT_EQ(names.count(name), 0U) << name;
  }
}

TEST(Calls, AreJudgedByOneArgumentEach) {
  std::map<std::string, unsigned> judged_by;
  for (const Rule& rule : every_rule()) {
    if (!rule.condition) continue;
    const auto [first, fresh] = judged_by.emplace(rule.call, rule.condition->argument);
    EXPECT_TRUE(fresh || first->second == rule.condition->argument) << rule.call;
  }
  EXPECT_GT(judged_by.size(), 5U);
}

// Without a condition a rule allows the call whatever it is asked for.
TEST(Calls, WhoseArgumentDecidesAreNeverAllowedWholesale) {
  const auto may_be_whole = [](const std::string& call, Calls group) {
    return (call == "ioctl" && group == Calls::hardware) ||
           ((call == "mmap" || call == "mprotect") && group == Calls::new_code) ||
           ((call == "prlimit64" || call == "setrlimit") && group == Calls::start);
  };
  for (const Calls group :
       {Calls::core, Calls::files, Calls::local_sockets, Calls::network, Calls::hardware,
        Calls::new_code, Calls::timers, Calls::further, Calls::start, Calls::processes}) {
    EXPECT_FALSE(rules_of(group).empty());
    for (const Rule& rule : rules_of(group)) {
      for (const char* const judged : {"socket", "socketpair", "clone", "kill", "prctl", "ioctl",
                                       "fcntl", "mmap", "mprotect", "prlimit64", "setrlimit"}) {
        if (std::string{judged} == rule.call && !may_be_whole(rule.call, group)) {
          EXPECT_TRUE(rule.condition) << judged;
        }
      }
    }
  }
}

}  // namespace
}  // namespace hsm::confine
