#include "hsm_signer/officers/sshsig.h"

#include <algorithm>
#include <array>

#include "hsm_signer/base/terms.h"
#include "hsm_signer/officers/ssh_wire.h"

namespace hsm::officers {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kLine = 70;  // What ssh-keygen writes; PROTOCOL.sshsig only says "should".
constexpr std::size_t kMostNamespace = 64;
constexpr std::size_t kMostHashName = 16;
constexpr std::string_view kDamagedSignature = "the SSH signature is damaged";
constexpr std::string_view kNotArmored = "not an SSH signature as ssh-keygen -Y sign writes it";

constexpr std::array kHashes{Spelling<TextHash>{TextHash::sha256, "sha256"},
                             Spelling<TextHash>{TextHash::sha512, "sha512"}};

constexpr std::size_t armored_size(std::size_t blob) {
  const std::size_t base64 = base64_size(blob);
  return kSshsigBegin.size() + base64 + (base64 + kLine - 1) / kLine + kSshsigEnd.size();
}

tl::unexpected<Error> not_armored(std::string detail) {
  return fail(Code::invalid_payload, kNotArmored, std::move(detail));
}

// Takes the line ends out of what stands between the first and the last line.
Result<std::string> join_lines(std::string_view body) {
  std::string base64;
  base64.reserve(body.size());
  for (std::size_t line = 2; !body.empty(); ++line) {
    const std::size_t size = body.find('\n');
    if (size == std::string_view::npos) return not_armored("the last line of base64 has no end");
    const bool last = size + 1 == body.size();
    if (size == 0 || size > kLine || (!last && size != kLine))
      return not_armored("line " + std::to_string(line) + " has " + std::to_string(size) +
                         " characters; all but the last have " + std::to_string(kLine));
    base64.append(body.substr(0, size));
    body.remove_prefix(size + 1);
  }
  return base64;
}

}  // namespace

std::string_view name(TextHash hash) { return spelled(kHashes, hash); }

Result<Signature> Signature::from_text(std::string_view text) {
  constexpr std::size_t kMost = armored_size(kMostSignatureBytes);
  if (text.size() > kMost)
    return fail(Code::too_large, "the SSH signature is too long",
                "the limit is " + std::to_string(kMost) + " bytes of text");
  if (text.find('\r') != std::string_view::npos)
    return not_armored("it has carriage returns; send the file as it was written");
  if (!text.starts_with(kSshsigBegin))
    return not_armored("the first line is not -----BEGIN SSH SIGNATURE-----");
  if (!text.ends_with(kSshsigEnd) || text.size() < kSshsigBegin.size() + kSshsigEnd.size())
    return not_armored("the last line is not -----END SSH SIGNATURE----- and a newline");
  TRY(const std::string base64,
      join_lines(
          text.substr(kSshsigBegin.size(), text.size() - kSshsigBegin.size() - kSshsigEnd.size())));
  const auto blob = base64_decode_canonical(base64);
  if (!blob) return not_armored("its lines are not canonical base64");
  return decode(*blob);
}

std::string Signature::to_text() const {
  const std::string base64 = base64_encode(encode());
  std::string text{kSshsigBegin};
  for (std::size_t at = 0; at < base64.size(); at += kLine)
    text.append(base64, at, kLine).append("\n");
  return text.append(kSshsigEnd);
}

Result<Signature> Signature::decode(ByteView blob) {
  if (blob.size() > kMostSignatureBytes)
    return fail(Code::too_large, "the SSH signature is too long",
                "the limit is " + std::to_string(kMostSignatureBytes) + " bytes");
  if (blob.size() < kPreamble.size() || as_text(blob.first(kPreamble.size())) != kPreamble)
    return fail(Code::invalid_payload, kDamagedSignature, "it does not begin with SSHSIG");
  SshReader reader{blob.subspan(kPreamble.size()), kDamagedSignature};
  TRY(const std::uint32_t version, reader.number("version"));
  if (version != kVersion)
    return reader.refuse("version", "is " + std::to_string(version) + "; only 1 is known");
  Signature signature;
  TRY(const ByteView key, reader.string("public key", kMostSignatureBytes));
  signature.public_key.assign(key.begin(), key.end());
  TRY(const ByteView name_space, reader.string("namespace", kMostNamespace));
  signature.name_space = as_text(name_space);
  if (signature.name_space.empty()) return reader.refuse("namespace", "is empty");
  // OpenSSH reads it up to a NUL; nobody names a purpose with control characters.
  if (!is_printable(signature.name_space))
    return reader.refuse("namespace", "is not printable ASCII");
  // It is signed as the empty string whatever stands here, so bytes in it would be nobody's.
  TRY(const ByteView reserved, reader.string("reserved field", kMostSignatureBytes));
  if (!reserved.empty()) return reader.refuse("reserved field", "is not empty");
  TRY(const ByteView hash, reader.string("hash algorithm", kMostHashName));
  const auto known = from_spelling(kHashes, as_text(hash));
  if (!known) return reader.refuse("hash algorithm", "is neither sha256 nor sha512");
  signature.hash = *known;
  TRY(const ByteView value, reader.string("signature", kMostSignatureBytes));
  signature.signature.assign(value.begin(), value.end());
  TRY_VOID(reader.end());
  return signature;
}

Bytes Signature::encode() const {
  Bytes blob{kPreamble.begin(), kPreamble.end()};
  append_number(blob, kVersion);
  append_string(blob, public_key);
  append_string(blob, name_space);
  append_string(blob, std::string_view{});
  append_string(blob, name(hash));
  append_string(blob, signature);
  return blob;
}

}  // namespace hsm::officers
