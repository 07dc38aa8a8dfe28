// A seccomp filter from the tables, by libseccomp.
#pragma once

#include <span>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/confine/confine.h"

namespace hsm::confine {

// Allows what the groups name. internal: the kernel or libseccomp will not have it.
Result<void> load_allow_list(std::span<const Calls> groups, Violation violation);
// The program that the kernel would get from it (struct sock_filter, seccomp(2)), for who checks
// what libseccomp makes of the tables.
Result<Bytes> compiled_allow_list(std::span<const Calls> groups, Violation violation);
// Allows everything but new executable memory; goes on top of the other.
Result<void> load_no_new_code(Violation violation);

}  // namespace hsm::confine
