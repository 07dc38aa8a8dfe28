// The tables of allowed system calls.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "hsm_signer/confine/confine.h"

namespace hsm::confine {

// Holds when (argument & mask) == value. All 64 bits are compared: a program of ours never sets the
// upper half of an int, and who does is refused.
struct Condition {
  unsigned argument;
  std::uint64_t mask;
  std::uint64_t value;
};
inline constexpr std::uint64_t kEveryBit = std::numeric_limits<std::uint64_t>::max();

// One argument decides, and the same one in all rules of a call: of a rule with two,
// libseccomp 2.5.4 made a program that compared the second where it meant the first
// (tests/unit/confine).
struct Rule {
  const char* call;
  std::optional<Condition> condition = {};
};

std::span<const Rule> rules_of(Calls group);
std::vector<Rule> every_rule();
// Refused without being violations, in every program: the caller knows how to do without.
std::span<const char* const> answered_enosys();

// What forbid_new_code() looks at, and where each has its PROT_ flags.
inline constexpr std::array kMakesCode{"mmap", "mprotect", "pkey_mprotect"};
inline constexpr unsigned kProtectionArgument = 2;

}  // namespace hsm::confine
