// A statement as an officer reads it before signing.
#pragma once

#include <string>

#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/statement.h"

namespace hsm::ctl {

// What would be done, with which key, for whom and until when; every member of a request as it
// will be signed. Printable ASCII, as the statement is. invalid_payload: its payload is no request
// that the signer would read.
Result<std::string> in_words(const officers::Statement& statement);

}  // namespace hsm::ctl
