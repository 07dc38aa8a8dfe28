// Officers' statements as verbs of admin.sock carry them: the one place that decides what becomes
// of one.
#pragma once

#include <string>

#include "hsm_signer/base/result.h"

namespace hsm::service {

// Until a verb demands one, a statement that is there is refused instead of ignored: who sends it
// believes that it counts.
inline Result<void> refuse_statement(const std::string& statement) {
  if (statement.empty()) return {};
  return fail(Code::denied, "officers' statements are not supported yet");
}

}  // namespace hsm::service
