#include "hsm_signer/policy/development.h"

namespace hsm::policy {

std::string development_policy(uid_t uid) {
  return R"(# The development policy: this user may use every sandbox key for everything its roles allow, and no
# production key. docs/policy.md says what else may stand here.
version = 1

[[client]]
name = "developer"
uid = ")" +
         std::to_string(uid) + R"("

[[rule]]
name = "developer uses every sandbox key"
client = "developer"
key = "env:sandbox"
allow = ["class:read", "class:cancel", "class:trade", "class:session", "class:move", "class:widen", "class:admin"]
open_counterparty = true
)";
}

}  // namespace hsm::policy
