// The two key pairs of the token host itself: the audit key (EC P-256) that signs checkpoints, and
// the wrap key (RSA-3072) that secrets are encrypted to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/token/cryptoki.h"
#include "hsm_signer/token/profile.h"

namespace hsm::token {

struct ServiceKey {
  std::string_view label;
  std::uint16_t cka_id;
};
inline constexpr ServiceKey kAuditKey{"hsm-signer-audit", 0xff01};
inline constexpr ServiceKey kWrapKey{"hsm-signer-wrap", 0xff02};

// Generates what is missing; there already: fine. quarantined where a label stands twice.
Result<void> ensure_service_keys(const Session& session, const Profile& profile);
// The private half of the wrap key; token_unavailable where there is none.
Result<CK_OBJECT_HANDLE> find_wrap_key(const Session& session);

// Writes a public key for those who pin it. A file that holds another key is refused, never
// replaced: who wraps or verifies has been told to trust the old one.
Result<void> publish(const std::string& path, const std::string& pem);

}  // namespace hsm::token
