// A PKCS#11 module that is SoftHSM, but for what a test wants of a worse one. Built as a library of
// its own and named as `module` in a test's <token>.toml.
//   HSM_HANGING_MODULE: the real module.
//   HSM_HANG_FILE: while this file exists, C_Sign hangs.
//   HSM_HANG_SEARCH_FILE: while this file exists, C_FindObjects hangs.
//   HSM_WITHHOLD_LABEL: an object with this CKA_LABEL has none that can be read.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace {

CK_FUNCTION_LIST functions;
CK_FUNCTION_LIST* real = nullptr;

void hang_while_there(const char* variable) {
  const char* file = std::getenv(variable);
  while (file != nullptr && ::access(file, F_OK) == 0) ::pause();
}

CK_RV sign_or_hang(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* signature,
                   CK_ULONG* length) {
  hang_while_there("HSM_HANG_FILE");
  return real->C_Sign(session, data, size, signature, length);
}

CK_RV search_or_hang(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG most,
                     CK_ULONG* count) {
  hang_while_there("HSM_HANG_SEARCH_FILE");
  return real->C_FindObjects(session, objects, most, count);
}

CK_RV attributes_but_one(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                         CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const CK_RV rv = real->C_GetAttributeValue(session, object, attributes, count);
  const char* withheld = std::getenv("HSM_WITHHOLD_LABEL");
  if (rv != CKR_OK || withheld == nullptr || count != 1 || attributes->type != CKA_LABEL ||
      std::string_view{static_cast<const char*>(attributes->pValue), attributes->ulValueLen} !=
          withheld)
    return rv;
  attributes->ulValueLen = CK_UNAVAILABLE_INFORMATION;
  return CKR_ATTRIBUTE_TYPE_INVALID;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (real == nullptr) {
    const char* path = std::getenv("HSM_HANGING_MODULE");
    void* library = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return CKR_GENERAL_ERROR;
    const auto get =
        reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
    CK_FUNCTION_LIST* found = nullptr;
    if (get == nullptr || get(&found) != CKR_OK) return CKR_GENERAL_ERROR;
    real = found;
    functions = *real;
    functions.C_Sign = &sign_or_hang;
    functions.C_FindObjects = &search_or_hang;
    functions.C_GetAttributeValue = &attributes_but_one;
  }
  *list = &functions;
  return CKR_OK;
}
