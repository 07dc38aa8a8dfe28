#include "tests/fault_module/yubihsm.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

namespace hsm::test::fault {
namespace {

using namespace std::chrono_literals;
using Attributes = std::span<const CK_ATTRIBUTE>;

constexpr std::size_t kDeviceSessions = 16;
constexpr CK_ULONG kLongestKey = 128;
constexpr CK_ULONG kLongestMessage = 3'000;
constexpr CK_ULONG kHopelesslyLong = 8'192;
constexpr CK_ULONG kLongestLabel = 40;
constexpr CK_ULONG kIdSize = 2;

constexpr std::array kOnlyTrue{CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_DESTROYABLE};
constexpr std::array kOnlyFalse{CKA_MODIFIABLE, CKA_COPYABLE, CKA_WRAP,   CKA_UNWRAP,
                                CKA_DERIVE,     CKA_ENCRYPT,  CKA_DECRYPT};
constexpr std::array kKnown{CKA_CLASS,  CKA_KEY_TYPE,    CKA_VALUE, CKA_SIGN,
                            CKA_VERIFY, CKA_EXTRACTABLE, CKA_LABEL, CKA_ID};

CK_FUNCTION_LIST real;
std::string state_dir;

std::chrono::milliseconds setting(const char* variable, std::chrono::milliseconds usual) {
  const char* text = std::getenv(variable);
  return text == nullptr ? usual : std::chrono::milliseconds{std::strtoul(text, nullptr, 10)};
}

template <class List>
bool among(const List& list, CK_ATTRIBUTE_TYPE type) {
  return std::find(list.begin(), list.end(), type) != list.end();
}

const CK_ATTRIBUTE* find(Attributes attributes, CK_ATTRIBUTE_TYPE type) {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [type](const CK_ATTRIBUTE& a) { return a.type == type; });
  return found == attributes.end() ? nullptr : &*found;
}

CK_ULONG number(const CK_ATTRIBUTE* attribute, CK_ULONG absent) {
  if (attribute == nullptr || attribute->ulValueLen != sizeof(CK_ULONG)) return absent;
  return *static_cast<const CK_ULONG*>(attribute->pValue);
}

bool is_true(const CK_ATTRIBUTE& attribute) {
  return attribute.ulValueLen == sizeof(CK_BBOOL) &&
         *static_cast<const CK_BBOOL*>(attribute.pValue) != CK_FALSE;
}

// The device serves one command at a time, whoever asks.
class Turn {
 public:
  Turn() : fd_{::open((state_dir + "/device").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)} {
    ::flock(fd_, LOCK_EX);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { ::close(fd_); }

 private:
  int fd_;
};

std::string own_session() { return state_dir + "/session." + std::to_string(::getpid()); }

bool alive(const std::filesystem::path& session) {
  static const auto idle = setting("HSM_FAULT_YUBIHSM_IDLE_MS", 30s);
  std::error_code gone;
  const auto touched = std::filesystem::last_write_time(session, gone);
  return !gone && std::filesystem::file_time_type::clock::now() - touched < idle;
}

// Opens the device session of this process, or keeps it alive. Under a Turn.
CK_RV keep_session() {
  if (!alive(own_session())) {
    std::size_t others = 0;
    for (const auto& entry : std::filesystem::directory_iterator{state_dir})
      others += entry.path().filename().string().starts_with("session.") && alive(entry.path());
    if (others >= kDeviceSessions) return CKR_SESSION_COUNT;
  }
  std::ofstream{own_session(), std::ios::trunc} << "x";
  return CKR_OK;
}

CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size) {
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  return real.C_Login(session, user, pin, size);
}

CK_RV logout(CK_SESSION_HANDLE session) {
  const Turn turn;
  ::unlink(own_session().c_str());
  return real.C_Logout(session);
}

CK_RV judge_name(Attributes attributes) {
  const CK_ATTRIBUTE* id = find(attributes, CKA_ID);
  const CK_ATTRIBUTE* label = find(attributes, CKA_LABEL);
  if ((id != nullptr && id->ulValueLen > kIdSize) ||
      (label != nullptr && label->ulValueLen > kLongestLabel))
    return CKR_DEVICE_MEMORY;
  return CKR_OK;
}

CK_RV judge_hmac_key(Attributes attributes) {
  if (number(find(attributes, CKA_KEY_TYPE), CK_UNAVAILABLE_INFORMATION) != CKK_SHA384_HMAC)
    return CKR_ATTRIBUTE_VALUE_INVALID;
  const CK_ATTRIBUTE* value = find(attributes, CKA_VALUE);
  const CK_ATTRIBUTE* sign = find(attributes, CKA_SIGN);
  if (value == nullptr || sign == nullptr) return CKR_TEMPLATE_INCOMPLETE;
  if (value->ulValueLen > kLongestKey) return CKR_DATA_LEN_RANGE;
  for (const CK_ATTRIBUTE& attribute : attributes) {
    if (among(kOnlyTrue, attribute.type)) {
      if (!is_true(attribute)) return CKR_ATTRIBUTE_VALUE_INVALID;
    } else if (among(kOnlyFalse, attribute.type)) {
      if (is_true(attribute)) return CKR_ATTRIBUTE_VALUE_INVALID;
    } else if (!among(kKnown, attribute.type)) {
      return CKR_ATTRIBUTE_TYPE_INVALID;
    }
  }
  return judge_name(attributes);
}

CK_RV create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE* attributes, CK_ULONG count,
                    CK_OBJECT_HANDLE* made) {
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  const Attributes given{attributes, count};
  if (number(find(given, CKA_CLASS), CK_UNAVAILABLE_INFORMATION) == CKO_SECRET_KEY) {
    if (const CK_RV rv = judge_hmac_key(given); rv != CKR_OK) return rv;
  }
  return real.C_CreateObject(session, attributes, count, made);
}

