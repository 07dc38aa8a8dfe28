#include "hsm_signer/token/cryptoki.h"

#include <dlfcn.h>

#include <array>
#include <cstdio>

#include "hsm_signer/token/ckr_names.h"

namespace hsm::token {
namespace {

constexpr std::size_t kMostObjects = 65'536;
constexpr std::size_t kAttributeLimit = 4'096;
// With a buffer under 48 bytes NSS returns a truncated MAC and openCryptoki writes past it
// (tokens.md section 1.7), so there is always more room than the longest HMAC needs.
constexpr std::size_t kMacBuffer = 128;

// NSS has LibraryParameters where the standard has pReserved, and reads one more pointer behind it.
struct InitializeArguments {
  CK_C_INITIALIZE_ARGS standard;
  void* behind;
};

CK_MECHANISM mechanism_of(CK_MECHANISM_TYPE type) { return {type, nullptr, 0}; }

}  // namespace

std::string ckr_name(CK_RV rv) {
  if (const std::string_view name = standard_ckr_name(rv); !name.empty()) return std::string{name};
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "CKR_0x%lx", rv);
  return {text.data(), static_cast<std::size_t>(size)};
}

Error ck_error(std::string_view what, CK_RV rv) {
  return {.code = Code::token_unavailable, .what = what, .detail = ckr_name(rv), .ck_rv = rv};
}

bool is_pin_refusal(CK_RV rv) {
  return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
         rv == CKR_PIN_EXPIRED || rv == CKR_PIN_LOCKED;
}

bool is_withheld_attribute(CK_RV rv) {
  return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
         rv == CKR_BUFFER_TOO_SMALL;
}

Result<Cryptoki> Cryptoki::load(const std::string& module_path, const std::string& arguments,
                                const KillTimer& timer) {
  const CallDeadline deadline{timer, Pace::start};
  void* library = ::dlopen(module_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return fail(Code::token_unavailable, "cannot load the PKCS#11 module",
                why != nullptr ? why : module_path);
  }
  const auto get_list =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  if (get_list == nullptr)
    return fail(Code::token_unavailable, "not a PKCS#11 module: it has no C_GetFunctionList",
                module_path);
  CK_FUNCTION_LIST* functions = nullptr;
  if (const CK_RV rv = get_list(&functions); rv != CKR_OK || functions == nullptr)
    return fail(ck_error("C_GetFunctionList failed", rv));
  InitializeArguments given{};
  given.standard.flags = CKF_OS_LOCKING_OK;
  std::string text = arguments;
  if (!text.empty()) given.standard.pReserved = text.data();
  const CK_RV rv = functions->C_Initialize(&given);
  // libp11 may have come first; either side tolerates the other.
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
    return fail(ck_error("the PKCS#11 module does not initialise", rv));
  return Cryptoki{module_path, functions, timer};
}

Result<Session> Session::open(const Cryptoki& cryptoki, CK_SLOT_ID slot) {
  const CallDeadline deadline{*cryptoki.timer_};
  CK_SESSION_HANDLE handle = 0;
  const CK_RV rv = cryptoki.functions_->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
                                                      nullptr, nullptr, &handle);
  if (rv != CKR_OK) return fail(ck_error("cannot open a session on the token", rv));
  return Session{cryptoki, handle};
}

Session::~Session() {
  if (cryptoki_ == nullptr) return;
  const CallDeadline guard = deadline();
  functions()->C_CloseSession(handle_);
}

Result<void> Session::login(ByteView pin) const {
  const CallDeadline guard = deadline(Pace::start);
  auto* text = const_cast<Byte*>(pin.data());  // Not written to (section 5.6).
  if (const CK_RV rv = functions()->C_Login(handle_, CKU_USER, text, pin.size()); rv != CKR_OK)
    return fail(ck_error("the token refuses the login", rv));
  return {};
}

Result<void> Session::sees_private_objects() const {
  const CallDeadline guard = deadline();
  CK_SESSION_INFO info{};
  if (const CK_RV rv = functions()->C_GetSessionInfo(handle_, &info); rv != CKR_OK)
    return fail(ck_error("cannot ask for the state of the session", rv));
  if (info.state != CKS_RW_USER_FUNCTIONS)
    return fail(ck_error("the login to the token is lost", CKR_USER_NOT_LOGGED_IN));
  return {};
}

CK_RV Session::find_init(Template& match) const {
  const CallDeadline guard = deadline();
  return functions()->C_FindObjectsInit(handle_, match.data(), match.size());
}

CK_RV Session::find_more(std::span<CK_OBJECT_HANDLE> batch, CK_ULONG& count) const {
  const CallDeadline guard = deadline();
  return functions()->C_FindObjects(handle_, batch.data(), batch.size(), &count);
}

CK_RV Session::find_final() const {
  const CallDeadline guard = deadline();
  return functions()->C_FindObjectsFinal(handle_);
}

