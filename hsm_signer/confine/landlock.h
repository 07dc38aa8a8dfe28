// Landlock by its system calls; glibc has no wrappers (landlock(7)).
#pragma once

#include "hsm_signer/confine/confine.h"

namespace hsm::confine {

// The kernel's ABI version, from 1; 0 where it has no Landlock, with errno saying why.
int landlock_abi();

// As far as `abi` goes: 1 files, 2 moving between directories, 3 truncation, 4 TCP, 5 ioctl(2) on
// devices, 6 signals to others and abstract sockets. internal: the kernel refuses.
Result<void> restrict_self(const Confinement& confinement, int abi);

}  // namespace hsm::confine
