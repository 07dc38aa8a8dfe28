// SHA-256, SHA-384 and HMAC-SHA384 of whole messages, over OpenSSL.
#pragma once

#include <array>

#include "hsm_signer/base/bytes.h"

namespace hsm {

using Sha256 = std::array<Byte, 32>;
using Sha384 = std::array<Byte, 48>;
// What Gemini calls the signature: HMAC-SHA384 over the base64 text of a payload.
using Mac = std::array<Byte, 48>;

Sha256 sha256(ByteView message);
// The hash of `a` followed by `b` followed by `c`.
Sha256 sha256(ByteView a, ByteView b, ByteView c = {});
Sha384 sha384(ByteView message);
// For keys that are in this process anyway: a secret about to be wrapped, a simulator's own.
Mac hmac_sha384(ByteView key, ByteView message);

}  // namespace hsm
