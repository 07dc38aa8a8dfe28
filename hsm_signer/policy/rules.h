// policy.toml as the signer holds it: strict to read, indexed by caller, never changed after
// loading (docs/policy.md).
#pragma once

#include <sys/types.h>

#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/base/terms.h"
#include "hsm_signer/policy/conditions.h"
#include "hsm_signer/policy/markets.h"
#include "hsm_signer/venue/endpoints.h"

namespace hsm::policy {

// The uid and gid that the kernel shows for what it cannot name (overflowuid, user_namespaces(7)):
// nobody in particular.
inline constexpr uid_t kOverflowUid = 65534;
inline constexpr gid_t kOverflowGid = 65534;

// Names of users and groups to numbers; nullopt: there is no such name.
struct Resolver {
  std::function<std::optional<uid_t>(const std::string&)> user;
  std::function<std::optional<gid_t>(const std::string&)> group;
  // Stands behind "there is no user NAME"; may be empty.
  std::function<std::string()> remark{};
};
// getpwnam_r(3) and getgrnam_r(3): whatever nsswitch.conf(5) names is asked.
Resolver system_resolver();
// The files alone, which stand in for /etc/passwd and /etc/group in tests; read when the first name
// is looked up. For a process that has given up what another source of names would need.
Resolver files_resolver(std::string passwd = "/etc/passwd", std::string group = "/etc/group");

// Rows of venue::endpoints(), by index.
inline constexpr std::size_t kEndpointLimit = 256;
using EndpointSet = std::bitset<kEndpointLimit>;
std::size_t endpoint_index(const venue::Endpoint& endpoint);

// key = "desk-a.trade", "env:sandbox" or "env:production".
struct KeySelector {
  KeyName name;  // Empty where an environment is meant.
  Environment environment = Environment::sandbox;

  bool covers(std::string_view key_name, Environment key_environment) const {
    return name.value.empty() ? environment == key_environment : name.value == key_name;
  }
};

struct Rule {
  std::string name;
  std::uint32_t client = 0;  // Index into Rules::clients().
  KeySelector key;
  EndpointSet allow;
  EndpointSet deny;
  std::optional<Durability> durability;
  Conditions conditions;
  Facts needed = 0;                               // conditions.needed()
  std::uint64_t symbol_bits = ~std::uint64_t{0};  // asset_bit() of each of its symbols; all: any.
  std::string where;                              // "policy.toml:12:1"
};

struct Client {
  ClientName name;
  uid_t uid = kOverflowUid;
  std::optional<gid_t> gid;
  bool push_reference = false;  // May say what a market is worth.
  bool push_skew = false;       // May say what the exchange's clock shows.
  std::string officer;          // Who is behind it and never counts for it; empty: nobody said.
  std::vector<std::uint32_t> rules;  // Indices into Rules::rules(), in file order.
};

class Rules {
 public:
  // Errors are Code::usage and begin with file:line:column. Rule types that are not built are
  // refused by name.
  static Result<Rules> load(const std::string& path, const Resolver& resolver);
  // `file` stands for the file in errors.
  static Result<Rules> parse(std::string_view text, std::string file, const Resolver& resolver);

  const std::vector<Client>& clients() const { return clients_; }
  const std::vector<Rule>& rules() const { return rules_; }
  const Markets& markets() const { return markets_; }
  // Rises with each version of a policy that officers sign; 0 where the file has none.
  std::uint64_t serial() const { return serial_; }
  // The client of a uid (and gid, where the client names one), or null.
  const Client* client_of(uid_t uid, gid_t gid) const;

 private:
  friend class Loader;
  Rules() = default;

  std::vector<Client> clients_;
  std::vector<Rule> rules_;
  Markets markets_;
  std::uint64_t serial_ = 0;
  std::unordered_map<uid_t, std::uint32_t> by_uid_;
};

}  // namespace hsm::policy
