// Which program this process runs, for the audit log.
#pragma once

#include "hsm_signer/base/bytes.h"

namespace hsm {

// SHA-256 of /proc/self/exe; empty where it cannot be read. Takes milliseconds: once, at the start,
// and before this process may read no more.
Bytes own_binary_sha256();

}  // namespace hsm
