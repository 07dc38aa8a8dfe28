// An API secret on its way into SecretBytes: from a terminal, a file or standard input, and from
// nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"

namespace hsm::ctl {

// Arguments that would carry a secret: every process may read them (proc(5), cmdline). usage; the
// value is never repeated.
Result<void> refuse_secret_arguments(const std::vector<std::string_view>& arguments);
// The same for the environment ("NAME=value", ended by null), which children inherit.
Result<void> refuse_secret_environment(const char* const* environment);

// From `file` ("-": standard input), or prompted twice without echo where `file` is empty; in
// canonical form. Locks this process down first: not dumpable, no core.
Result<SecretBytes> read_secret(const std::string& file);

// Asks twice on a terminal, not showing what is typed. Whatever ends it, a signal included, the
// terminal is as it was.
Result<SecretBytes> prompt_twice(int terminal);

}  // namespace hsm::ctl
