// Whether enough officers have signed one statement, and whether it was used before. Pure: the time
// is passed in, and what has to last is carried to durable state by who asks.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/allowed.h"
#include "hsm_signer/officers/verify.h"

namespace hsm::officers {

// How long a statement may count.
inline constexpr std::chrono::hours kLongestLife{24};

// What is asked for. Every field comes from configuration and from the statement itself, none from
// the signatures.
struct Demand {
  Sha256 text{};  // Of the statement.
  std::string group;
  std::uint32_t need = 0;   // Distinct officers of the group, at least 1.
  std::string requester{};  // The officer who asks for it, who never counts; empty for nobody.
  Clock::Wall expires{};    // As the statement says; at that instant it is over.
};

// The officers who count, by name and in the order of their file: at least `need`. Signatures that
// do not count (another text, nobody's key, no touch, another group, the requester's, a person's
// second) never spoil those that do. denied: expired; approval_required: too few, with who signed,
// who still can, and why each of the others does not count; internal: a demand for nobody.
Result<std::vector<std::string>> quorum(const AllowedOfficers& allowed,
                                        std::span<const Verified> signatures, const Demand& demand,
                                        Clock::Wall now);

// Which statements were used. One that has expired is refused anyway and forgotten, so the set
// holds what was used within the longest life of a statement.
class UsedStatements {
 public:
  struct Limits {
    std::size_t most = 4096;
    std::chrono::seconds longest_life{kLongestLife};
  };
  using Expiries = std::map<std::string, Clock::Wall, std::less<>>;

  explicit UsedStatements(Limits limits) : limits_{limits} {}
  UsedStatements() : UsedStatements(Limits{}) {}
  // As durable state has kept it. Never refuses for its size: what was used stays used.
  UsedStatements(Limits limits, Expiries used, Clock::Wall forgotten_until)
      : limits_{limits}, used_{std::move(used)}, forgotten_until_{forgotten_until} {}

  // The statement is used from now on, whatever becomes of it: make that durable, then act. denied:
  // used before, expired, or living longer than the limit; overloaded: the set is full;
  // invalid_payload: not an id, which is 1 to 64 of [A-Za-z0-9_-].
  Result<void> use(std::string_view id, Clock::Wall expires, Clock::Wall now);

  // What was stated has certainly not been done: it may be used again. Make that durable too.
  void give_back(std::string_view id);

  const Expiries& used() const { return used_; }
  // The latest expiry that was forgotten. What expires up to then is refused though the clock may
  // since have been set back.
  Clock::Wall forgotten_until() const { return forgotten_until_; }

 private:
  void forget_expired(Clock::Wall now);

  Limits limits_;
  Expiries used_;
  Clock::Wall forgotten_until_{};
};

}  // namespace hsm::officers
