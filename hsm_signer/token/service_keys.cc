#include "hsm_signer/token/service_keys.h"

#include <sys/stat.h>

#include <array>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/token/vault.h"

namespace hsm::token {
namespace {

constexpr CK_ULONG kWrapKeyBits = 3072;
constexpr std::size_t kPemLimit = 16 * 1024;
// DER of the OID 1.2.840.10045.3.1.7, prime256v1 (RFC 5480 section 2.1.1.1).
constexpr std::array<Byte, 10> kP256{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
constexpr std::array<Byte, 3> kF4{0x01, 0x00, 0x01};

void identify(Template& attributes, const ServiceKey& key) {
  attributes.text(CKA_LABEL, key.label).bytes(CKA_ID, cka_id_bytes(key.cka_id));
}

Result<std::vector<CK_OBJECT_HANDLE>> find_private(const Session& session, const ServiceKey& key) {
  Template match;
  match.number(CKA_CLASS, CKO_PRIVATE_KEY).flag(CKA_TOKEN, true).text(CKA_LABEL, key.label);
  TRY(auto found, session.find(match));
  if (found.size() > 1)
    return fail(Code::quarantined, "the token holds two keys with one label",
                std::string{key.label});
  return found;
}

Template private_half(const ServiceKey& key) {
  Template attributes;
  attributes.flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false);
  identify(attributes, key);
  return attributes;
}

Result<void> generate_audit_key(const Session& session) {
  Template public_key;
  public_key.flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, false)
      .flag(CKA_VERIFY, true)
      .bytes(CKA_EC_PARAMS, kP256);
  identify(public_key, kAuditKey);
  Template private_key = private_half(kAuditKey);
  private_key.flag(CKA_SIGN, true);
  TRY_VOID(session.generate_pair(CKM_EC_KEY_PAIR_GEN, public_key, private_key));
  return {};
}

// UNWRAP and nothing else: with DECRYPT a blob plus the PIN would be the secret. The unwrap
// template closes the same gap for C_UnwrapKey itself, where the token enforces it (tokens.md
// section 1.5).
Result<void> generate_wrap_key(const Session& session, const Profile& profile) {
  Template public_key;
  public_key.flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, false)
      .flag(CKA_ENCRYPT, true)
      .flag(CKA_WRAP, true);
  public_key.number(CKA_MODULUS_BITS, kWrapKeyBits).bytes(CKA_PUBLIC_EXPONENT, kF4);
  identify(public_key, kWrapKey);
  Template private_key = private_half(kWrapKey);
  private_key.flag(CKA_UNWRAP, true).flag(CKA_DECRYPT, false).flag(CKA_SIGN, false);
  Template every_unwrapped_key;
  every_unwrapped_key.flag(CKA_SENSITIVE, true).flag(CKA_EXTRACTABLE, false).flag(CKA_SIGN, true);
  every_unwrapped_key.flag(CKA_TOKEN, true).flag(CKA_PRIVATE, true);
  if (profile.unwrap_template) private_key.nested(CKA_UNWRAP_TEMPLATE, every_unwrapped_key);
  TRY_VOID(session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, public_key, private_key));
  return {};
}

}  // namespace

Result<void> ensure_service_keys(const Session& session, const Profile& profile) {
  TRY(const auto audit, find_private(session, kAuditKey));
  if (audit.empty()) {
    TRY_VOID(generate_audit_key(session));
    log(Level::notice, "audit_key_generated", "EC P-256 in the token");
  }
  if (profile.way != SecretWay::unwrapped_in_token) return {};
  TRY(const auto wrap, find_private(session, kWrapKey));
  if (wrap.empty()) {
    TRY_VOID(generate_wrap_key(session, profile));
    log(Level::notice, "wrap_key_generated", "RSA-3072 in the token");
  }
  return {};
}

Result<CK_OBJECT_HANDLE> find_wrap_key(const Session& session) {
  TRY(const auto found, find_private(session, kWrapKey));
  if (found.empty())
    return fail(Code::token_unavailable, "the token has no wrap key",
                "the admin worker generates it at start");
  return found.front();
}

Result<void> publish(const std::string& path, const std::string& pem) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return write_file_atomic(path, as_bytes(pem), 0644);
  TRY(const Bytes there, read_file(path, kPemLimit));
  if (as_text(there) == pem) return {};
  return fail(Code::usage, "the file holds another public key than the token",
              path + "; find out why, then move the file away");
}

}  // namespace hsm::token
