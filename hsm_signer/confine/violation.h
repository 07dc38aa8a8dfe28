// What a loud violation says: a handler for the SIGSYS of SECCOMP_RET_TRAP.
#pragma once

#include <span>

#include "hsm_signer/base/result.h"
#include "hsm_signer/confine/confine.h"

namespace hsm::confine {

// Before the filter is loaded. The trapped call fails with EPERM; its name, and the argument by
// which it is judged, go into the log the first time.
Result<void> install_loud_handler();

}  // namespace hsm::confine
