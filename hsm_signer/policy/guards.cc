#include "hsm_signer/policy/guards.h"

#include <algorithm>

#include "hsm_signer/venue/roles.h"

namespace hsm::policy {
namespace {

// A member name is the client's text: only what cannot disturb a log or a terminal is repeated.
std::string tame(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string out{text.substr(0, kMost)};
  std::replace_if(
      out.begin(), out.end(),
      [](char c) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return !plain && c != '_' && c != '-' && c != '.';
      },
      '?');
  return out;
}

// An unknown member of a read or a cancel can change what is shown or cancelled; of the others it
// can change what is given away.
bool unknown_members_matter(venue::Class cls) {
  switch (cls) {
    case venue::Class::read:
    case venue::Class::cancel:
    case venue::Class::session:
      return false;
    case venue::Class::trade:
    case venue::Class::move:
    case venue::Class::widen:
    case venue::Class::admin:
      return true;
  }
  return true;
}

}  // namespace

bool roles_suffice(const KeyFacts& key, const venue::Endpoint& endpoint) {
  return endpoint.roles == venue::kAnyRole || (endpoint.roles & key.roles) != 0;
}

bool scope_suffices(const KeyFacts& key, const venue::Endpoint& endpoint) {
  return !endpoint.master || key.scope == Scope::master;
}

std::string check_roles(const KeyFacts& key, const venue::Payload& payload) {
  const venue::Endpoint& endpoint = payload.endpoint();
  if (roles_suffice(key, endpoint)) return {};
  const std::string has = venue::roles_text(key.roles);
  return std::string{endpoint.path} + " needs one of the roles " +
         venue::roles_text(endpoint.roles) + "; the key has " + (has.empty() ? "none" : has);
}

std::string check_scope(const KeyFacts& key, const venue::Payload& payload) {
  if (scope_suffices(key, payload.endpoint())) return {};
  return std::string{payload.endpoint().path} +
         " needs a master-scoped key; this one is account-scoped";
}

std::string check_members(const KeyFacts&, const venue::Payload& payload) {
  if (!unknown_members_matter(payload.endpoint().cls) || payload.unknown_member().empty())
    return {};
  return std::string{payload.endpoint().path} + " does not know the member \"" +
         tame(payload.unknown_member()) + "\"";
}

}  // namespace hsm::policy
