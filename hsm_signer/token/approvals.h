// What the ceiling leaves to officers: whether enough of them have stated just what is about to be
// signed, here, and not before.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/bundle.h"
#include "hsm_signer/token/ceiling.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/spent.h"

namespace hsm::token {

// Nobody where no ceiling demands officers: their file is then not looked at. Errors: usage.
Result<officers::AllowedOfficers> load_officers(const Config& config, const Ceilings& ceilings);

class Approvals {
 public:
  // Whose statements count, and where they have to say that they do.
  struct Place {
    std::string host;
    std::string token;
    officers::AllowedOfficers officers;
  };

  // Takes nobody's word.
  Approvals() = default;
  Approvals(Place place, SpentStatements spent)
      : place_{std::move(place)}, spent_{std::move(spent)} {}
  // Reads officers and host name; `config.state_dir` exists. Errors: usage, state_unavailable.
  static Result<Approvals> open(const Config& config, const Ceilings& ceilings);

  // Whether `bundle` says all of `demanded` about this key, and enough officers with it.
  // approval_required: there is none, or too few have signed; denied: it is about something else,
  // or over; invalid_payload, too_large: it is no bundle.
  Result<officers::Stated> judge(const Demanded& demanded, const Ceiling& ceiling,
                                 std::string_view key_name, std::string_view bundle,
                                 Clock::Wall now) const;
  // Once for each statement, durably, right before the MAC and whatever becomes of that. denied:
  // it was spent before; state_unavailable.
  Result<void> spend(const officers::Statement& statement, Clock::Wall now);

 private:
  Place place_;
  std::optional<SpentStatements> spent_;
};

}  // namespace hsm::token
