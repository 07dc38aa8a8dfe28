#include "hsm_signer/venue/endpoints.h"

#include <algorithm>
#include <array>

#include "hsm_signer/venue/endpoint_rows.h"
#include "hsm_signer/venue/path.h"

namespace hsm::venue {
namespace {

constexpr std::array<std::string_view, 7> kClassNames{"read",  "cancel", "trade",  "move",
                                                      "widen", "admin",  "session"};

}  // namespace

std::string_view name(Class c) { return kClassNames[static_cast<std::size_t>(c)]; }

bool class_from_name(std::string_view text, Class& out) {
  const auto found = std::find(kClassNames.begin(), kClassNames.end(), text);
  if (found == kClassNames.end()) return false;
  out = static_cast<Class>(found - kClassNames.begin());
  return true;
}

std::span<const Endpoint> endpoints() { return endpoint_rows(); }

bool Endpoint::requires_member(std::string_view name) const {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.required && member.name == name; });
}

const Endpoint* find_endpoint(std::string_view request) {
  const auto rows = endpoint_rows();
  // A row without parameters wins. A template never equals a request: '{' is in no parameter.
  const auto literal = std::find_if(rows.begin(), rows.end(), [&](const Endpoint& row) {
    return row.path == request && !has_parameters(row.path);
  });
  if (literal != rows.end()) return &*literal;
  const auto fits = [&](const Endpoint& row) {
    return has_parameters(row.path) && match_path(row.path, request);
  };
  const auto templated = std::find_if(rows.begin(), rows.end(), fits);
  return templated == rows.end() ? nullptr : &*templated;
}

}  // namespace hsm::venue
