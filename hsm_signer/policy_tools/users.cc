#include "hsm_signer/policy_tools/users.h"

#include <map>
#include <memory>

namespace hsm::policy {
namespace {

// Above what useradd(8), systemd and user namespaces give away, and below what means "nobody".
constexpr std::uint32_t kFirst = 4'200'000'000;

template <class Id>
std::function<std::optional<Id>(const std::string&)> or_made_up(
    std::function<std::optional<Id>(const std::string&)> known) {
  const auto given = std::make_shared<std::map<std::string, Id>>();
  return [known = std::move(known), given](const std::string& name) {
    if (const std::optional<Id> id = known(name)) return id;
    const auto next = static_cast<Id>(kFirst + given->size());
    return std::optional{given->try_emplace(name, next).first->second};
  };
}

}  // namespace

Resolver any_users(Resolver known) {
  return {.user = or_made_up<uid_t>(std::move(known.user)),
          .group = or_made_up<gid_t>(std::move(known.group))};
}

Resolver any_users() {
  const auto nobody = [](const std::string&) { return std::nullopt; };
  return any_users({.user = nobody, .group = nobody});
}

}  // namespace hsm::policy
