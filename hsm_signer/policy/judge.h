// One rule asked about one request: every condition that it has, in a fixed order, the first that
// does not hold speaking.
#pragma once

#include <string>

#include "hsm_signer/policy/policy.h"

namespace hsm::policy {

struct Ask {
  const Client& client;
  const KeyFacts& key;
  const venue::Payload& payload;
  const Intent& intent;
};

// Nothing where all conditions of `rule` hold; `charge` is then what it takes out of the windows.
// approval_required comes last: officers are not asked for what would be refused anyway. With
// `why`, what stands behind "rule X …" in the sentence; without, no text is made.
std::optional<Objection> object(const Scene& scene, const Rule& rule, const Ask& ask,
                                Charge& charge, std::string* why);

}  // namespace hsm::policy
