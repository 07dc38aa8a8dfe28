// An API secret on its way into a token: the canonical key, encrypted to the token's RSA wrap key.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/hash.h"

namespace hsm::wire {

// First 8 bytes of HMAC-SHA384(key, kKeyCheckText). The text holds NUL and space and so is no
// base64: this can never be a signature that the exchange would accept.
inline constexpr std::string_view kKeyCheckText{"\0hsm-signer kcv v1\0", 19};
using KeyCheckValue = std::array<Byte, 8>;
KeyCheckValue key_check_value(ByteView key);

inline constexpr std::size_t kSecretLimit = 4096;
// The form in which every token takes an HMAC-SHA384 key (HMAC pads and hashes the same way, RFC
// 2104 section 2, so the MAC is that of the secret): under 48 bytes zero-padded to 48, 49 to 128 as
// is, longer its SHA-384. Strips one trailing newline. Refuses empty, white space, non-printable
// bytes, a trailing zero byte.
Result<SecretBytes> canonical_secret(SecretBytes secret);

struct WrappedKey {
  Sha256 wrap_key{};  // SHA-256 of the wrap key's SubjectPublicKeyInfo, DER.
  KeyCheckValue key_check{};
  Bytes ciphertext;  // RSAES-OAEP (RFC 8017 section 7.1), SHA-1 and MGF1-SHA-1: all that SoftHSM
                     // unwraps.

  // "HSMWRAP1" · wrap_key · key_check · u16 length · ciphertext · SHA-256 of everything before.
  Bytes encode() const;
  static Result<WrappedKey> decode(ByteView bytes);
  // The same bytes as text, for files: "-----BEGIN HSM-SIGNER WRAPPED KEY-----" and base64 (RFC
  // 7468).
  std::string to_text() const;
  static Result<WrappedKey> from_text(std::string_view text);
};

// `public_key_pem`: SubjectPublicKeyInfo of an RSA key of 3072 bits or more.
Result<WrappedKey> wrap(const SecretBytes& canonical, std::string_view public_key_pem);
// SHA-256 of the SubjectPublicKeyInfo; shown to people as "SHA256:" and lower-case hex.
Result<Sha256> fingerprint(std::string_view public_key_pem);
std::string fingerprint_text(const Sha256& fingerprint);

}  // namespace hsm::wire
