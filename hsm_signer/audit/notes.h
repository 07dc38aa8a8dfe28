// Looks one checkpoint up in the log's file of them. Form only: open_note() verifies.
#pragma once

#include <cstdint>
#include <string>

#include "hsm_signer/base/result.h"

namespace hsm::audit {

// The last whole note. usage: the file cannot be read, or has none. verification_failed: a note
// before the last that is none.
Result<std::string> last_note(const std::string& directory);
// The last one over just so many records; empty where there is none.
Result<std::string> note_of_size(const std::string& directory, std::uint64_t size);

}  // namespace hsm::audit
