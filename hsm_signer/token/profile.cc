#include "hsm_signer/token/profile.h"

#include <string>

namespace hsm::token {
namespace {

using namespace std::chrono_literals;

constexpr CK_KEY_TYPE kHmac = CKK_SHA384_HMAC;
constexpr CK_KEY_TYPE kGeneric = CKK_GENERIC_SECRET;
constexpr std::uint32_t kPayload = 8 * 1024;

// Measured: SoftHSM does all its work under this filter.
constexpr Needs kNothing{.network = false, .hardware = false, .new_code = false};

// SoftHSM: two processes sign at 2.0 times one, two threads at 0.6 to 1.35 times; hence workers. A
// YubiHSM serves one command at a time and its sessions outlive a killed process by 30 s.
// openCryptoki takes GENERIC_SECRET only and lets an unwrapped key be read; NSS ignores the unwrap
// template.
constexpr std::array kProfiles{
    Profile{"softhsm", true, {kHmac, kGeneric}, 2, 64, 32, kPayload, true, 5s, 0s, kNothing},
    Profile{"generic", true, {kHmac, kGeneric}, 1, 64, 4, kPayload, false, 10s, 1s},
    Profile{"yubihsm", false, {kHmac, kHmac}, 1, 1, 1, 3'000, false, 10s, 31s},
    Profile{"tpm2", false, {kHmac, kHmac}, 1, 1, 1, kPayload, false, 10s, 1s},
    Profile{"nss", false, {kHmac, kGeneric}, 2, 16, 8, kPayload, false, 5s, 0s},
    Profile{"opencryptoki", false, {kGeneric, kGeneric}, 2, 16, 32, kPayload, false, 5s, 0s},
};

}  // namespace

Result<const Profile*> find_profile(std::string_view name) {
  for (const Profile& profile : kProfiles) {
    if (profile.name != name) continue;
    if (!profile.supported)
      return fail(Code::usage, "this token profile is not supported yet", std::string{name});
    return &profile;
  }
  return fail(Code::usage, "unknown token profile", "softhsm and generic are supported");
}

}  // namespace hsm::token
