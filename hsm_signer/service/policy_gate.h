// Which policy may come into force: where signer.toml names officers, one that they have stated, by
// the signer.toml and the officers' file that this run began with.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/policy/policy.h"
#include "hsm_signer/service/officers_desk.h"

namespace hsm::service {

// A policy's file as it was read.
struct PolicyFile {
  std::string path;
  std::shared_ptr<const policy::Rules> rules;
  std::string sha256;

  // Hashed and parsed from the same bytes. Only its owner, root or this process's user, may write
  // it: else a client could give itself what it wants at the next reload. Errors: those of
  // read_operator_file(); usage, with file:line:column.
  static Result<PolicyFile> load(const std::string& path, const policy::Resolver& resolver);
};

// The one note, of this kind and name: "SHA256 SERIAL".
inline constexpr const char* kPolicyNotes = "policy";
inline constexpr const char* kAcceptedNote = "accepted";

class PolicyGate {
 public:
  // What officers let in last.
  struct Accepted {
    std::string sha256;
    std::uint64_t serial = 0;
  };
  // On whose word; empty where none was needed.
  struct Passed {
    std::string statement;  // Its id.
    std::string officers;   // Joined by commas.
  };
  using Reply = std::function<void(Result<Passed>)>;

  // From the notes of kPolicyNotes; state_unavailable where they are damaged.
  static Result<std::optional<Accepted>> restore(const std::vector<state::Note>& notes);

  PolicyGate(state::State& state, OfficersDesk& officers, std::optional<Accepted> accepted)
      : state_{state}, officers_{officers}, accepted_{std::move(accepted)} {}

  // Whether `file` may come into force; `reply` runs once, with the acceptance durable. `bundle`:
  // the officers' statement; empty: that of the file beside it, named as it and ".statement". The
  // policy accepted last passes again without one. approval_required: there is no statement;
  // denied: a serial that does not rise; else the errors of OfficersDesk::administer(), which
  // records the use of the statement by `who`.
  void pass(const Peer& who, const PolicyFile& file, const std::string& bundle, Reply reply);

 private:
  Result<std::string> bundle_for(const PolicyFile& file, const std::string& given) const;
  void keep(const PolicyFile& file, const officers::Stated& stated, const Reply& reply);

  state::State& state_;
  OfficersDesk& officers_;
  std::optional<Accepted> accepted_;
};

}  // namespace hsm::service
