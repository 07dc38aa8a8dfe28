// Files in which the operator of the host says what may be done: ceilings.toml, allowed_officers.
#pragma once

#include <cstdint>
#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::token {

enum class Mode : std::uint8_t { production, development };

// Of at most 1 MiB. Refuses one that others than its owner can write, and in production one that
// root does not own; in development this process's user may. Errors: usage, too_large.
Result<Bytes> read_operator_file(const std::string& path, Mode mode);

}  // namespace hsm::token
