// Asking who sits at the terminal.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::ctl {

// Only "yes" is yes. Without a terminal nobody can be asked, so --yes must say it. usage: no, with
// `otherwise`, a literal that says what has not happened.
Result<void> confirm(const std::string& question, std::string_view otherwise);

}  // namespace hsm::ctl
