// A secret's way into a token: canonical form, wrapping, and every way to damage the blob.
#include "hsm_signer/wire/blob.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>

#include "tests/support/error_is.h"

namespace hsm::wire {
namespace {

using ::testing::HasSubstr;

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

SecretBytes secret(std::string_view text) { return SecretBytes::copy_of(as_bytes(text)); }

// Printable, no two lengths alike.
std::string text_of(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('!' + (i * 7 + size) % 94);
  return text;
}

Bytes openssl_hmac(ByteView key, std::string_view message) {
  Bytes mac(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  HMAC(EVP_sha384(), key.data(), static_cast<int>(key.size()), as_bytes(message).data(),
       message.size(), mac.data(), &size);
  mac.resize(size);
  return mac;
}

std::string pem_of(EVP_PKEY* key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{BIO_new(BIO_s_mem()), &BIO_free};
  PEM_write_bio_PUBKEY(bio.get(), key);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// RSA keys take a second to find, so all tests share them.
EVP_PKEY* rsa(unsigned bits) {
  static const KeyPtr good{EVP_RSA_gen(3072), &EVP_PKEY_free};
  static const KeyPtr small{EVP_RSA_gen(2048), &EVP_PKEY_free};
  return bits == 3072 ? good.get() : small.get();
}

KeyPtr rsa_for_signatures_only() {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr), &EVP_PKEY_CTX_free};
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen_init(context.get()) == 1 &&
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), 3072) == 1)
    EVP_PKEY_generate(context.get(), &key);
  return {key, &EVP_PKEY_free};
}

// As a token does it: CKM_RSA_PKCS_OAEP with CKM_SHA_1 and CKG_MGF1_SHA1.
Bytes oaep_decrypt(ByteView ciphertext) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new(rsa(3072), nullptr), &EVP_PKEY_CTX_free};
  Bytes plain(512);
  std::size_t size = plain.size();
  EXPECT_EQ(EVP_PKEY_decrypt_init(context.get()), 1);
  EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING), 1);
  EXPECT_EQ(EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha1()), 1);
  EXPECT_EQ(EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha1()), 1);
  EXPECT_EQ(
      EVP_PKEY_decrypt(context.get(), plain.data(), &size, ciphertext.data(), ciphertext.size()),
      1);
  plain.resize(size);
  return plain;
}

// ---- Canonical form ----

TEST(CanonicalSecret, MacsLikeTheSecretItselfAtEveryLength) {
  for (const std::size_t size : {1u, 20u, 28u, 47u, 48u, 49u, 64u, 127u, 128u, 129u, 200u, 4096u}) {
    const std::string text = text_of(size);
    const auto canonical = canonical_secret(secret(text));
    ASSERT_THAT(canonical, Succeeds()) << size;
    EXPECT_EQ(canonical->size(), size <= 48 ? 48 : size <= 128 ? size : 48) << size;
    EXPECT_TRUE(openssl_hmac(canonical->view(), "eyJ9") == openssl_hmac(as_bytes(text), "eyJ9"))
        << size;
  }
}

TEST(CanonicalSecret, IsTheSameForASecretWithOneTrailingNewline) {
  for (const std::size_t size : {1u, 47u, 48u, 128u, 129u, 4096u}) {
    const auto plain = canonical_secret(secret(text_of(size)));
    const auto line = canonical_secret(secret(text_of(size) + "\n"));
    ASSERT_THAT(line, Succeeds()) << size;
    EXPECT_TRUE(equal_constant_time(plain->view(), line->view())) << size;
  }
}

struct RefusedSecret {
  const char* what;
  std::string text;
  Code code;
  const char* sentence;
};

