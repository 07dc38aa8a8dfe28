// Who has the PIN and wants a key out of the token: C_WrapKey under keys of his own.
#pragma once

#include <optional>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "tests/support/raw_session.h"

namespace hsm::test {

// The value of `key`, where the token gives it away: under an AES key or an RSA key that he brings,
// or an AES key that the token makes for him (then what comes out is still wrapped). Each way is
// tried on an extractable key first. An error where it works with none: then a refusal would say
// nothing of this key.
Result<std::optional<Bytes>> wrapped_out(const RawSession& raw, CK_OBJECT_HANDLE key);

}  // namespace hsm::test
