#include "tests/support/raw_session.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "hsm_signer/token/cryptoki.h"

namespace hsm::test {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "raw_session: %s\n", what.c_str());
  std::abort();
}

CK_FUNCTION_LIST* functions(const std::string& module) {
  void* library = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) give_up("the module cannot be loaded");
  const auto get =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* list = nullptr;
  if (get == nullptr || get(&list) != CKR_OK) give_up("the module gives no function list");
  // Refused where this process shares one state with all others who loaded the module.
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  list->C_Initialize(&arguments);
  return list;
}

}  // namespace

RawSession::RawSession(const std::string& module, CK_SLOT_ID slot, const std::string& pin_file) {
  static CK_FUNCTION_LIST* const loaded = functions(module);
  list_ = loaded;
  const CK_RV rv =
      list_->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &handle_);
  if (rv != CKR_OK) give_up("cannot open a session: " + token::ckr_name(rv));
  CK_SESSION_INFO info{};
  list_->C_GetSessionInfo(handle_, &info);
  if (info.state == CKS_RW_USER_FUNCTIONS) return;
  std::string pin;
  std::getline(std::ifstream{pin_file}, pin);
  if (list_->C_Login(handle_, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()) !=
      CKR_OK)
    give_up("cannot log in");
}

std::vector<CK_OBJECT_HANDLE> RawSession::find(token::Template& match) const {
  std::vector<CK_OBJECT_HANDLE> found(256);
  CK_ULONG count = 0;
  if (list_->C_FindObjectsInit(handle_, match.data(), match.size()) != CKR_OK ||
      list_->C_FindObjects(handle_, found.data(), found.size(), &count) != CKR_OK ||
      list_->C_FindObjectsFinal(handle_) != CKR_OK)
    give_up("cannot search");
  found.resize(count);
  return found;
}

std::string RawSession::label(CK_OBJECT_HANDLE object) const {
  std::string text(256, '\0');
  CK_ATTRIBUTE attribute{CKA_LABEL, text.data(), text.size()};
  if (list_->C_GetAttributeValue(handle_, object, &attribute, 1) != CKR_OK ||
      attribute.ulValueLen > text.size())
    return {};
  text.resize(attribute.ulValueLen);
  return text;
}

}  // namespace hsm::test
