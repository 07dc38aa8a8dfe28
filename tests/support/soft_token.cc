#include "tests/support/soft_token.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <cstdio>
#include <cstdlib>

#include "hsm_signer/token/template.h"

namespace hsm::test {
namespace {

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "soft_token: %s\n", what);
  std::abort();
}

CK_FUNCTION_LIST* functions() {
  void* library = ::dlopen(kSoftHsmModule, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) give_up("libsofthsm2.so is missing: apt-get install softhsm2");
  const auto get =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* list = nullptr;
  if (get == nullptr || get(&list) != CKR_OK) give_up("SoftHSM gives no function list");
  return list;
}

class RawSession {
 public:
  explicit RawSession(CK_SLOT_ID slot) : list_{functions()} {
    if (list_->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                             &handle_) != CKR_OK)
      give_up("cannot open a session");
  }
  RawSession(const RawSession&) = delete;
  RawSession& operator=(const RawSession&) = delete;
  ~RawSession() { list_->C_CloseSession(handle_); }
  CK_FUNCTION_LIST* operator->() const { return list_; }
  CK_SESSION_HANDLE handle() const { return handle_; }

 private:
  CK_FUNCTION_LIST* list_;
  CK_SESSION_HANDLE handle_ = 0;
};

}  // namespace

SoftToken::SoftToken(const std::string& label) : label_{label} {
  const std::string command =
      std::string{HSM_SOURCE_DIR} + "/softhsm-config/init-token.sh " + dir_.path() + " " + label;
  if (std::system(command.c_str()) != 0) give_up("softhsm-config/init-token.sh failed");
}

void SoftToken::use_in_this_process() const { ::setenv("SOFTHSM2_CONF", conf().c_str(), 1); }

void plant_key(unsigned long slot, const token::ObjectName& object, ByteView key) {
  const RawSession session{slot};
  token::Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
      .flag(CKA_TOKEN, true);
  attributes.flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false)
      .flag(CKA_SIGN, true);
  attributes.text(CKA_LABEL, object.label)
      .bytes(CKA_ID, token::cka_id_bytes(object.cka_id))
      .bytes(CKA_VALUE, key);
  CK_OBJECT_HANDLE made = 0;
  if (session->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &made) !=
      CKR_OK)
    give_up("cannot plant a key");
}

void remove_key(unsigned long slot, const token::ObjectName& object) {
  const RawSession session{slot};
  token::Template match;
  match.number(CKA_CLASS, CKO_SECRET_KEY).text(CKA_LABEL, object.label);
  match.bytes(CKA_ID, token::cka_id_bytes(object.cka_id));
  CK_OBJECT_HANDLE found = 0;
  CK_ULONG count = 0;
  session->C_FindObjectsInit(session.handle(), match.data(), match.size());
  session->C_FindObjects(session.handle(), &found, 1, &count);
  session->C_FindObjectsFinal(session.handle());
  if (count != 1 || session->C_DestroyObject(session.handle(), found) != CKR_OK)
    give_up("cannot remove a key");
}

}  // namespace hsm::test
