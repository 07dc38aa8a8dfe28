// Names of CK_RV values (PKCS#11 v2.40, section 5.1), for logs and sentences.
#pragma once

#include <p11-kit/pkcs11.h>

#include <string_view>

namespace hsm::token {

// Empty for a value that the standard does not name.
std::string_view standard_ckr_name(CK_RV rv);

}  // namespace hsm::token
