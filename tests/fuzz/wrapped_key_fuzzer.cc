// A wrapped key as bytes and as text, and a secret on its way into one. Random bytes never carry
// the right checksum, so the same input is read once more with its own behind it.
#include <algorithm>

#include "hsm_signer/wire/blob.h"
#include "tests/fuzz/demand.h"

namespace hsm::wire {
namespace {

using fuzz::demand;

// "HSMWRAP1" · wrap_key · key_check · length; SHA-256 at the end.
constexpr std::size_t kHead = 8 + 32 + 8 + 2;

bool same(const WrappedKey& a, const WrappedKey& b) {
  return a.wrap_key == b.wrap_key && a.key_check == b.key_check && a.ciphertext == b.ciphertext;
}

// One changed bit, anywhere, and one byte more or less.
void refuses_its_neighbours(const Bytes& bytes) {
  const std::size_t at = bytes[bytes.size() - 1] * bytes.size() / 256;
  Bytes flipped = bytes;
  flipped[at] = static_cast<Byte>(flipped[at] ^ (1U << (at % 8)));
  demand(!WrappedKey::decode(flipped), "a changed bit is refused");
  demand(!WrappedKey::decode(ByteView{bytes}.first(at)), "a truncated key is refused");
  Bytes longer = bytes;
  longer.push_back(0);
  demand(!WrappedKey::decode(longer), "a byte behind the end is refused");
}

void decodes_to_itself(ByteView bytes) {
  const auto key = WrappedKey::decode(bytes);
  if (!key) {
    fuzz::demand_sentence(key.error());
    return;
  }
  const Bytes again = key->encode();
  demand(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()),
         "a wrapped key has one spelling in bytes");
  demand(bytes.size() == kHead + key->ciphertext.size() + sizeof(Sha256) &&
             !key->ciphertext.empty() && as_text(bytes.first(8)) == "HSMWRAP1",
         "and it is the documented one");
  const auto from_text = WrappedKey::from_text(key->to_text());
  demand(from_text && same(*from_text, *key), "its text means the same");
  refuses_its_neighbours(again);
}

void reads_as_text(std::string_view text) {
  const auto key = WrappedKey::from_text(text);
  if (!key) {
    fuzz::demand_sentence(key.error());
    return;
  }
  const auto again = WrappedKey::from_text(key->to_text());
  demand(again && same(*again, *key), "a text written again means the same");
  decodes_to_itself(key->encode());
}

// Bytes between the two lines that a text needs.
void reads_between_its_lines(ByteView bytes) {
  std::string text = "-----BEGIN HSM-SIGNER WRAPPED KEY-----\n";
  text.append(base64_encode(bytes)).append("\n-----END HSM-SIGNER WRAPPED KEY-----\n");
  const auto as_text_key = WrappedKey::from_text(text);
  const auto as_bytes_key = WrappedKey::decode(bytes);
  demand(as_text_key.has_value() == as_bytes_key.has_value(),
         "text and bytes are taken and refused alike");
}

void keeps_what_it_macs(ByteView given) {
  const auto canonical = canonical_secret(SecretBytes::copy_of(given));
  if (!canonical) {
    fuzz::demand_sentence(canonical.error());
    return;
  }
  const std::size_t size = canonical->size();
  demand(size >= 48 && size <= 128, "a canonical secret has a size that every token takes");
  const ByteView stripped = given.back() == '\n' ? given.first(given.size() - 1) : given;
  demand(hmac_sha384(stripped, as_bytes("message")) ==
             hmac_sha384(canonical->view(), as_bytes("message")),
         "a canonical secret makes the MACs of the secret itself");
  demand(std::all_of(stripped.begin(), stripped.end(), [](Byte b) { return b > 32 && b < 127; }),
         "a secret is printable and without blanks");
}

void check(ByteView bytes) {
  decodes_to_itself(bytes);
  reads_as_text(as_text(bytes));
  reads_between_its_lines(bytes);
  keeps_what_it_macs(bytes);
  Bytes summed{bytes.begin(), bytes.end()};
  const Sha256 sum = sha256(bytes);
  summed.insert(summed.end(), sum.begin(), sum.end());
  decodes_to_itself(summed);
  reads_between_its_lines(summed);
}

}  // namespace
}  // namespace hsm::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::wire::check(hsm::ByteView{data, size});
  return 0;
}
