// The policy that `hsm-signerctl init` writes for a development directory.
#pragma once

#include <sys/types.h>

#include <string>

namespace hsm::policy {

// One client, "developer", with this uid: every sandbox key, every endpoint that the key's roles
// allow, no production key, no ws-login.
std::string development_policy(uid_t uid);

}  // namespace hsm::policy
