// Files in which the operator of the host says what may be done: policy.toml,
// ceilings.toml, allowed_officers.
#pragma once

#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm {

// Who may own such a file: root alone in production; in development this process's user too.
enum class FileOwner : bool { root, root_or_self };

// Of at most 1 MiB. Refuses one that others than its owner can write, and one that somebody else
// owns. Errors: usage, too_large.
Result<Bytes> read_operator_file(const std::string& path, FileOwner owner);

}  // namespace hsm