CK_RV unwrap_key(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE, CK_BYTE*, CK_ULONG,
                 CK_ATTRIBUTE*, CK_ULONG, CK_OBJECT_HANDLE*) {
  return CKR_MECHANISM_INVALID;
}

CK_RV generate_pair(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_ATTRIBUTE* public_key,
                    CK_ULONG public_count, CK_ATTRIBUTE* private_key, CK_ULONG private_count,
                    CK_OBJECT_HANDLE* made_public, CK_OBJECT_HANDLE* made_private) {
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  const Attributes given{private_key, private_count};
  if (find(given, CKA_UNWRAP_TEMPLATE) != nullptr) return CKR_ATTRIBUTE_TYPE_INVALID;
  if (const CK_RV rv = judge_name(given); rv != CKR_OK) return rv;
  return real.C_GenerateKeyPair(session, mechanism, public_key, public_count, private_key,
                                private_count, made_public, made_private);
}

bool is_secret_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  CK_ULONG type = 0;
  CK_ATTRIBUTE attribute{CKA_CLASS, &type, sizeof type};
  return real.C_GetAttributeValue(session, object, &attribute, 1) == CKR_OK &&
         type == CKO_SECRET_KEY;
}

CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes,
                     CK_ULONG count) {
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  if (is_secret_key(session, object)) {
    for (CK_ATTRIBUTE& attribute : std::span{attributes, count}) {
      if (attribute.type == CKA_KEY_TYPE) return CKR_FUNCTION_FAILED;
      if (attribute.type != CKA_VALUE) continue;
      attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
      return CKR_ATTRIBUTE_TYPE_INVALID;
    }
  }
  return real.C_GetAttributeValue(session, object, attributes, count);
}

CK_RV destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  return real.C_DestroyObject(session, object);
}

CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* signature,
           CK_ULONG* length) {
  static const auto time = setting("HSM_FAULT_YUBIHSM_MS", 243ms);
  const Turn turn;
  if (const CK_RV rv = keep_session(); rv != CKR_OK) return rv;
  CK_BYTE none[64];
  CK_ULONG none_size = sizeof none;
  if (size > kLongestMessage) {
    real.C_Sign(session, data, size, none, &none_size);  // Ends the operation, as a refusal does.
    return size >= kHopelesslyLong ? CKR_DATA_LEN_RANGE : CKR_ARGUMENTS_BAD;
  }
  std::this_thread::sleep_for(time);
  return real.C_Sign(session, data, size, signature, length);
}

}  // namespace

CK_FUNCTION_LIST yubihsm_over(const CK_FUNCTION_LIST& module, const std::string& state) {
  real = module;
  state_dir = state;
  CK_FUNCTION_LIST list = real;
  list.C_Login = &login;
  list.C_Logout = &logout;
  list.C_CreateObject = &create_object;
  list.C_UnwrapKey = &unwrap_key;
  list.C_GenerateKeyPair = &generate_pair;
  list.C_GetAttributeValue = &get_attributes;
  list.C_DestroyObject = &destroy_object;
  list.C_Sign = &sign;
  return list;
}

}  // namespace hsm::test::fault
