// Who a client is: user and group names and numbers of a policy file.
#pragma once

#include <optional>

#include "hsm_signer/base/toml.h"
#include "hsm_signer/policy/rules.h"

namespace hsm::policy {

// `table` is a [[client]]. Both refuse, with file:line:column: a name that nobody has, a number
// that is not spelled as the system would, and the overflow id.
Result<uid_t> read_uid(TomlTable& table, const Resolver& resolver);
Result<std::optional<gid_t>> read_gid(TomlTable& table, const Resolver& resolver);

}  // namespace hsm::policy
