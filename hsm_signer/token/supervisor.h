// The supervisor of one token: binds the sockets, starts and replaces workers, and never maps a
// module.
#pragma once

#include "hsm_signer/base/result.h"
#include "hsm_signer/token/config.h"

namespace hsm::token {

// Runs until SIGTERM or SIGINT. usage: another supervisor runs on the same state directory, or a
// socket cannot be bound. A token that is not there is no error: workers are tried again, and who
// connects is told.
Result<void> supervise(const Config& config);

// What --check does: locks this process down and judges everything that needs no token.
Result<void> check(const Config& config);

}  // namespace hsm::token
