// A PKCS#11 module that is SoftHSM, until a file appears: then C_Sign never comes back. Built as a
// library of its own and named as `module` in a test's <token>.toml.
//   HSM_HANGING_MODULE: the real module.   HSM_HANG_FILE: while this file exists, C_Sign hangs.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include <cstdlib>

namespace {

CK_FUNCTION_LIST functions;
CK_C_Sign real_sign = nullptr;

CK_RV sign_or_hang(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* signature,
                   CK_ULONG* length) {
  const char* file = std::getenv("HSM_HANG_FILE");
  while (file != nullptr && ::access(file, F_OK) == 0) ::pause();
  return real_sign(session, data, size, signature, length);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (real_sign == nullptr) {
    const char* path = std::getenv("HSM_HANGING_MODULE");
    void* library = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return CKR_GENERAL_ERROR;
    const auto get =
        reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
    CK_FUNCTION_LIST* real = nullptr;
    if (get == nullptr || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
    functions = *real;
    real_sign = real->C_Sign;
    functions.C_Sign = &sign_or_hang;
  }
  *list = &functions;
  return CKR_OK;
}
