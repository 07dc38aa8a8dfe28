// OpenSSH signs for officers: with agents, passphrases and security keys as they are used to it.
#pragma once

#include <string>

#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/sshsig.h"

namespace hsm::ctl {

// Runs ssh-keygen -Y sign with the key in that file (a public one where an agent has the other
// half) on a copy of `text` in a private directory; it asks on the terminal for what it needs.
// Gives the signature once it has verified here. Errors: usage (it failed, as it has said itself),
// verification_failed.
Result<officers::Signature> ssh_sign(const std::string& key_file, const std::string& text);

}  // namespace hsm::ctl
