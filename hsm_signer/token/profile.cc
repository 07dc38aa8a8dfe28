#include "hsm_signer/token/profile.h"

#include <array>
#include <string>

namespace hsm::token {
namespace {

using namespace std::chrono_literals;

constexpr std::array<CK_KEY_TYPE, 2> kHmacOrGeneric{CKK_SHA384_HMAC, CKK_GENERIC_SECRET};
constexpr std::array<CK_KEY_TYPE, 1> kHmacOnly{CKK_SHA384_HMAC};
constexpr std::array<CK_KEY_TYPE, 1> kGenericOnly{CKK_GENERIC_SECRET};

// The connector was away: the module says this on each call and works again once it is back. A
// fresh process would wait for the lost one's device session, half a minute.
constexpr std::array kYubiHsm{
    RemedyRule{CKR_DEVICE_REMOVED, Remedy::wait},
    // Without a device session left; they expire by themselves.
    RemedyRule{CKR_SESSION_COUNT, Remedy::wait},
};
// NSS for a handle from before a logout (it means the length of a key elsewhere).
constexpr std::array kNss{RemedyRule{CKR_KEY_SIZE_RANGE, Remedy::log_in_again}};

constexpr std::string_view kNssUnfit =
    "NSS gives the secret of a non-extractable key away through C_WrapKey, and replaces a key by "
    "another with the same CKA_ID without a word";
constexpr std::string_view kOpenCryptokiUnfit =
    "openCryptoki 3.8 ignores CKA_SENSITIVE in C_UnwrapKey and keeps copies of the secret in "
    "memory";

constexpr std::uint32_t kPayload = 8 * 1024;
constexpr std::uint32_t kCanary = 64;
// tpm2-pkcs11 copies the message to a buffer of this size, and says BUFFER_TOO_SMALL of more.
constexpr std::uint32_t kTpm2Message = 4 * 1024;

// Measured: SoftHSM does all its work under this filter.
constexpr Needs kNothing{.network = false, .hardware = false, .new_code = false};

// SoftHSM: two processes sign at 2.0 times one, two threads at 0.6 to 1.35 times; hence workers. A
// YubiHSM serves one command at a time, and takes messages of 3,000 bytes, four of them a second.
constexpr std::array kProfiles{
    Profile{.name = "softhsm",
            .unfit = {},
            .way = SecretWay::unwrapped_in_token,
            .key_types = kHmacOrGeneric,
            .unwrap_template = true,
            .exceptions = {},
            .workers = 2,
            .most_workers = 64,
            .depth = 32,
            .base64_limit = kPayload,
            .canary_every = kCanary,
            .call_limit = 5s,
            .restart_delay = 0s,
            .needs = kNothing},
    Profile{.name = "generic",
            .unfit = {},
            .way = SecretWay::unwrapped_in_token,
            .key_types = kHmacOrGeneric,
            .unwrap_template = false,
            .exceptions = {},
            .workers = 1,
            .most_workers = 64,
            .depth = 4,
            .base64_limit = kPayload,
            .canary_every = kCanary,
            .call_limit = 10s,
            .restart_delay = 1s},
    Profile{.name = "yubihsm",
            .unfit = {},
            .way = SecretWay::decrypted_in_host,
            .key_types = kHmacOnly,
            .unwrap_template = false,
            .exceptions = kYubiHsm,
            .workers = 1,
            .most_workers = 1,
            .depth = 1,
            .base64_limit = 3'000,
            .canary_every = 16,
            .call_limit = 10s,
            .restart_delay = 31s},
    Profile{.name = "tpm2",
            .unfit = {},
            .way = SecretWay::linked,
            .key_types = kHmacOnly,
            .unwrap_template = false,
            .exceptions = {},
            .workers = 1,
            .most_workers = 1,
            .depth = 1,
            .base64_limit = kTpm2Message,
            .canary_every = kCanary,
            .call_limit = 10s,
            .restart_delay = 1s},
    Profile{.name = "nss",
            .unfit = kNssUnfit,
            .way = SecretWay::unwrapped_in_token,
            .key_types = kHmacOrGeneric,
            .unwrap_template = false,
            .exceptions = kNss,
            .workers = 2,
            .most_workers = 16,
            .depth = 8,
            .base64_limit = kPayload,
            .canary_every = kCanary,
            .call_limit = 5s,
            .restart_delay = 0s},
    Profile{.name = "opencryptoki",
            .unfit = kOpenCryptokiUnfit,
            .way = SecretWay::decrypted_in_host,
            .key_types = kGenericOnly,
            .unwrap_template = false,
            .exceptions = {},
            .workers = 2,
            .most_workers = 16,
            .depth = 32,
            .base64_limit = kPayload,
            .canary_every = kCanary,
            .call_limit = 5s,
            .restart_delay = 0s},
};

std::string names() {
  std::string list;
  for (const Profile& profile : kProfiles)
    list.append(list.empty() ? "" : ", ").append(profile.name);
  return list;
}

}  // namespace

Result<const Profile*> find_profile(std::string_view name) {
  for (const Profile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return fail(Code::usage, "unknown token profile", "there are " + names());
}

}  // namespace hsm::token
