// Checkpoints as C2SP signed notes (https://c2sp.org/signed-note), ECDSA P-256, signature type
// 0x02.
//
//   <checkpoint text>
//   (empty line)
//   — <key name> <base64(key id ‖ signature)>
//
// For type 0x02 the key id is the first four bytes of SHA-256 over the DER SubjectPublicKeyInfo
// (signed-note, "Signature types": not over name and type as for the other types). The signature is
// ECDSA over SHA-256 of the note text, ASN.1 DER as OpenSSL and PKCS #11 callers write it
// (github.com/transparency-dev, sigstore). The key name is the origin, as tlog-checkpoint asks.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/checkpoint_text.h"
#include "hsm_signer/base/result.h"

struct evp_pkey_st;

namespace hsm::audit {

// Bytes of one note. C2SP wants room for 16 signatures; ours has one, of about 110 bytes.
inline constexpr std::size_t kNoteLimit = 8 * 1024;
inline constexpr std::size_t kNoteSignatureLimit = 16;

struct Checkpoint {
  CheckpointText text;
  std::string key_name;
  bool operator==(const Checkpoint&) const = default;
};

// The public half of the audit key. Cheap to copy.
class AuditKey {
 public:
  // Code::usage where it is no P-256 public key.
  static Result<AuditKey> from_pem(std::string_view pem);
  static Result<AuditKey> from_spki(ByteView spki_der);

  const Bytes& spki() const { return spki_; }
  // "4f3a…": SHA-256 of the SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER |
  // sha256sum`.
  std::string fingerprint() const;
  bool verifies(std::string_view text, ByteView der_signature) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;
  Bytes spki_;
};

// The note of a text and a signature that the token made. `text` must be a checkpoint text; open()
// the note before relying on it: nothing is verified here.
std::string seal(std::string_view text, std::string_view key_name, ByteView spki_der,
                 ByteView der_signature);

// Verifies. Signatures under other names or key ids are passed over (C2SP: they may be witnesses');
// one under ours that does not verify, or none under ours, is verification_failed.
Result<Checkpoint> open_note(std::string_view note, const AuditKey& key);
Result<Checkpoint> open_note(std::string_view note, std::string_view public_key_pem);
// The same without a key: form only, for a log that reads back its own notes.
Result<CheckpointText> read_note_unverified(std::string_view note);

}  // namespace hsm::audit
