#include "hsm_signer/token/token_vault.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/log.h"
#include "hsm_signer/token/login.h"
#include "hsm_signer/token/service_keys.h"

namespace hsm::token {
namespace {

// The object is there and cannot be a whole key: an import that was killed may leave one without a
// value (SoftHSM writes name and value one after the other).
bool blames_the_key(CK_RV rv) {
  return rv == CKR_KEY_SIZE_RANGE || rv == CKR_KEY_TYPE_INCONSISTENT ||
         rv == CKR_KEY_FUNCTION_NOT_PERMITTED;
}

// No reuse of a template over two calls: modules may write to what they are given.
Template hmac_key_template(const ObjectName& object, CK_KEY_TYPE type) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY).number(CKA_KEY_TYPE, type);
  attributes.flag(CKA_TOKEN, true).flag(CKA_PRIVATE, true).flag(CKA_SENSITIVE, true);
  attributes.flag(CKA_EXTRACTABLE, false).flag(CKA_SIGN, true).flag(CKA_VERIFY, true);
  attributes.text(CKA_LABEL, object.label).bytes(CKA_ID, cka_id_bytes(object.cka_id));
  return attributes;
}

std::string shown(const ObjectName& object) {
  return object.label + " with CKA_ID " + hex_encode(cka_id_bytes(object.cka_id));
}

}  // namespace

TokenVault::TokenVault(Session session, const Profile& profile, const WrapKey& wrap_key)
    : session_{std::move(session)}, profile_{profile}, wrap_key_{wrap_key} {}

Result<Bytes> TokenVault::name_part(CK_OBJECT_HANDLE handle, CK_ATTRIBUTE_TYPE type) const {
  auto value = session_.attribute(handle, type);
  if (value || !is_withheld_attribute(value.error().ck_rv)) return value;
  // Our own keys have both attributes to read, so this one is another program's and must not cost
  // us ours. Empty is what no name of ours is.
  if (!std::exchange(foreign_logged_, true))
    log(Level::notice, "foreign_key",
        "passed over, without a CKA_LABEL or CKA_ID that can be read: " +
            ckr_name(value.error().ck_rv));
  return Bytes{};
}

Result<std::vector<TokenVault::Seen>> TokenVault::scan() const {
  Template match;
  match.number(CKA_CLASS, CKO_SECRET_KEY).flag(CKA_TOKEN, true);
  TRY(const auto handles, session_.find(match));
  // Without its login a token shows no private object, and says nothing.
  TRY_VOID(session_.sees_private_objects());
  std::vector<Seen> seen;
  for (const CK_OBJECT_HANDLE handle : handles) {
    auto label = name_part(handle, CKA_LABEL);
    auto id = name_part(handle, CKA_ID);
    if (label && id) {
      seen.push_back({std::string{as_text(*label)}, *std::move(id), handle});
      continue;
    }
    Error error = label ? std::move(id).error() : std::move(label).error();
    // Destroyed by another process since the search.
    if (remedy_of(error) != Remedy::find_again) return fail(std::move(error));
  }
  return seen;
}

