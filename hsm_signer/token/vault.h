// The HMAC keys of one token. The real one (token_vault.h) stands over a PKCS#11 session;
// tests/support has a fake, and one contract suite runs on both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/wire/blob.h"

namespace hsm::token {

// An object of the token. `label` is "name.vN" (base/ids.h key_label), `cka_id` two bytes,
// big-endian in CKA_ID, never 0 and below kReservedIds.
struct ObjectName {
  std::string label;
  std::uint16_t cka_id = 0;
  bool operator==(const ObjectName&) const = default;
};
// From here on CKA_IDs belong to the token host itself (service_keys.h).
inline constexpr std::uint16_t kReservedIds = 0xff00;

// A name, and the value that the key must prove itself with.
struct KeyRef {
  ObjectName object;
  wire::KeyCheckValue key_check{};
};

// Errors of all: key_not_active (no such key), quarantined (two objects share the label or the
// CKA_ID, the key-check value is another, or the key cannot make one), token_unavailable with ck_rv
// (the token failed).
class Vault {
 public:
  virtual ~Vault() = default;

  // Every HMAC key of this project, by label.
  virtual Result<std::vector<ObjectName>> list() = 0;
  // Finds the key and proves it by its key-check value, unless that was done before.
  virtual Result<void> find(const KeyRef& key) = 0;
  // HMAC-SHA384 over `message`; find() comes first by itself.
  virtual Result<Mac> mac(const KeyRef& key, ByteView message) = 0;
  // Has a key that was found make its key-check value anew. quarantined: it is another than it was,
  // so the token signs wrongly.
  virtual Result<void> canary(const KeyRef& key) = 0;
  // Asks the token each time.
  virtual Result<wire::KeyCheckValue> key_check(const ObjectName& object) = 0;
  // Drops what is remembered of an object, so that the next use finds and proves it again.
  virtual void forget(const ObjectName& object) = 0;

  // Unwraps inside the token, reads back, proves; on any doubt the object is destroyed and the
  // import fails. usage: a reserved or impossible name, label or CKA_ID taken, a blob for another
  // token, a blob that does not unwrap or holds another key than it says.
  virtual Result<void> import(const ObjectName& object, const wire::WrappedKey& blob) = 0;
  virtual Result<void> destroy(const ObjectName& object) = 0;
  // SubjectPublicKeyInfo in PEM of the key that blobs are wrapped to.
  virtual Result<std::string> wrap_key_pem() = 0;
  // Who has the secret in its memory during import(): "token" or "host".
  virtual std::string_view decrypted_by() const = 0;
};

// Key name and version of a label "name.vN".
struct KeyLabel {
  std::string_view name;
  std::uint32_t version;
};
Result<KeyLabel> parse_key_label(std::string_view label);
// The checks on a name that need no token: a label that parse_key_label() takes, a CKA_ID not
// reserved.
Result<void> check_object_name(const ObjectName& object);
// The two bytes of CKA_ID.
Bytes cka_id_bytes(std::uint16_t id);

}  // namespace hsm::token
