// Files whose content opens the token.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::token {

// At most `limit` bytes of a regular file that belongs to root or to this process's user and that
// nobody else can read or write; its own group may read it. `is` names the file in errors, all of
// them usage: "PIN file".
Result<SecretBytes> read_private_file(const std::string& path, std::string_view is,
                                      std::size_t limit);

}  // namespace hsm::token