TEST(CanonicalSecret, RefusesWhatIsNoSecret) {
  const RefusedSecret rows[] = {
      {"nothing", "", Code::usage, "empty"},
      {"a newline alone", "\n", Code::usage, "empty"},
      {"two newlines at the end", "1234abcd\n\n", Code::usage, "byte 9 of 9"},
      {"CR LF", "1234abcd\r\n", Code::usage, "byte 9 of 9"},
      {"inner space", "1234 abcd", Code::usage, "byte 5 of 9"},
      {"leading space", " 1234abcd", Code::usage, "byte 1 of 9"},
      {"trailing space", "1234abcd ", Code::usage, "byte 9 of 9"},
      {"tab", "1234\tabcd", Code::usage, "byte 5 of 9"},
      {"inner newline", "1234\nabcd", Code::usage, "byte 5 of 9"},
      {"control character", "1234\x01", Code::usage, "byte 5 of 5"},
      {"unit separator", "1234\x1f", Code::usage, "byte 5 of 5"},
      {"delete", "1234\x7f", Code::usage, "byte 5 of 5"},
      {"0x80", "1234\x80", Code::usage, "byte 5 of 5"},
      {"0xff",
       "\xff"
       "1234",
       Code::usage, "byte 1 of 5"},
      {"UTF-8", "caf\xc3\xa9", Code::usage, "byte 4 of 5"},
      {"trailing NUL", std::string{"1234\0", 5}, Code::usage, "zero byte"},
      {"trailing NUL and newline", std::string{"1234\0\n", 6}, Code::usage, "zero byte"},
      {"inner NUL",
       std::string{"12\0"
                   "34",
                   5},
       Code::usage, "byte 3 of 5"},
      {"4097 bytes", text_of(4097), Code::too_large, "limit is 4096"},
      {"5 MB", std::string(5'000'000, 'a'), Code::too_large, "limit is 4096"},
  };
  for (const RefusedSecret& row : rows)
    EXPECT_THAT(canonical_secret(secret(row.text)), ErrorIs(row.code, HasSubstr(row.sentence)))
        << row.what;
}

