#include "tests/bench/module_signer.h"

#include <dlfcn.h>
#include <unistd.h>

#include <array>

#include "tests/bench/children.h"

namespace hsm::bench {
namespace {

constexpr std::string_view kKeyLabel = "bench";
constexpr std::size_t kPinLimit = 256;

Error ck_error(std::string_view what, CK_RV rv) {
  return {.code = Code::token_unavailable,
          .what = what,
          .detail = "CKR " + std::to_string(rv),
          .ck_rv = rv};
}

Result<CK_FUNCTION_LIST*> load(const char* module) {
  void* library = ::dlopen(module, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return fail(Code::token_unavailable, "cannot load the PKCS#11 module", ::dlerror());
  const auto get =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (get == nullptr || get(&functions) != CKR_OK)
    return fail(Code::token_unavailable, "not a PKCS#11 module", module);
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;  // As hsm-tokend asks for it.
  if (const CK_RV rv = functions->C_Initialize(&arguments); rv != CKR_OK)
    return fail(ck_error("the PKCS#11 module does not initialise", rv));
  return functions;
}

// SoftHSM gives a token another slot number at its making, so only the label tells.
Result<CK_SLOT_ID> slot_of(CK_FUNCTION_LIST* functions, std::string_view label) {
  std::array<CK_SLOT_ID, 16> slots{};
  CK_ULONG count = slots.size();
  if (const CK_RV rv = functions->C_GetSlotList(CK_TRUE, slots.data(), &count); rv != CKR_OK)
    return fail(ck_error("cannot list the slots", rv));
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_TOKEN_INFO info{};
    if (functions->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    std::string_view name{reinterpret_cast<const char*>(info.label), sizeof info.label};
    name = name.substr(0, name.find_last_not_of(' ') + 1);
    if (name == label) return slots[i];
  }
  return fail(Code::token_unavailable, "no token of this label", std::string{label});
}

CK_ATTRIBUTE text_attribute(CK_ATTRIBUTE_TYPE type, std::string_view text) {
  return {type, const_cast<char*>(text.data()), text.size()};
}

}  // namespace

Result<std::string> BenchToken::pin() const {
  TRY(const Bytes text, read_file(token_.pin_file(), kPinLimit));
  std::string pin{as_text(text)};
  while (!pin.empty() && pin.back() == '\n') pin.pop_back();
  return pin;
}

Result<std::shared_ptr<BenchToken>> BenchToken::make() {
  std::shared_ptr<BenchToken> token{new BenchToken};
  const pid_t pid = fork_child([&] {
    token->token_.use_in_this_process();
    const auto signer = ModuleSigner::log_in(test::kSoftHsmModule, *token);
    return signer && signer->make_key() ? 0 : 1;
  });
  if (pid < 0 || reap(pid) != 0)
    return fail(Code::token_unavailable, "cannot make the key of the SoftHSM token", token->dir());
  return token;
}

Result<ModuleSigner> ModuleSigner::log_in(const char* module, const BenchToken& token) {
  ModuleSigner signer;
  TRY(signer.functions_, load(module));
  TRY(signer.slot_, slot_of(signer.functions_, BenchToken::kLabel));
  TRY_VOID(signer.open_session());
  TRY(std::string pin, token.pin());
  const CK_RV rv = signer.functions_->C_Login(
      signer.session_, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
  if (rv != CKR_OK) return fail(ck_error("cannot log in", rv));
  return signer;
}

Result<void> ModuleSigner::open_session() {
  const CK_RV rv = functions_->C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                             nullptr, &session_);
  if (rv != CKR_OK) return fail(ck_error("cannot open a session", rv));
  return {};
}

Result<ModuleSigner> ModuleSigner::for_another_thread() const {
  ModuleSigner other = *this;
  TRY_VOID(other.open_session());
  return other;
}

Result<ModuleSigner> ModuleSigner::open(const char* module, const BenchToken& token) {
  TRY(ModuleSigner signer, log_in(module, token));
  TRY_VOID(signer.find_key());
  return signer;
}

Result<void> ModuleSigner::make_key() const {
  CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
  CK_KEY_TYPE generic = CKK_GENERIC_SECRET;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  std::array attributes{CK_ATTRIBUTE{CKA_CLASS, &secret, sizeof secret},
                        CK_ATTRIBUTE{CKA_KEY_TYPE, &generic, sizeof generic},
                        CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                        CK_ATTRIBUTE{CKA_PRIVATE, &yes, sizeof yes},
                        CK_ATTRIBUTE{CKA_SENSITIVE, &yes, sizeof yes},
                        CK_ATTRIBUTE{CKA_EXTRACTABLE, &no, sizeof no},
                        CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof yes},
                        text_attribute(CKA_LABEL, kKeyLabel),
                        text_attribute(CKA_VALUE, kBenchKey)};
  CK_OBJECT_HANDLE made = 0;
  const CK_RV rv =
      functions_->C_CreateObject(session_, attributes.data(), attributes.size(), &made);
  if (rv != CKR_OK) return fail(ck_error("cannot make the key", rv));
  return {};
}

Result<void> ModuleSigner::find_key() {
  std::array match{text_attribute(CKA_LABEL, kKeyLabel)};
  CK_ULONG count = 0;
  if (const CK_RV rv = functions_->C_FindObjectsInit(session_, match.data(), match.size());
      rv != CKR_OK)
    return fail(ck_error("cannot search the token", rv));
  const CK_RV rv = functions_->C_FindObjects(session_, &key_, 1, &count);
  functions_->C_FindObjectsFinal(session_);
  if (rv != CKR_OK || count != 1) return fail(ck_error("the key is not in the token", rv));
  return {};
}

Result<Mac> ModuleSigner::sign(ByteView message) const {
  CK_MECHANISM mechanism{CKM_SHA384_HMAC, nullptr, 0};
  if (const CK_RV rv = functions_->C_SignInit(session_, &mechanism, key_); rv != CKR_OK)
    return fail(ck_error("C_SignInit failed", rv));
  std::array<Byte, 128> out;
  CK_ULONG size = out.size();
  const CK_RV rv = functions_->C_Sign(session_, const_cast<Byte*>(message.data()), message.size(),
                                      out.data(), &size);
  if (rv != CKR_OK) return fail(ck_error("C_Sign failed", rv));
  Mac mac;
  if (size != mac.size()) return fail(Code::verification_failed, "a MAC of another length");
  std::copy_n(out.begin(), mac.size(), mac.begin());
  return mac;
}

}  // namespace hsm::bench
