// What a fault module is told to do, as text: one rule a line, '#' begins a comment.
//
//   [rank K] CALL TRIGGER EFFECT      CALL: one of HSM_FAULT_HOOKED, or * for each of them
//   limit sessions N                  C_OpenSession fails with CKR_SESSION_COUNT beyond N
//   limit idle MS                     all sessions die when no call came for so long
//   withhold LABEL                    the object with this CKA_LABEL has none that can be read
//   seed N                            of the random triggers; each process has its own without it
//
//   TRIGGER: at N       the N-th such call since the rules were read, from 1
//            from N     that and every later one
//            one-in N   each with probability 1/N
//   EFFECT:  rv CKR_X            returned; the module behind is not asked
//            delay MIN MAX       microseconds, uniformly
//            hang                for ever
//            segv, abort, exit   the process
//            scribble N          N random places of the heap are overwritten
//            short               C_Sign (no other call) gives 47 bytes
//            flip                C_Sign gives a MAC with a wrong bit
//            overrun N           C_Sign writes N bytes behind the MAC, and says 48
//            logout              C_Logout first
//            remove MS           CKR_DEVICE_REMOVED for so long, from this process on
//
// Processes that load the module take the lowest free rank, from 0; `rank K` keeps a rule for one.
//
// That a line struck stands in CONTROL.struck (struck.h): a fault that never was proves nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

// The calls that the module stands before; a rule for any other is refused, for it would never
// strike.
#define HSM_FAULT_HOOKED(HOOK) \
  HOOK(C_Initialize)           \
  HOOK(C_GetSlotList)          \
  HOOK(C_GetSlotInfo)          \
  HOOK(C_GetTokenInfo)         \
  HOOK(C_OpenSession)          \
  HOOK(C_CloseSession)         \
  HOOK(C_Login)                \
  HOOK(C_Logout)               \
  HOOK(C_CreateObject)         \
  HOOK(C_DestroyObject)        \
  HOOK(C_GetAttributeValue)    \
  HOOK(C_FindObjectsInit)      \
  HOOK(C_FindObjects)          \
  HOOK(C_FindObjectsFinal)     \
  HOOK(C_SignInit)             \
  HOOK(C_Sign)                 \
  HOOK(C_UnwrapKey)            \
  HOOK(C_GenerateKeyPair)

namespace hsm::test::fault {

struct Rule {
  enum class Trigger { at, from, one_in };
  enum class Effect {
    rv,
    delay,
    hang,
    segv,
    abort,
    exit,
    scribble,
    short_mac,
    flip,
    overrun,
    logout,
    remove
  };
  std::string text;  // As written, with one blank between its words.
  std::optional<std::uint64_t> rank;
  std::string call;
  Trigger trigger = Trigger::at;
  std::uint64_t n = 0;
  Effect effect = Effect::rv;
  std::uint64_t first = 0;   // CK_RV, MIN, N or MS.
  std::uint64_t second = 0;  // MAX.
};

// What only C_Sign can suffer, when the module behind has been asked.
bool spoils_a_mac(Rule::Effect effect);

struct Plan {
  std::vector<Rule> rules;
  std::optional<std::uint64_t> sessions;
  std::optional<std::uint64_t> idle_ms;
  std::string withheld;
  std::uint64_t seed = 0;  // 0: the process chooses.

  // How these lines stand in CONTROL.struck.
  std::string sessions_text() const { return "limit sessions " + std::to_string(*sessions); }
  std::string idle_text() const { return "limit idle " + std::to_string(*idle_ms); }
  std::string withheld_text() const { return "withhold " + withheld; }

  // The plan, or a sentence with the line that is wrong.
  struct Parsed;
  static Parsed parse(std::string_view text);
};
struct Plan::Parsed {
  Plan plan;
  std::string error;  // Empty when the plan is good.
};

// Counts calls and says which rules strike.
class Triggers {
 public:
  Triggers(Plan plan, std::uint64_t rank)
      : plan_{std::move(plan)}, rank_{rank}, random_{plan_.seed * 1'000 + rank} {}

  const Plan& plan() const { return plan_; }
  // Called once for each call; the rules that strike, in their order.
  std::vector<const Rule*> due(std::string_view call);
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>{least, most}(random_);
  }

 private:
  Plan plan_;
  std::uint64_t rank_;
  std::mt19937_64 random_;
  std::map<std::string, std::uint64_t, std::less<>> calls_;
  std::uint64_t all_calls_ = 0;
};

}  // namespace hsm::test::fault