TEST(CanonicalSecret, NeverShowsTheSecretInAnError) {
  const auto refused = canonical_secret(secret("hunter2 hunter2"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().sentence(), ::testing::Not(HasSubstr("hunter")));
}

TEST(KeyCheckValue, IsTheStartOfAnHmacThatCouldNeverBeASignature) {
  const auto canonical = canonical_secret(secret("1234abcd"));
  const Bytes whole =
      openssl_hmac(canonical->view(), std::string_view{"\0hsm-signer kcv v1\0", 19});
  const KeyCheckValue value = key_check_value(canonical->view());
  EXPECT_EQ(Bytes(value.begin(), value.end()), Bytes(whole.begin(), whole.begin() + 8));
  EXPECT_THAT(base64_decode_canonical(kKeyCheckText), ErrorIs(Code::invalid_payload));
  // docs/protocol.md shows this one.
  EXPECT_EQ(hex_encode(value), "1a4e982cb5977ab3");
}

// ---- Wrapping ----

TEST(Wrap, DecryptsToTheCanonicalSecret) {
  for (const std::size_t size : {1u, 48u, 128u, 200u}) {
    const auto canonical = canonical_secret(secret(text_of(size)));
    const auto wrapped = wrap(*canonical, pem_of(rsa(3072)));
    ASSERT_THAT(wrapped, Succeeds());
    EXPECT_EQ(wrapped->ciphertext.size(), 384u);
    EXPECT_EQ(oaep_decrypt(wrapped->ciphertext),
              Bytes(canonical->view().begin(), canonical->view().end()));
    EXPECT_EQ(wrapped->key_check, key_check_value(canonical->view()));
  }
}

TEST(Wrap, IsRandomised) {
  const auto canonical = canonical_secret(secret("1234abcd"));
  const auto one = wrap(*canonical, pem_of(rsa(3072)));
  const auto two = wrap(*canonical, pem_of(rsa(3072)));
  ASSERT_THAT(one, Succeeds());
  ASSERT_THAT(two, Succeeds());
  EXPECT_NE(one->ciphertext, two->ciphertext);
}

TEST(Wrap, NamesTheKeyByItsSubjectPublicKeyInfo) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(rsa(3072), &der);
  const Sha256 expected = sha256(ByteView{der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  const auto wrapped = wrap(*canonical_secret(secret("1234abcd")), pem_of(rsa(3072)));
  ASSERT_THAT(wrapped, Succeeds());
  EXPECT_EQ(wrapped->wrap_key, expected);
  EXPECT_EQ(*fingerprint(pem_of(rsa(3072))), expected);
  EXPECT_EQ(fingerprint_text(expected), "SHA256:" + hex_encode(expected));
}

TEST(Wrap, RefusesAWeakKeyAnotherKindAndWhatIsNoKey) {
  const auto canonical = canonical_secret(secret("1234abcd"));
  const KeyPtr ec{EVP_EC_gen("P-256"), &EVP_PKEY_free};
  const KeyPtr pss = rsa_for_signatures_only();
  ASSERT_NE(pss, nullptr);
  std::string cut = pem_of(rsa(3072));
  cut.resize(cut.size() / 2);
  const std::pair<const char*, std::string> rows[] = {{"RSA-2048", pem_of(rsa(2048))},
                                                      {"EC", pem_of(ec.get())},
                                                      {"RSA-PSS", pem_of(pss.get())},
                                                      {"cut", cut},
                                                      {"empty", ""},
                                                      {"words", "not a key\n"}};
  for (const auto& [what, pem] : rows) {
    EXPECT_THAT(wrap(*canonical, pem), ErrorIs(Code::usage)) << what;
    EXPECT_THAT(fingerprint(pem), ErrorIs(Code::usage)) << what;
  }
  EXPECT_THAT(wrap(*canonical, pem_of(rsa(2048))),
              ErrorIs(Code::usage, HasSubstr("at least 3072 bits")));
}

// ---- The blob's bytes ----

WrappedKey sample() {
  WrappedKey key;
  key.wrap_key.fill(0xa1);
  key.key_check = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int i = 0; i < 384; ++i) key.ciphertext.push_back(static_cast<Byte>(i));
  return key;
}

void expect_sample(const WrappedKey& key) {
  EXPECT_EQ(key.wrap_key, sample().wrap_key);
  EXPECT_EQ(key.key_check, sample().key_check);
  EXPECT_EQ(key.ciphertext, sample().ciphertext);
}

// The checksum is no secret: who damages a blob on purpose makes a new one, and then the fields
// must hold.
Bytes with_fresh_checksum(Bytes bytes) {
  bytes.resize(bytes.size() - 32);
  const Sha256 sum = sha256(bytes);
  bytes.insert(bytes.end(), sum.begin(), sum.end());
  return bytes;
}

TEST(WrappedKey, HasTheDocumentedBytes) {
  WrappedKey key = sample();
  key.ciphertext = {0xee, 0xff};
  const std::string head = hex_encode(as_bytes("HSMWRAP1")) + hex_encode(key.wrap_key) +
                           "0102030405060708"
                           "0200"
                           "eeff";
  const Bytes bytes = key.encode();
  EXPECT_EQ(hex_encode(ByteView{bytes}.first(52)), head);
  const Sha256 sum = sha256(ByteView{bytes}.first(52));
  EXPECT_EQ(hex_encode(ByteView{bytes}.subspan(52)), hex_encode(sum));
}

TEST(WrappedKey, ComesBackAsItWasWritten) {
  const auto back = WrappedKey::decode(sample().encode());
  ASSERT_THAT(back, Succeeds());
  expect_sample(*back);
}

TEST(WrappedKey, RefusesEachFlippedByte) {
  const Bytes whole = sample().encode();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const Byte mask : {Byte{0x01}, Byte{0x80}, Byte{0xff}}) {
      Bytes damaged = whole;
      damaged[at] ^= mask;
      EXPECT_THAT(WrappedKey::decode(damaged), ErrorIs(Code::usage)) << "byte " << at;
    }
  }
}

TEST(WrappedKey, RefusesEachTruncation) {
  const Bytes whole = sample().encode();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(WrappedKey::decode(ByteView{whole}.first(size)), ErrorIs(Code::usage))
        << size << " bytes";
}

TEST(WrappedKey, RefusesBytesBehindIt) {
  Bytes longer = sample().encode();
  longer.push_back(0);
  EXPECT_THAT(WrappedKey::decode(longer), ErrorIs(Code::usage, HasSubstr("bytes behind it")));
  EXPECT_THAT(WrappedKey::decode(with_fresh_checksum(longer)), ErrorIs(Code::usage));
}

