// An SSH signature as text and as blob, the key in it, and the verifier behind both. The corpus
// holds signatures over kText by a key of each type, so that mutants come close to verifying.
#include <algorithm>
#include <string>

#include "hsm_signer/officers/ssh_wire.h"
#include "hsm_signer/officers/verify.h"
#include "tests/fuzz/demand.h"

namespace hsm::officers {
namespace {

using fuzz::demand;

constexpr std::string_view kText = "verb: approve\n";
constexpr std::string_view kOtherText = "verb: approve";

bool same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

// RFC 4251 section 5: how a magnitude is written.
void append_mpint(Bytes& out, Bytes magnitude) {
  if ((magnitude.front() & 0x80) != 0) magnitude.insert(magnitude.begin(), 0);
  append_string(out, magnitude);
}

std::string_view curve_of(KeyType type) {
  switch (type) {
    case KeyType::ecdsa_p256:
    case KeyType::sk_ecdsa_p256:
      return "nistp256";
    case KeyType::ecdsa_p384:
      return "nistp384";
    case KeyType::ecdsa_p521:
      return "nistp521";
    default:
      return {};
  }
}

// The key put together again from what was read of it.
void has_one_spelling(const PublicKey& key) {
  if (key.type() == KeyType::rsa) {
    Bytes modulus;
    append_mpint(modulus, key.material());
    demand(key.blob().size() > modulus.size() &&
               same(ByteView{key.blob()}.last(modulus.size()), modulus),
           "the modulus ends the key, in its shortest form");
    demand(key.material().size() >= 384 && key.material().size() <= 1024, "RSA has its bounds");
    return;
  }
  Bytes blob;
  append_string(blob, name(key.type()));
  if (!curve_of(key.type()).empty()) append_string(blob, curve_of(key.type()));
  append_string(blob, key.material());
  if (is_security_key(key.type())) append_string(blob, key.application());
  demand(same(blob, key.blob()), "a key has one spelling");
}

void reads_key(ByteView bytes) {
  const auto key = PublicKey::decode(bytes);
  const std::string base64 = base64_encode(bytes);
  if (!key) {
    fuzz::demand_sentence(key.error());
    demand(!PublicKey::from_line("ssh-ed25519 " + base64), "nor is it one in a line");
    return;
  }
  demand(same(key->blob(), bytes), "a key keeps its bytes");
  has_one_spelling(*key);
  const std::string line = std::string{name(key->type())} + " " + base64;
  for (const std::string& spelling : {line, line + " comment"}) {
    const auto again = PublicKey::from_line(spelling);
    demand(again && same(again->blob(), bytes), "a key in a line is the same key");
    demand(again->fingerprint() == key->fingerprint(), "with the same fingerprint");
  }
  demand(!PublicKey::from_line("x" + line), "a line says which type its key is");
}

// Nobody finds a signature by mutation: what verifies was in the corpus, or is the twin of one.
void judges(const Signature& signature) {
  const auto verified = verify(signature, as_bytes(kText), signature.name_space);
  if (!verified) {
    fuzz::demand_sentence(verified.error());
    return;
  }
  demand(same(verified->key(), signature.public_key), "who signed is who is named");
  demand(verified->text() == sha256(as_bytes(kText)), "and what, is what was asked");
  demand(
      is_security_key(verified->type()) || !(verified->user_present() || verified->user_verified()),
      "only a security key knows of a touch");
  demand(!verify(signature, as_bytes(kOtherText), signature.name_space),
         "a signature is over one text");
  demand(!verify(signature, as_bytes(kText), signature.name_space + "x"), "and for one purpose");
  Signature renamed = signature;
  renamed.name_space += "x";
  demand(!verify(renamed, as_bytes(kText), renamed.name_space), "which is signed too");
  renamed = signature;
  renamed.hash = signature.hash == TextHash::sha256 ? TextHash::sha512 : TextHash::sha256;
  demand(!verify(renamed, as_bytes(kText), renamed.name_space), "and so is the hash");
  renamed = signature;
  renamed.signature.push_back(0);
  demand(!verify(renamed, as_bytes(kText), renamed.name_space), "nothing stands behind a value");
}

void reads_blob(ByteView bytes) {
  const auto signature = Signature::decode(bytes);
  if (!signature) {
    fuzz::demand_sentence(signature.error());
    return;
  }
  demand(same(signature->encode(), bytes), "a signature has one blob");
  demand(!signature->name_space.empty() && is_printable(signature->name_space),
         "a purpose has a name");
  Bytes longer{bytes.begin(), bytes.end()};
  longer.push_back(0);
  demand(!Signature::decode(longer), "a byte behind the end is refused");
  demand(!Signature::decode(bytes.first(bytes.size() - 1)), "a truncated signature is refused");
  reads_key(signature->public_key);
  judges(*signature);
}

void reads_text(std::string_view text) {
  const auto signature = Signature::from_text(text);
  if (!signature) {
    fuzz::demand_sentence(signature.error());
    return;
  }
  demand(signature->to_text() == text, "a signature has one text");
  demand(!Signature::from_text(std::string{text} + "\n"), "an empty line behind it is refused");
  reads_blob(signature->encode());
}

// Bytes in the armor that a text needs: taken and refused as the blob is.
void reads_in_armor(ByteView bytes) {
  const std::string base64 = base64_encode(bytes);
  std::string text = "-----BEGIN SSH SIGNATURE-----\n";
  for (std::size_t at = 0; at < base64.size(); at += 70) text.append(base64, at, 70).append("\n");
  text += "-----END SSH SIGNATURE-----\n";
  const auto in_armor = Signature::from_text(text);
  demand(in_armor.has_value() == Signature::decode(bytes).has_value(),
         "text and blob are taken and refused alike");
  demand(!in_armor || in_armor->to_text() == text, "and the text is the one");
}

void check(ByteView bytes) {
  reads_text(as_text(bytes));
  reads_blob(bytes);
  reads_in_armor(bytes);
  reads_key(bytes);
}

}  // namespace
}  // namespace hsm::officers

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::officers::check(hsm::ByteView{data, size});
  return 0;
}
