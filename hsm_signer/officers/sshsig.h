// A detached SSH signature, as `ssh-keygen -Y sign` writes it (PROTOCOL.sshsig of OpenSSH, version
// 1): parsed, not yet believed. verify.h says whose it is and over what.
//
// The room of officers' statements is pure: no file, no clock, no program is executed. hsm-signerd
// and hsm-tokend will both judge statements with it, each with its own allowed_officers file, and
// hsm-signerctl will check a signature before it is sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::officers {

// The lines around an armored signature (PROTOCOL.sshsig, "Armored format").
inline constexpr std::string_view kSshsigBegin = "-----BEGIN SSH SIGNATURE-----\n";
inline constexpr std::string_view kSshsigEnd = "-----END SSH SIGNATURE-----\n";

// What officers' signatures are for: ssh-keygen -Y sign -n hsm-signer-v1.
inline constexpr std::string_view kNamespace = "hsm-signer-v1";

// In front of the signature and in front of what is signed.
inline constexpr std::string_view kPreamble = "SSHSIG";

// What the text is hashed with before it is signed.
enum class TextHash : std::uint8_t { sha256, sha512 };
std::string_view name(TextHash hash);

// A signature by the longest RSA key that is taken (ssh_key.h) has some 2,200 bytes.
inline constexpr std::size_t kMostSignatureBytes = 4096;

struct Signature {
  Bytes public_key;  // As ssh_key.h decodes it.
  std::string name_space;
  TextHash hash = TextHash::sha512;
  Bytes signature;  // Algorithm, value and, from a security key, flags and counter.

  // The armored form and nothing else: each blob has one text, with lines of 70 characters and a
  // newline behind each, and each text one blob. invalid_payload otherwise; too_large.
  static Result<Signature> from_text(std::string_view text);
  std::string to_text() const;
  // "SSHSIG" · version 1 · public key · namespace · reserved, empty · hash algorithm · signature.
  static Result<Signature> decode(ByteView blob);
  Bytes encode() const;
};

}  // namespace hsm::officers