TEST(WrappedKey, RefusesALyingLengthEvenWithARightChecksum) {
  const Bytes whole = sample().encode();
  for (const unsigned size : {0u, 1u, 383u, 385u, 1024u, 1025u, 0xffffu}) {
    Bytes damaged = whole;
    damaged[48] = static_cast<Byte>(size & 0xff);
    damaged[49] = static_cast<Byte>(size >> 8);
    EXPECT_THAT(WrappedKey::decode(with_fresh_checksum(damaged)), ErrorIs(Code::usage)) << size;
  }
}

TEST(WrappedKey, RefusesACiphertextThatNoWrapKeyMakes) {
  WrappedKey key = sample();
  key.ciphertext.clear();
  EXPECT_THAT(WrappedKey::decode(key.encode()), ErrorIs(Code::usage, HasSubstr("length field")));
  key.ciphertext.assign(1025, 1);
  EXPECT_THAT(WrappedKey::decode(key.encode()), ErrorIs(Code::usage, HasSubstr("length field")));
  key.ciphertext.assign(1024, 1);
  EXPECT_THAT(WrappedKey::decode(key.encode()), Succeeds());
}

TEST(WrappedKey, RefusesAnotherFormat) {
  Bytes other = sample().encode();
  other[7] = '2';
  EXPECT_THAT(WrappedKey::decode(with_fresh_checksum(other)),
              ErrorIs(Code::usage, HasSubstr("HSMWRAP1")));
}

TEST(WrappedKeyText, ComesBackWithWordsAroundIt) {
  const std::string text = sample().to_text();
  for (const std::string& around : {text, "for desk-a\n" + text + "made today\n"}) {
    const auto back = WrappedKey::from_text(around);
    ASSERT_THAT(back, Succeeds());
    expect_sample(*back);
  }
}

TEST(WrappedKeyText, HasLinesOf64) {
  const std::string text = sample().to_text();
  std::string_view rest = text;
  std::vector<std::string_view> lines;
  for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos;
       rest = rest.substr(end + 1))
    lines.push_back(rest.substr(0, end));
  EXPECT_TRUE(rest.empty());
  ASSERT_GT(lines.size(), 3u);
  EXPECT_EQ(lines.front(), "-----BEGIN HSM-SIGNER WRAPPED KEY-----");
  EXPECT_EQ(lines.back(), "-----END HSM-SIGNER WRAPPED KEY-----");
  for (std::size_t i = 1; i + 2 < lines.size(); ++i) EXPECT_EQ(lines[i].size(), 64u);
}

TEST(WrappedKeyText, ReadsCarriageReturns) {
  std::string text = sample().to_text();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
    text.replace(at, 1, "\r\n");
  EXPECT_THAT(WrappedKey::from_text(text), Succeeds());
}

TEST(WrappedKeyText, RefusesDamage) {
  const std::string text = sample().to_text();
  const std::size_t body = text.find('\n') + 1;
  const auto changed = [&](std::size_t at, std::size_t size, std::string_view by) {
    std::string copy = text;
    return copy.replace(at, size, by);
  };
  const std::pair<const char*, std::string> rows[] = {
      {"nothing", ""},
      {"no BEGIN line", text.substr(body)},
      {"no END line", text.substr(0, text.find("-----END"))},
      {"END before BEGIN",
       "-----END HSM-SIGNER WRAPPED KEY-----\n" + text.substr(0, text.find("-----END"))},
      {"a line missing", changed(body, 65, "")},
      {"a character missing", changed(body + 10, 1, "")},
      {"a character more", changed(body + 10, 0, "A")},
      {"a character of another alphabet", changed(body + 10, 1, "-")},
      {"a space", changed(body + 10, 0, " ")},
      {"a letter changed", changed(body + 100, 1, text[body + 100] == 'A' ? "B" : "A")},
      {"PEM of something else", pem_of(rsa(3072))},
      {"empty body", text.substr(0, body) + text.substr(text.find("-----END"))},
  };
  for (const auto& [what, damaged] : rows)
    EXPECT_THAT(WrappedKey::from_text(damaged), ErrorIs(Code::usage)) << what;
}

}  // namespace
}  // namespace hsm::wire
