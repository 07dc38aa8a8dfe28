// What helps after a CK_RV (tokens differ; the profile has the exceptions).
#pragma once

#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <span>

namespace hsm::token {

enum class Remedy : std::uint8_t {
  none,          // The request's own fault, or nothing to be done here.
  retry,         // The same handle, once more: an HMAC twice is the same HMAC.
  find_again,    // The handle died: another process deleted or re-made the object, or a logout came
                 // between. Is it gone from the token, the search says so.
  wait,          // The device is away and the module takes it up again by itself.
  log_in_again,  // Session or login is lost: a fresh process, after a goodbye to the token.
  re_initialise,  // Module or device is lost: a fresh process; to say goodbye would only hang.
};

struct RemedyRule {
  CK_RV rv;
  Remedy remedy;
};

// `exceptions` of the token's profile come before the table that holds for every token.
Remedy remedy(std::span<const RemedyRule> exceptions, CK_RV rv);

// Only a fresh process mends it.
constexpr bool ends_the_worker(Remedy remedy) {
  return remedy == Remedy::log_in_again || remedy == Remedy::re_initialise;
}

}  // namespace hsm::token
