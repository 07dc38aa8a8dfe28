// The one table of what may be called, by whom, and who answers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/sim/call.h"

namespace hsm::sim {

// What an endpoint is about, where a master key has to say which account it means.
enum class About : std::uint8_t {
  key,               // The key itself.
  account,           // One account: of the key, or the one that a master key names.
  account_or_group,  // The same; a master key that names none means the group.
  group,             // All accounts: master keys only.
};

// What is limited further than the rest, for each account by itself.
enum class Slow : std::uint8_t { no, addresses, transfers };

struct Endpoint {
  std::string_view path;  // {variables} stand for one part each.
  Roles roles;            // Any one of these; 0: every key.
  About about;
  Answer answer;
  Slow slow = Slow::no;
};

std::span<const Endpoint> endpoints();

struct Found {
  const Endpoint* endpoint;
  std::vector<std::string> variables;
};
// By the path alone; all are called by POST.
std::optional<Found> find_endpoint(std::string_view path);

// The values of `pattern`'s variables in `path`; none where it does not match. A variable takes one
// part between slashes, not an empty one.
std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path);

}  // namespace hsm::sim
