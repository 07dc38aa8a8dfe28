// What libseccomp makes of the tables, run instruction by instruction: each combination of groups,
// each number, and arguments around every value that a rule names. libseccomp 2.5.4 has been seen
// to leave out the load of an argument before it compares it, and so to allow what no rule did.
#include "hsm_signer/confine/filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "hsm_signer/confine/calls.h"

namespace hsm::confine {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif
constexpr int kNumbers = 512;

// As the kernel runs it. Only what libseccomp emits; anything else ends the test.
std::uint32_t run(const std::vector<sock_filter>& program, const seccomp_data& data) {
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    bool holds = false;
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + step.k, sizeof a);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= step.k;
        continue;
      case BPF_JMP | BPF_JA:
        at += step.k;
        continue;
      case BPF_RET | BPF_K:
        return step.k;
      case BPF_JMP | BPF_JEQ | BPF_K:
        holds = a == step.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        holds = a >= step.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        holds = a > step.k;
        break;
      default:
        ADD_FAILURE() << "instruction " << step.code;
        return 0;
    }
    at += holds ? step.jt : step.jf;
  }
  ADD_FAILURE() << "ran off the end";
  return 0;
}

using Rules = std::map<int, std::vector<Rule>>;  // By number.

Rules rules_of_all(const std::vector<Calls>& groups) {
  Rules rules;
  bool starts_others = false;
  for (const Calls group : groups) {
    starts_others |= group == Calls::processes;
    for (const Rule& rule : rules_of(group)) {
      const int number = seccomp_syscall_resolve_name(rule.call);
      if (number >= 0) rules[number].push_back(rule);
    }
  }
  Rule own{"tgkill"};
  if (!starts_others)
    own.condition = Condition{0, kEveryBit, static_cast<std::uint64_t>(::getpid())};
  rules[SCMP_SYS(tgkill)].push_back(own);
  return rules;
}

bool allows(const Rule& rule, const seccomp_data& data) {
  if (!rule.condition) return true;
  return (data.args[rule.condition->argument] & rule.condition->mask) == rule.condition->value;
}

// Around what the rules of one call name, in both halves of 64 bits.
std::set<std::uint64_t> telling_values(const std::vector<Rule>& rules) {
  std::set<std::uint64_t> values{0};
  for (const Rule& rule : rules) {
    if (!rule.condition) continue;
    const auto [argument, mask, value] = *rule.condition;
    for (const std::uint64_t v : {value, value + 1, value ^ (mask & (~mask + 1)), value | ~mask})
      values.insert(v);
    values.insert(value | std::uint64_t{1} << 32);
    values.insert(value << 32);
    values.insert({1, ~std::uint64_t{0}});
  }
  return values;
}

std::string differences(const std::vector<Calls>& groups) {
  const auto compiled = compiled_allow_list(groups, Violation::fatal);
  if (!compiled) return compiled.error().sentence();
  std::vector<sock_filter> program(compiled->size() / sizeof(sock_filter));
  std::memcpy(program.data(), compiled->data(), compiled->size());
  const Rules rules = rules_of_all(groups);
  std::string found;
  seccomp_data data{};
  data.arch = kArchitecture;
  for (data.nr = 0; data.nr < kNumbers; ++data.nr) {
    const auto listed = rules.find(data.nr);
    const std::vector<Rule> mine = listed == rules.end() ? std::vector<Rule>{} : listed->second;
    const std::set<std::uint64_t> values = telling_values(mine);
    for (const std::uint64_t judged : values) {
      for (const std::uint64_t other : values) {
        for (unsigned at = 0; at < 3; ++at) {
          for (auto& argument : data.args) argument = other;
          data.args[at] = judged;
          bool allowed = false;
          for (const Rule& rule : mine) allowed |= allows(rule, data);
          std::uint32_t expected = allowed ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
          if (data.nr == SCMP_SYS(clone3)) expected = SECCOMP_RET_ERRNO | ENOSYS;
          if (run(program, data) == expected) continue;
          return "number " + std::to_string(data.nr) + ", argument " + std::to_string(at) + " = " +
                 std::to_string(judged) + ", others " + std::to_string(other) + ": " +
                 (allowed ? "refused" : "allowed");
        }
      }
    }
  }
  return found;
}

TEST(Filter, AllowsWhatTheTablesSayAndNothingElse) {
  constexpr std::array kOptional{Calls::files,    Calls::local_sockets, Calls::network,
                                 Calls::hardware, Calls::new_code,      Calls::timers,
                                 Calls::further,  Calls::start,         Calls::processes};
  for (unsigned set = 0; set < 1U << kOptional.size(); ++set) {
    std::vector<Calls> groups{Calls::core};
    for (std::size_t i = 0; i < kOptional.size(); ++i) {
      if ((set >> i & 1) != 0) groups.push_back(kOptional[i]);
    }
    EXPECT_EQ(differences(groups), "") << "set " << set;
  }
}

}  // namespace
}  // namespace hsm::confine
