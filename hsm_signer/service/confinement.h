// What hsm-signerd is confined to.
#pragma once

#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/confine/confine.h"

namespace hsm::service {

// Unix sockets, its state, its log, and no code or program but its own. Its configuration and
// policy have been read by then and are not among the files. The directories should exist by then.
confine::Confinement confinement_of(const SignerConfig& config);

}  // namespace hsm::service
