#include "tests/contract/deviations.h"

#include <algorithm>
#include <array>

namespace hsm::token {
namespace {

constexpr std::string_view kNoWrapKey = "the token holds no wrap key";
constexpr std::string_view kReadable = "the blob unwraps to a key whose CKA_VALUE can be read";
constexpr std::string_view kLinked = "refused: keys are linked, not imported";
constexpr std::string_view kInHost = "its profile decrypts in hsm-tokend";
constexpr std::string_view kNoEc = "the software token has no EC keys";
constexpr std::string_view kNoHmac = "tpm2-pkcs11 makes HMAC keys by no call of PKCS#11";
constexpr std::string_view kNoUnwrap = "it has no C_UnwrapKey";

constexpr std::array kDeviations{
    Deviation{"p11-kit", "TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards", kReadable,
              "CKA_UNWRAP_TEMPLATE does not pass through the protocol"},
    Deviation{"nss", "TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards", kReadable,
              "CKA_UNWRAP_TEMPLATE is ignored"},
    Deviation{"nss", "AKeyGivesItsSecretToNobodyWhoWrapsIt",
              "C_WrapKey under an AES key of the caller gives the secret away",
              "CKA_EXTRACTABLE is not heeded"},
    Deviation{"nss", "QuarantinesTwoObjectsWithOneId",
              "the second key has replaced the first: key_not_active",
              "a CKA_ID names one secret key"},
    Deviation{"nss", "DoesNotSignWithAKeyThatTookItsId",
              "signs with the other secret until the key check between signatures, which takes the "
              "token out",
              "a handle stands for the CKA_ID"},
    Deviation{"opencryptoki", "MakesTheTokenHostsOwnKeysAndChangesNothingTheNextTime",
              "CKR_MECHANISM_INVALID: no audit key, hsm-tokend does not start", kNoEc},
    Deviation{"opencryptoki", "TheAuditKeySignsVerifiably", "there is none", kNoEc},
    Deviation{"opencryptoki", "TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards", kNoWrapKey,
              kInHost},
    Deviation{"opencryptoki", "TheWrapKeyIsForUnwrappingOnly", kNoWrapKey, kInHost},
    Deviation{"opencryptoki", "DoesNotSignWithAKeyThatWasExchangedBehindItsBack",
              "signs with the new secret until the key check between signatures, which takes the "
              "token out",
              "the handle of a destroyed key is given to the next"},
    Deviation{"opencryptoki", "QuarantinesAnObjectWithoutAValueAndDestroysIt",
              "refused as token_unavailable", "signing with it says CKR_FUNCTION_FAILED"},
    Deviation{"yubihsm", "TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards", kNoWrapKey, kInHost},
    Deviation{"yubihsm", "TheWrapKeyIsForUnwrappingOnly", kNoWrapKey, kInHost},
    Deviation{"tpm2", "ImportsASecret", kLinked, kNoHmac},
    Deviation{"tpm2", "QuarantinesAnObjectWithoutAValueAndDestroysIt", "there is no such object",
              kNoHmac},
    Deviation{"tpm2", "RefusesToImportOverATakenLabel", kLinked, kNoHmac},
    Deviation{"tpm2", "RefusesToImportOverATakenId", kLinked, kNoHmac},
    Deviation{"tpm2", "RefusesABlobForAnotherToken", kLinked, kNoHmac},
    Deviation{"tpm2", "RefusesADamagedBlob", kLinked, kNoHmac},
    Deviation{"tpm2", "DestroysAnImportedKeyThatIsNotWhatTheBlobSays", kLinked, kNoHmac},
    Deviation{"tpm2", "TheWrapKeyUnwrapsNothingThatCouldBeReadAfterwards", kNoWrapKey, kNoUnwrap},
    Deviation{"tpm2", "TheWrapKeyIsForUnwrappingOnly", kNoWrapKey, kNoUnwrap},
    Deviation{"tpm2", "AKeyGivesItsSecretToNobodyWhoWrapsIt", "no key at all can be wrapped",
              "it makes no AES keys"},
};

}  // namespace

std::span<const Deviation> deviations() { return kDeviations; }

const Deviation* deviation(std::string_view token, std::string_view test) {
  const auto found =
      std::find_if(kDeviations.begin(), kDeviations.end(),
                   [&](const Deviation& row) { return row.token == token && row.test == test; });
  return found == kDeviations.end() ? nullptr : &*found;
}

}  // namespace hsm::token