Result<std::vector<ObjectName>> TokenVault::list() {
  TRY(const std::vector<Seen> seen, scan());
  std::vector<ObjectName> names;
  for (const Seen& object : seen) {
    if (object.id.size() != 2) continue;
    ObjectName name{object.label, static_cast<std::uint16_t>(object.id[0] << 8 | object.id[1])};
    if (check_object_name(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end(),
            [](const ObjectName& a, const ObjectName& b) { return a.label < b.label; });
  return names;
}

Result<CK_OBJECT_HANDLE> TokenVault::locate(const ObjectName& object) const {
  TRY_VOID(check_object_name(object));
  TRY(const std::vector<Seen> seen, scan());
  const Bytes id = cka_id_bytes(object.cka_id);
  const Seen* found = nullptr;
  std::size_t relatives = 0;
  for (const Seen& other : seen) {
    if (other.label != object.label && other.id != id) continue;
    ++relatives;
    if (other.label == object.label && other.id == id) found = &other;
  }
  if (relatives > 1)
    return fail(Code::quarantined, "two objects of the token share a label or a CKA_ID",
                shown(object));
  if (found == nullptr)
    return fail(Code::key_not_active, "the token holds no such key", shown(object));
  return found->handle;
}

Result<wire::KeyCheckValue> TokenVault::key_check_of(CK_OBJECT_HANDLE handle) const {
  auto mac = session_.hmac_sha384(handle, as_bytes(wire::kKeyCheckText));
  if (!mac && blames_the_key(mac.error().ck_rv) && remedy_of(mac.error()) == Remedy::none) {
    mac.error().code = Code::quarantined;
    mac.error().what = "the key in the token is not whole";
  }
  if (!mac) return fail(std::move(mac).error());
  wire::KeyCheckValue value;
  std::copy_n(mac->begin(), value.size(), value.begin());
  return value;
}

Result<TokenVault::Proven*> TokenVault::proven(const KeyRef& key) {
  if (const auto known = proven_.find(key.object.label);
      known != proven_.end() && known->second.key.object == key.object &&
      equal_constant_time(known->second.key.key_check, key.key_check))
    return &known->second;
  proven_.erase(key.object.label);
  TRY(const CK_OBJECT_HANDLE handle, locate(key.object));
  TRY(const wire::KeyCheckValue value, key_check_of(handle));
  if (!equal_constant_time(value, key.key_check))
    return fail(Code::quarantined, "the key in the token is not the one that was registered",
                shown(key.object));
  return &proven_.emplace(key.object.label, Proven{key, handle}).first->second;
}

template <class Call>
auto TokenVault::with_key(const KeyRef& key, Call call) -> decltype(call(CK_OBJECT_HANDLE{})) {
  for (bool again = true;; again = false) {
    TRY(const Proven* known, proven(key));
    auto result = call(known->handle);
    if (result || !again) return result;
    const Remedy helps = remedy_of(result.error());
    if (helps == Remedy::find_again)
      forget(key.object);
    else if (helps != Remedy::retry)
      return result;
  }
}

Result<void> TokenVault::find(const KeyRef& key) {
  TRY_VOID(proven(key));
  return {};
}

Result<Mac> TokenVault::mac(const KeyRef& key, ByteView message) {
  return with_key(key,
                  [&](CK_OBJECT_HANDLE handle) { return session_.hmac_sha384(handle, message); });
}

Result<void> TokenVault::canary(const KeyRef& key) {
  auto value = with_key(key, [&](CK_OBJECT_HANDLE handle) { return key_check_of(handle); });
  // The key is whole, for it has proved itself: what the token says against it now may pass.
  if (!value && value.error().ck_rv != 0) value.error().code = Code::token_unavailable;
  if (!value) return fail(std::move(value).error());
  if (equal_constant_time(*value, key.key_check)) return {};
  return fail(Code::quarantined, "a key that signed rightly signs wrongly now", shown(key.object));
}

Result<wire::KeyCheckValue> TokenVault::key_check(const ObjectName& object) {
  TRY(const CK_OBJECT_HANDLE handle, locate(object));
  return key_check_of(handle);
}

void TokenVault::forget(const ObjectName& object) { proven_.erase(object.label); }

Result<CK_OBJECT_HANDLE> TokenVault::make_key(const ObjectName& object,
                                              const wire::WrappedKey& blob) const {
  Error last;
  for (const CK_KEY_TYPE type : profile_.key_types) {
    Template attributes = hmac_key_template(object, type);
    auto handle = wrap_key_.make_key(session_, blob.ciphertext, attributes);
    if (handle) return handle;
    last = std::move(handle).error();
    if (last.ck_rv != CKR_ATTRIBUTE_VALUE_INVALID) break;  // Only this says "not this key type".
  }
  return fail(std::move(last));
}

Result<void> TokenVault::check_imported(CK_OBJECT_HANDLE handle, const ObjectName& object,
                                        const wire::WrappedKey& blob) const {
  // openCryptoki 3.8.1 ignores SENSITIVE and EXTRACTABLE in C_UnwrapKey; the attributes alone prove
  // nothing.
  TRY(const bool readable, session_.value_readable(handle));
  if (readable)
    return fail(Code::token_unavailable, "the token would give the imported secret away");
  TRY(const bool sensitive, session_.flag(handle, CKA_SENSITIVE));
  TRY(const bool extractable, session_.flag(handle, CKA_EXTRACTABLE));
  TRY(const bool is_private, session_.flag(handle, CKA_PRIVATE));
  if (!sensitive || extractable || !is_private)
    return fail(Code::token_unavailable,
                "the token did not keep the protection of the imported key");
  TRY(const Bytes label, session_.attribute(handle, CKA_LABEL));
  TRY(const Bytes id, session_.attribute(handle, CKA_ID));
  if (as_text(label) != object.label || id != cka_id_bytes(object.cka_id))
    return fail(Code::token_unavailable, "the token did not keep the name of the imported key");
  TRY(const wire::KeyCheckValue value, key_check_of(handle));
  if (!equal_constant_time(value, blob.key_check))
    return fail(Code::usage, "the wrapped key holds another secret than it says");
  return {};
}

Result<void> TokenVault::import(const ObjectName& object, const wire::WrappedKey& blob) {
  TRY_VOID(check_object_name(object));
  TRY(const Bytes wrap_public, wrap_key_.public_der());
  if (blob.wrap_key != sha256(wrap_public))
    return fail(Code::usage, "this wrapped key is for another token",
                "it was made for " + wire::fingerprint_text(blob.wrap_key));
  TRY(const std::vector<Seen> seen, scan());
  const Bytes id = cka_id_bytes(object.cka_id);
  for (const Seen& other : seen) {
    // NSS would replace the other key without a word (tokens.md section 1.4).
    if (other.label == object.label || other.id == id)
      return fail(Code::usage, "the token holds this label or CKA_ID already", shown(object));
  }
  TRY(const CK_OBJECT_HANDLE handle, make_key(object, blob));
  auto checked = check_imported(handle, object, blob);
  if (checked) return {};
  Error error = std::move(checked).error();
  error.detail += error.detail.empty() ? "" : "; ";
  error.detail += session_.destroy(handle) ? "the object was destroyed"
                                           : "and the object could not be destroyed";
  return fail(std::move(error));
}

Result<void> TokenVault::destroy(const ObjectName& object) {
  forget(object);
  TRY(const CK_OBJECT_HANDLE handle, locate(object));
  return session_.destroy(handle);
}

Result<std::string> TokenVault::wrap_key_pem() {
  TRY(const Bytes der, wrap_key_.public_der());
  return public_key_pem(der);
}

}  // namespace hsm::token
