// A worker process: loads the module, logs in, serves one connection, ends.
#pragma once

#include "hsm_signer/token/dispatch.h"

namespace hsm::token {

// main() of an exec'd worker. Inherits the descriptors of status.h; never returns to code that
// would run destructors of a PKCS#11 module.
[[noreturn]] void run_worker(Role role);

}  // namespace hsm::token
