// Switches that an administrator throws over all rules, and leases that lapse when nobody renews
// them (docs/incidents.md). Pure: times are passed in, who keeps them durable carries the texts.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::policy {

// cancel_only: classes cancel, read and session. frozen: nothing at all. The stricter is greater.
enum class Switch : std::uint8_t { cancel_only, frozen };
inline constexpr std::array kSwitches{Spelling<Switch>{Switch::cancel_only, "cancel_only"},
                                      Spelling<Switch>{Switch::frozen, "frozen"}};
constexpr std::string_view name(Switch value) { return spelled(kSwitches, value); }

// Whom a switch or a lease is for.
struct Subject {
  enum class Kind : std::uint8_t { client, key, all };
  Kind kind = Kind::all;
  std::string name;  // Empty for all.

  // Code::usage for a kind that is none of "client", "key", "all", or a name that cannot be one.
  static Result<Subject> make(std::string_view kind, std::string_view name);
  // "client:mm-bot", "key:desk-a.trade", "all"; and back.
  std::string text() const;
  static Result<Subject> parse(std::string_view text);
  auto operator<=>(const Subject&) const = default;
};

// An administrator's words, which reach clients, logs and terminals: printable ASCII.
inline constexpr std::size_t kReasonLimit = 200;
bool is_reason(std::string_view text);

struct Thrown {
  Switch what = Switch::frozen;
  Clock::Wall since{};  // Whole microseconds.
  uid_t uid = 0;        // Of who threw it.
  std::string reason;   // is_reason(), may be empty.

  // "frozen 2026-11-25T19:00:00.000000Z 0 fat finger"; and back: state_unavailable for any other
  // spelling.
  std::string to_text() const;
  static Result<Thrown> parse(std::string_view text);
  bool operator==(const Thrown&) const = default;
};

// In force until its end; then its subject only cancels, until it is granted anew or ended.
struct Lease {
  Clock::Wall granted{};  // Both in whole microseconds.
  Clock::Wall until{};
  uid_t uid = 0;

  // "2026-11-25T19:00:00.000000Z 2026-11-25T19:10:00.000000Z 0"; and back.
  std::string to_text() const;
  static Result<Lease> parse(std::string_view text);
  bool operator==(const Lease&) const = default;
};
inline constexpr std::chrono::seconds kShortestLease{1};
inline constexpr std::chrono::hours kLongestLease{7 * 24};

class Switches {
 public:
  // Both clocks at the same moment; the second goes on while the machine sleeps
  // (Clock::awake_or_not).
  struct Now {
    Clock::Wall wall;
    Clock::Steady awake_or_not;
  };
  struct Refusal {
    Code code;             // frozen or cancel_only
    std::string sentence;  // Whom it is for, and the administrator's reason.
  };
  struct Row {
    Subject subject;
    std::optional<Thrown> thrown;
    std::optional<Lease> lease;
    bool lapsed = false;  // The lease, now.
  };

  // Replaces what this subject had. Refused (denied): cancel_only over frozen, which would loosen.
  Result<void> set(const Subject& subject, Thrown thrown);
  void lift(const Subject& subject);
  // Counts from `now` by the clock that nobody sets: never longer than `until` − `granted` in all,
  // and no longer than until the wall clock says `until`. Given again after a restart it has only
  // the wall clock of that moment to go by.
  void grant(const Subject& subject, const Lease& lease, Now now);
  void end_lease(const Subject& subject);

  // Why this request is not to be signed. Of all that fit (client, key, all) the strictest speaks:
  // frozen, then a lapsed lease (only class cancel passes: a heartbeat or a read would keep stale
  // orders alive at the exchange), then cancel_only.
  std::optional<Refusal> check(std::string_view client, std::string_view key, venue::Class cls,
                               Now now) const;

  // What is set for exactly this subject.
  std::optional<Row> of(const Subject& subject, Now now) const;
  // Everything that is set: clients, then keys, each by name, then all.
  std::vector<Row> rows(Now now) const;

 private:
  struct Entry {
    std::optional<Thrown> thrown;
    std::optional<Lease> lease;
    Clock::Steady lapses{};
  };
  using ByName = std::map<std::string, Entry, std::less<>>;

  static bool lapsed(const Entry& entry, Now now);
  static Row row(const Subject& subject, const Entry& entry, Now now);
  ByName& of(Subject::Kind kind) { return entries_[static_cast<std::size_t>(kind)]; }
  const ByName& of(Subject::Kind kind) const { return entries_[static_cast<std::size_t>(kind)]; }
  void forget_if_empty(const Subject& subject);

  std::array<ByName, 3> entries_;  // By kind; the one of "all" is under "".
};

}  // namespace hsm::policy
