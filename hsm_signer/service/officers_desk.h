// Where hsm-signerd hears officers: a signed statement comes in, is compared with what is about to
// be done, and counts once (docs/statements.md). Everything dangerous goes through here.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/officers/bundle.h"
#include "hsm_signer/officers/quorum.h"
#include "hsm_signer/service/ledger.h"
#include "hsm_signer/state/state.h"

namespace hsm::service {

// "2 distinct officers of group "ops"".
std::string people(const officers::Need& need);
// As a record names officers: "alice,bob".
std::string joined(const std::vector<std::string>& names);

class OfficersDesk {
 public:
  struct Parts {
    const Clock& clock;
    state::State& state;
    Ledger& ledger;
  };
  // Whose statements count, where they have to say that they do, and how many of whom
  // administration needs.
  struct Place {
    std::string host;
    officers::AllowedOfficers officers;
    officers::Need administration;
  };
  // Nobody where signer.toml has no [officers]. Reads the file and the host's name. Errors: usage.
  static Result<std::optional<Place>> place_of(const SignerConfig& config);

  // What was used before this start: as the state has noted it (those of kNotes, those of
  // kForgotten), and as the audit log has it, since a state that was restored from a backup knows
  // less. A note that is damaged is state_unavailable.
  class Used {
   public:
    // Called with each record of the log, in order.
    void replay(const audit::Record& record);
    // Whether it is needed at `now`, since a statement that it says was used has not expired.
    static bool may_count(const audit::Record& record, Clock::Wall now);
    Result<void> read(const std::vector<state::Note>& used,
                      const std::vector<state::Note>& forgotten, Clock::Wall now);

   private:
    friend class OfficersDesk;
    struct Use {
      Clock::Wall expires;
      std::string sha256;  // Of the text.
    };
    std::map<std::string, Use, std::less<>> used_;
    Clock::Wall forgotten_until_{};
  };
  static constexpr std::string_view kNotes = "statement";
  static constexpr std::string_view kForgotten = "statements-forgotten";

  OfficersDesk(Parts parts, std::optional<Place> place, Used used);

  bool on() const { return place_.has_value(); }
  // On: "administration needs 2 officers of group \"officers\""; off: that it needs none.
  std::string posture() const;
  // Only where on().
  const Place& place() const { return *place_; }

  // Nothing where the desk is off and no statement was given.
  using Stated = std::optional<officers::Stated>;
  using Done = std::function<void(Result<Stated>)>;
  enum class Times : bool {
    once,
    // For an act of several steps: the very same text counts again until it expires.
    each_step,
  };
  // An administrative act: where officers are configured, enough of them have to state `expected`
  // (what that leaves empty is theirs to say; host is filled here). `done` runs once, maybe before
  // this returns; with a Stated the statement's use is durable and recorded, whatever becomes of
  // the act. Errors: approval_required, that says which statement is missing or who has to sign it;
  // denied (another statement, used before, over; given where nobody would look at it);
  // invalid_payload, too_large; overloaded; state_unavailable.
  void administer(const Peer& who, const std::string& bundle, officers::Statement expected,
                  Done done, Times times = Times::once);

  // The two halves of it, for who has a need of their own. judge() changes nothing.
  Result<officers::Stated> judge(const std::string& bundle, officers::Statement expected,
                                 const officers::Need& need) const;
  void use(const Peer& who, officers::Stated stated, Done done, Times times = Times::once);
  // What was stated has certainly not been done, nor begun: its id may be used again. Runs `done`
  // when that is durable.
  void give_back(const Peer& who, const std::string& id, std::function<void(Result<void>)> done);
  bool is_used(std::string_view id) const { return used_.used().contains(id); }

 private:
  Result<void> count(const officers::Statement& statement, const std::string& sha256, Times times,
                     bool& already);
  void record(const Peer& who, const officers::Stated& stated, const std::string& sha256);

  Parts parts_;
  std::optional<Place> place_;
  officers::UsedStatements used_;
  std::map<std::string, std::string, std::less<>> texts_;  // SHA-256 of each used one's, by id.
};

}  // namespace hsm::service