// A deadline per call: a signature may wait for this, and a token with many objects takes many
// calls.
Result<std::vector<CK_OBJECT_HANDLE>> Session::find(Template& match) const {
  if (const CK_RV rv = find_init(match); rv != CKR_OK)
    return fail(ck_error("cannot search the token", rv));
  std::vector<CK_OBJECT_HANDLE> found;
  std::array<CK_OBJECT_HANDLE, 256> batch;
  CK_RV rv = CKR_OK;
  while (found.size() <= kMostObjects) {
    CK_ULONG count = 0;
    rv = find_more(batch, count);
    if (rv != CKR_OK || count == 0) break;
    found.insert(found.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
  }
  const CK_RV last = find_final();
  if (rv != CKR_OK) return fail(ck_error("cannot search the token", rv));
  if (last != CKR_OK) return fail(ck_error("cannot end a search on the token", last));
  if (found.size() > kMostObjects)
    return fail(Code::token_unavailable, "the token holds too many objects",
                "the limit is " + std::to_string(kMostObjects));
  return found;
}

Result<Bytes> Session::attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
  const CallDeadline guard = deadline();
  Bytes value(kAttributeLimit);
  CK_ATTRIBUTE attribute{type, value.data(), value.size()};
  if (const CK_RV rv = functions()->C_GetAttributeValue(handle_, object, &attribute, 1);
      rv != CKR_OK)
    return fail(ck_error("cannot read an attribute", rv));
  // What the module should have said itself (section 5.7).
  if (attribute.ulValueLen > value.size())
    return fail(ck_error("the token gave an attribute of impossible length", CKR_BUFFER_TOO_SMALL));
  value.resize(attribute.ulValueLen);
  return value;
}

Result<bool> Session::flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
  TRY(const Bytes value, attribute(object, type));
  if (value.size() != sizeof(CK_BBOOL))
    return fail(Code::token_unavailable, "the token gave a flag of impossible length");
  return value[0] != CK_FALSE;
}

Result<bool> Session::value_readable(CK_OBJECT_HANDLE object) const {
  const CallDeadline guard = deadline();
  SecretBytes value{kAttributeLimit};
  CK_ATTRIBUTE attribute{CKA_VALUE, value.span().data(), value.size()};
  const CK_RV rv = functions()->C_GetAttributeValue(handle_, object, &attribute, 1);
  // Ways to say no: SoftHSM and NSS the first, YubiHSM the second, others the third; a TPM says OK
  // and gives nothing (tokens.md section 2).
  if (rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
      rv == CKR_ATTRIBUTE_VALUE_INVALID)
    return false;
  if (rv != CKR_OK) return fail(ck_error("cannot tell whether the secret is readable", rv));
  return attribute.ulValueLen != 0;
}

Result<Mac> Session::hmac_sha384(CK_OBJECT_HANDLE key, ByteView message) const {
  const CallDeadline guard = deadline();
  CK_MECHANISM mechanism = mechanism_of(CKM_SHA384_HMAC);
  if (const CK_RV rv = functions()->C_SignInit(handle_, &mechanism, key); rv != CKR_OK)
    return fail(ck_error("the token does not start a signature", rv));
  std::array<Byte, kMacBuffer> out{};
  CK_ULONG size = out.size();
  auto* data =
      const_cast<Byte*>(message.data());  // C_Sign does not write to its input (section 5.11).
  if (const CK_RV rv = functions()->C_Sign(handle_, data, message.size(), out.data(), &size);
      rv != CKR_OK)
    return fail(ck_error("the token does not sign", rv));
  Mac mac;
  if (size != mac.size())
    return fail(Code::token_unavailable, "the token gave a MAC of the wrong length",
                std::to_string(size));
  std::copy_n(out.begin(), mac.size(), mac.begin());
  return mac;
}

Result<CK_OBJECT_HANDLE> Session::unwrap_oaep(CK_OBJECT_HANDLE wrap_key, ByteView ciphertext,
                                              Template& attributes) const {
  const CallDeadline guard = deadline();
  CK_RSA_PKCS_OAEP_PARAMS parameters{};
  parameters.hashAlg = CKM_SHA_1;
  parameters.mgf = CKG_MGF1_SHA1;
  parameters.source = CKZ_DATA_SPECIFIED;
  CK_MECHANISM mechanism{CKM_RSA_PKCS_OAEP, &parameters, sizeof parameters};
  auto* data = const_cast<Byte*>(ciphertext.data());  // Not written to (section 5.13).
  CK_OBJECT_HANDLE key = 0;
  const CK_RV rv = functions()->C_UnwrapKey(handle_, &mechanism, wrap_key, data, ciphertext.size(),
                                            attributes.data(), attributes.size(), &key);
  if (rv != CKR_OK) return fail(ck_error("the token does not unwrap the key", rv));
  return key;
}

Result<CK_OBJECT_HANDLE> Session::create_object(Template& attributes,
                                                const SecretBytes& value) const {
  const CallDeadline guard = deadline();
  std::vector<CK_ATTRIBUTE> all{attributes.data(), attributes.data() + attributes.size()};
  // Not written to (section 5.7).
  all.push_back({CKA_VALUE, const_cast<Byte*>(value.view().data()), value.size()});
  CK_OBJECT_HANDLE object = 0;
  const CK_RV rv = functions()->C_CreateObject(handle_, all.data(), all.size(), &object);
  if (rv != CKR_OK) return fail(ck_error("the token does not take the key", rv));
  return object;
}

Result<KeyPair> Session::generate_pair(CK_MECHANISM_TYPE type, Template& public_key,
                                       Template& private_key) const {
  const CallDeadline guard = deadline(Pace::slow);
  CK_MECHANISM mechanism = mechanism_of(type);
  KeyPair pair{};
  const CK_RV rv = functions()->C_GenerateKeyPair(
      handle_, &mechanism, public_key.data(), public_key.size(), private_key.data(),
      private_key.size(), &pair.public_key, &pair.private_key);
  if (rv != CKR_OK) return fail(ck_error("the token does not generate a key pair", rv));
  return pair;
}

Result<void> Session::destroy(CK_OBJECT_HANDLE object) const {
  const CallDeadline guard = deadline();
  if (const CK_RV rv = functions()->C_DestroyObject(handle_, object); rv != CKR_OK)
    return fail(ck_error("the token does not destroy the object", rv));
  return {};
}

}  // namespace hsm::token
