// Messages of <token>.sock and <token>.admin.sock, between hsm-signerd, hsm-signerctl and
// hsm-tokend.
#pragma once

#include "hsm_signer/base/hash.h"
#include "hsm_signer/wire/hello.h"

namespace hsm::wire {

using KeyCheck = std::array<Byte, 8>;

struct InfoQuery {
  static constexpr Type kType = Type::info;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

struct Info {
  std::string token;
  std::string profile;
  std::uint32_t workers = 0;        // Signing workers this host runs; connect as often.
  std::uint32_t depth = 0;          // Most frames that may wait inside one worker.
  std::uint64_t worker_id = 0;      // Of the worker on this connection.
  std::uint32_t payload_limit = 0;  // Of base64 text, bytes.
  Bytes audit_key;                  // SubjectPublicKeyInfo, DER, of the checkpoint key.
  std::string software{};           // Version of the host's program; may be empty.
  Bytes binary_sha256{};            // Of its executable file, as it says itself; may be empty.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.token);
    visit.required(2, self.profile);
    visit.required(3, self.workers);
    visit.required(4, self.depth);
    visit.required(5, self.worker_id);
    visit.required(6, self.payload_limit);
    visit.required(7, self.audit_key);
    visit.optional(8, self.software);
    visit.optional(9, self.binary_sha256);
  }
};

// HMAC-SHA384 over base64 text. The ceiling decodes and judges it again.
struct MacRequest {
  static constexpr Type kType = Type::mac;
  std::string label;  // CKA_LABEL, "name.vN".
  std::uint16_t cka_id = 0;
  KeyCheck key_check{};  // Compared at every find.
  Bytes message;
  std::string statements;   // A signed statement (officers/bundle.h) where the ceiling demands one.
  bool production = false;  // As the registry has the key; a ceiling for sandbox keys refuses it.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.label);
    visit.required(2, self.cka_id);
    visit.required(3, self.key_check);
    visit.required(4, self.message);
    visit.optional(5, self.statements);
    visit.optional(6, self.production);
  }
};

struct MacAnswer {
  Mac mac{};
  std::uint64_t worker_id = 0;
  std::uint64_t counter = 0;  // Of this worker, from 1, without holes.
  Sha256 digest{};            // Of all that it signed (usage_digest(), base/usage_text.h).

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.mac);
    visit.required(2, self.worker_id);
    visit.required(3, self.counter);
    visit.required(4, self.digest);
  }
};

struct ListObjects {
  static constexpr Type kType = Type::list;
  std::uint32_t offset = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.offset);
  }
};

struct ObjectItem {
  std::string label;
  std::uint16_t cka_id = 0;

  bool operator==(const ObjectItem&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.label);
    visit.required(2, self.cka_id);
  }
};

struct ObjectList {
  std::uint32_t total = 0;
  std::vector<ObjectItem> objects;  // At most 256 from `offset`.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.total);
    visit.optional(2, self.objects);
  }
};

// Names an object: key_check, forget (answer Done), destroy (answer Done).
struct ObjectRef {
  std::string label;
  std::uint16_t cka_id = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.label);
    visit.required(2, self.cka_id);
  }
};

struct KeyCheckAnswer {
  KeyCheck key_check{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key_check);
  }
};

// Answer to import. `decrypted_by`: "token" where the secret was unwrapped inside it, "host" where
// hsm-tokend had it in its memory for an instant because the token cannot unwrap.
struct Imported {
  KeyCheck key_check{};
  std::string decrypted_by;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.key_check);
    visit.required(2, self.decrypted_by);
  }
};

// Only a well-formed checkpoint text is signed: ECDSA P-256 over SHA-256, DER.
struct SignCheckpoint {
  static constexpr Type kType = Type::sign_checkpoint;
  std::string text;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.text);
  }
};

struct CheckpointSignature {
  Bytes signature;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.signature);
  }
};

struct WorkerRef {
  std::uint64_t worker_id = 0;

  bool operator==(const WorkerRef&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.worker_id);
  }
};

struct UsageQuery {
  static constexpr Type kType = Type::usage;
  std::vector<WorkerRef> recorded{};  // Of Usage::ended: the host need not keep what they said.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.recorded);
  }
};

// `text` is a usage_text() (base/usage_text.h), signed as a checkpoint is.
struct SignedUsage {
  std::string text;
  Bytes signature;

  bool operator==(const SignedUsage&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.text);
    visit.required(2, self.signature);
  }
};

struct Usage {
  std::string text;  // Of the worker that answers; as in SignedUsage.
  Bytes signature;
  std::vector<SignedUsage> ended{};  // At most 16: last words of workers that are gone.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.text);
    visit.required(2, self.signature);
    visit.optional(3, self.ended);
  }
};

// <token>.admin.sock. `blob` is WrappedKey (wire/blob.h) in its binary form.
struct Import {
  static constexpr Type kType = Type::import;
  std::string label;
  std::uint16_t cka_id = 0;
  Bytes blob;
  bool production = false;  // As in MacRequest.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.label);
    visit.required(2, self.cka_id);
    visit.required(3, self.blob);
    visit.optional(4, self.production);
  }
};

struct Generate {
  static constexpr Type kType = Type::generate;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

struct WrapKeyQuery {
  static constexpr Type kType = Type::wrap_key;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

struct PublicKeyAnswer {
  std::string pem;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.pem);
  }
};

}  // namespace hsm::wire
