// What of a request reaches a worker and what comes back of it: the same for a client's request and
// for one of a panic.
#pragma once

#include <string>

#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/keystore/registry.h"
#include "hsm_signer/keystore/token_pool.h"
#include "hsm_signer/policy/policy.h"
#include "hsm_signer/venue/payload.h"
#include "hsm_signer/wire/client.h"
#include "hsm_signer/wire/token.h"

namespace hsm::service {

struct Signing {
  std::string nonce;
  std::string payload_sha256;  // Hex, of the JSON text; empty before it is made.
  std::string base64;          // Of that text: what is signed, and X-GEMINI-PAYLOAD.

  // Appends the frame that asks for the MAC of `text`. `statements`: the officers' bundle, where
  // the key's ceiling wants one. Code: too_large.
  Result<void> write(const std::string& text, const keystore::KeyVersion& version,
                     std::string statements, keystore::JobId id, Bytes& out);
  // For the client; the record's sequence is not known yet.
  wire::Signed answer(const keystore::KeyVersion& version, const wire::MacAnswer& mac) const;
  // Makes of `entry` the record of this MAC.
  void allow(const wire::MacAnswer& mac, const wire::Signed& answer, audit::Record& entry) const;
};

// What the policy judges a key by.
policy::KeyFacts facts_of(const keystore::KeyVersion& version);

// Who asked what of which key, and how long ago.
audit::Record record_of(const Peer& who, const keystore::KeyVersion& version,
                        const venue::Endpoint& endpoint, Clock::Steady::duration waited);

}  // namespace hsm::service
