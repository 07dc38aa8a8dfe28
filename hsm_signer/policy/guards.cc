#include "hsm_signer/policy/guards.h"

#include "hsm_signer/venue/roles.h"

namespace hsm::policy {
namespace {

// What belongs to the whole group, or to the key itself, names no account.
bool names_an_account(const venue::Endpoint& endpoint) {
  switch (endpoint.cls) {
    case venue::Class::admin:
    case venue::Class::session:
      return false;
    case venue::Class::read:
      return !endpoint.master && endpoint.roles != venue::kAnyRole;
    case venue::Class::cancel:
    case venue::Class::trade:
    case venue::Class::move:
    case venue::Class::widen:
      return !endpoint.master;
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

std::string check_account(const KeyFacts& key, const venue::Payload& payload) {
  if (key.scope != Scope::master || !names_an_account(payload.endpoint())) return {};
  const std::optional<venue::Value> account = payload.member("account");
  if (account && account->kind == venue::Kind::string && !account->text.empty()) return {};
  return std::string{payload.endpoint().path} +
         " with a master-scoped key needs the member \"account\"";
}

}  // namespace hsm::policy
