#include "hsm_signer/audit/checkpoint.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace hsm::audit {
namespace {

constexpr std::string_view kSignatureMark = "\xe2\x80\x94 ";  // U+2014 and a space.
constexpr std::size_t kKeyIdSize = 4;

using KeyId = std::array<Byte, kKeyIdSize>;

KeyId key_id(ByteView spki) {
  const Sha256 digest = sha256(spki);
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

auto refuse(std::string_view why) {
  return fail(Code::verification_failed, "not a valid checkpoint note", std::string{why});
}

Bytes spki_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return {};
  Bytes bytes(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

bool is_p256(EVP_PKEY* key) {
  std::array<char, 32> group{};
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::string_view{group.data()} == "prime256v1";
}

struct SignatureLine {
  std::string_view name;
  Bytes bytes;  // key id ‖ signature
};

Result<SignatureLine> parse_signature_line(std::string_view line) {
  if (!line.starts_with(kSignatureMark)) return refuse("a signature line without its dash");
  line.remove_prefix(kSignatureMark.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0) return refuse("a signature without key name");
  Result<Bytes> bytes = base64_decode_canonical(line.substr(space + 1));
  if (!bytes || bytes->size() <= kKeyIdSize) return refuse("a signature that is not base64");
  return SignatureLine{.name = line.substr(0, space), .bytes = *std::move(bytes)};
}

struct Note {
  std::string_view text;  // With its last newline.
  std::vector<SignatureLine> signatures;
};

Result<Note> split_note(std::string_view note) {
  if (note.size() > kNoteLimit) return refuse("too long");
  // The text ends at the last empty line (signed-note, "Format").
  const std::size_t blank = note.rfind("\n\n");
  if (blank == std::string_view::npos || !note.ends_with('\n')) return refuse("no signature part");
  Note split{.text = note.substr(0, blank + 1), .signatures = {}};
  for (std::string_view rest = note.substr(blank + 2); !rest.empty();) {
    const std::size_t end = rest.find('\n');
    TRY(SignatureLine line, parse_signature_line(rest.substr(0, end)));
    split.signatures.push_back(std::move(line));
    if (split.signatures.size() > kNoteSignatureLimit) return refuse("too many signatures");
    rest.remove_prefix(end + 1);
  }
  if (split.signatures.empty()) return refuse("no signature");
  return split;
}

}  // namespace

Result<AuditKey> AuditKey::from_spki(ByteView spki_der) {
  const unsigned char* at = spki_der.data();
  AuditKey key;
  key.key_.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki_der.size())), &EVP_PKEY_free);
  ERR_clear_error();
  if (key.key_ == nullptr || at != spki_der.data() + spki_der.size() || !is_p256(key.key_.get()))
    return fail(Code::usage, "the audit key is not an EC P-256 public key");
  key.spki_.assign(spki_der.begin(), spki_der.end());
  return key;
}

Result<AuditKey> AuditKey::from_pem(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
  ERR_clear_error();
  if (key == nullptr)
    return fail(Code::usage, "the audit key is not a public key in PEM (BEGIN PUBLIC KEY)");
  return from_spki(spki_of(key.get()));
}

std::string AuditKey::fingerprint() const { return hex_encode(sha256(spki_)); }

bool AuditKey::verifies(std::string_view text, ByteView der_signature) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  const ByteView bytes = as_bytes(text);
  const bool valid =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), der_signature.data(), der_signature.size(), bytes.data(),
                       bytes.size()) == 1;
  ERR_clear_error();
  return valid;
}

std::string seal(std::string_view text, std::string_view key_name, ByteView spki_der,
                 ByteView der_signature) {
  const KeyId id = key_id(spki_der);
  Bytes bytes(id.begin(), id.end());
  bytes.insert(bytes.end(), der_signature.begin(), der_signature.end());
  return std::string{text} + "\n" + std::string{kSignatureMark} + std::string{key_name} + " " +
         base64_encode(bytes) + "\n";
}

Result<Checkpoint> open_note(std::string_view note, const AuditKey& key) {
  TRY(const Note split, split_note(note));
  const Result<CheckpointText> text = parse_checkpoint_text(split.text);
  if (!text) return refuse(text.error().sentence());
  const KeyId ours = key_id(key.spki());
  bool verified = false;
  for (const SignatureLine& line : split.signatures) {
    const bool same_id = std::equal(ours.begin(), ours.end(), line.bytes.begin());
    if (line.name != text->origin || !same_id) continue;
    if (!key.verifies(split.text, ByteView{line.bytes}.subspan(kKeyIdSize)))
      return refuse("the signature does not match");
    verified = true;
  }
  if (!verified) return refuse("not signed with this key under the name of its origin");
  return Checkpoint{.text = *text, .key_name = text->origin};
}

Result<Checkpoint> open_note(std::string_view note, std::string_view public_key_pem) {
  TRY(const AuditKey key, AuditKey::from_pem(public_key_pem));
  return open_note(note, key);
}

Result<CheckpointText> read_note_unverified(std::string_view note) {
  TRY(const Note split, split_note(note));
  const Result<CheckpointText> text = parse_checkpoint_text(split.text);
  if (!text) return refuse(text.error().sentence());
  return *text;
}

}  // namespace hsm::audit
