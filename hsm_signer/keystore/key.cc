#include "hsm_signer/keystore/key.h"

#include <algorithm>

#include "hsm_signer/venue/roles.h"

namespace hsm::keystore {

Result<venue::Roles> roles_from_text(std::string_view text) {
  venue::Roles roles = 0;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    at = end + 1;
    const auto* known = std::find_if(venue::kRoleNames.begin(), venue::kRoleNames.end(),
                                     [&](const auto& row) { return row.second == word; });
    if (known == venue::kRoleNames.end())
      return fail(Code::usage, "unknown role",
                  "use trader, fund_manager, auditor, administrator, with commas between");
    if ((roles & known->first) != 0)
      return fail(Code::usage, "a role is named twice", std::string{known->second});
    roles = static_cast<venue::Roles>(roles | known->first);
  }
  if ((roles & venue::kAuditor) != 0 && roles != venue::kAuditor)
    return fail(Code::usage, "the exchange has no key that is an auditor and something else");
  return roles;
}

std::string roles_text(venue::Roles roles) { return venue::roles_text(roles); }

}  // namespace hsm::keystore
