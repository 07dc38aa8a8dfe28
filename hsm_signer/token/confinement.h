// What supervisor and workers of hsm-tokend are confined to.
//
// A worker inherits what its supervisor gave up, through fork and exec. So the supervisor may do
// what a worker of its profile needs, and may besides start it; a worker then gives up the
// difference, and once its module is loaded, new code as well. It is a list of what is allowed all
// the same: a SoftHSM token's supervisor has no network to hand down.
#pragma once

#include "hsm_signer/confine/confine.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/dispatch.h"

namespace hsm::token {

// internal: the program's own file or its loader cannot be named.
Result<confine::Confinement> confinement_of_supervisor(const Config& config);
confine::Confinement confinement_of_worker(const Config& config, Role role);
confine::Violation violation_of(const Config& config);

}  // namespace hsm::token
