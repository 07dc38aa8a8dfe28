#include "hsm_signer/base/bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <limits>

namespace hsm {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const Byte*>(text.data()), text.size()};
}

std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool equal_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string hex_encode(ByteView bytes) {
  std::string text(bytes.size() * 2, '\0');
  auto digit = text.begin();
  for (Byte b : bytes) {
    *digit++ = kHexDigits[b >> 4];
    *digit++ = kHexDigits[b & 0x0f];
  }
  return text;
}

Result<Bytes> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return fail(Code::invalid_payload, "hex text of odd length");
  Bytes bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return fail(Code::invalid_payload, "not a hex digit");
    bytes[i] = static_cast<Byte>(high << 4 | low);
  }
  return bytes;
}

std::string base64_encode(ByteView bytes) {
  // EVP_EncodeBlock writes a final NUL, which std::string keeps room for.
  std::string text(base64_size(bytes.size()), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                  static_cast<int>(bytes.size()));
  return text;
}

void base64_append(ByteView bytes, Bytes& out) {
  const std::size_t before = out.size();
  out.resize(before + base64_size(bytes.size()) + 1);  // One more for the NUL.
  EVP_EncodeBlock(out.data() + before, bytes.data(), static_cast<int>(bytes.size()));
  out.pop_back();
}

Result<Bytes> base64_decode_canonical(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > std::numeric_limits<int>::max())
    return fail(Code::invalid_payload, "base64 text whose length is no multiple of four");
  Bytes bytes(text.size() / 4 * 3);
  const int size =
      EVP_DecodeBlock(bytes.data(), as_bytes(text).data(), static_cast<int>(text.size()));
  if (size < 0) return fail(Code::invalid_payload, "not base64");
  // EVP_DecodeBlock counts padding as data.
  const std::size_t pads = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  if (static_cast<std::size_t>(size) < pads) return fail(Code::invalid_payload, "not base64");
  bytes.resize(static_cast<std::size_t>(size) - pads);
  if (base64_encode(bytes) != text) return fail(Code::invalid_payload, "base64 is not canonical");
  return bytes;
}

void wipe(std::span<Byte> bytes) {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
  SecretBytes secret{bytes.size()};
  std::copy(bytes.begin(), bytes.end(), secret.bytes_.begin());
  return secret;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  wipe(bytes_);
  bytes_ = std::move(other.bytes_);
  return *this;
}

void SecretBytes::truncate(std::size_t size) {
  if (size >= bytes_.size()) return;
  wipe(span().subspan(size));
  bytes_.resize(size);
}

}  // namespace hsm
