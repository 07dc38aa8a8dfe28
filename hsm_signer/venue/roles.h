// How roles of an API key are spelled: in --roles, in answers, in refusals.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "hsm_signer/venue/endpoints.h"

namespace hsm::venue {

inline constexpr std::array<std::pair<Roles, std::string_view>, 4> kRoleNames{
    {{kTrader, "trader"},
     {kFundManager, "fund_manager"},
     {kAuditor, "auditor"},
     {kAdministrator, "administrator"}}};

// "trader,fund_manager", in the order above; empty for no role.
inline std::string roles_text(Roles roles) {
  std::string text;
  for (const auto& [role, spelling] : kRoleNames) {
    if ((roles & role) == 0) continue;
    if (!text.empty()) text += ',';
    text += spelling;
  }
  return text;
}

}  // namespace hsm::venue
