// What a YubiHSM 2 behind yubihsm_pkcs11 takes and refuses, as rules over another module (SoftHSM
// keeps the keys). Measured on the real module and modelled from Yubico's documents:
//
//   - HMAC keys come in by C_CreateObject only, as CKK_SHA384_HMAC with at most 128 bytes;
//   C_UnwrapKey
//     makes none. Attributes have the values that the device knows, or are refused.
//   - CKA_KEY_TYPE of an HMAC key is FUNCTION_FAILED, CKA_VALUE is ATTRIBUTE_TYPE_INVALID.
//   - A CKA_ID over 2 bytes or a CKA_LABEL over 40 costs a second object; refused here, so that
//   nobody
//     pays for it unnoticed.
//   - Messages over 3,000 bytes are refused.
//   - One command at a time over all processes; an HMAC takes HSM_FAULT_YUBIHSM_MS (243).
//   - 16 device sessions. Who ends without C_Logout leaves its own behind for
//     HSM_FAULT_YUBIHSM_IDLE_MS (30,000).
#pragma once

#include <p11-kit/pkcs11.h>

#include <string>

namespace hsm::test::fault {

// `state`: a directory that all processes of one device share. `real` outlives the result; one per
// process.
CK_FUNCTION_LIST yubihsm_over(const CK_FUNCTION_LIST& real, const std::string& state);

}  // namespace hsm::test::fault
