#include "hsm_signer/officers/ssh_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <bit>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/officers/ssh_wire.h"

namespace hsm::officers {
namespace {

constexpr std::string_view kDamagedKey = "the SSH public key is damaged";
constexpr std::string_view kNotTaken = "not an SSH key that officers may sign with";
constexpr std::string_view kNotALine = "not a line of an SSH public key file";

constexpr std::size_t kMostName = 64;
constexpr std::size_t kMostApplication = 255;
constexpr std::size_t kMostComment = 255;
constexpr std::size_t kMostBlob = 2048;
constexpr std::size_t kLeastModulusBits = 3072;
constexpr std::size_t kMostModulusBits = 8192;
constexpr std::size_t kEd25519Size = 32;

enum class Family : std::uint8_t { ed25519, ecdsa, rsa };

struct Row {
  KeyType type;
  std::string_view name;
  Family family;
  bool security_key = false;
  std::string_view curve{};     // As RFC 5656 section 10.1 calls it.
  const char* group = nullptr;  // As OpenSSL does.
  std::size_t coordinate = 0;
};
constexpr std::array kTypes{
    Row{KeyType::ed25519, "ssh-ed25519", Family::ed25519},
    Row{KeyType::ecdsa_p256, "ecdsa-sha2-nistp256", Family::ecdsa, false, "nistp256", "P-256", 32},
    Row{KeyType::ecdsa_p384, "ecdsa-sha2-nistp384", Family::ecdsa, false, "nistp384", "P-384", 48},
    Row{KeyType::ecdsa_p521, "ecdsa-sha2-nistp521", Family::ecdsa, false, "nistp521", "P-521", 66},
    Row{KeyType::rsa, "ssh-rsa", Family::rsa},
    Row{KeyType::sk_ed25519, "sk-ssh-ed25519@openssh.com", Family::ed25519, true},
    Row{KeyType::sk_ecdsa_p256, "sk-ecdsa-sha2-nistp256@openssh.com", Family::ecdsa, true,
        "nistp256", "P-256", 32},
};
constexpr const Row& row(KeyType type) { return kTypes[static_cast<std::size_t>(type)]; }
constexpr bool rows_stand_at_their_index() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].type != static_cast<KeyType>(i)) return false;
  }
  return true;
}
static_assert(rows_stand_at_their_index());

// The name in a key is whoever's who sent it, so a sentence shows only names that stand here.
Result<const Row*> row_of(std::string_view type) {
  for (const Row& known : kTypes) {
    if (known.name == type) return &known;
  }
  if (type == "ssh-dss")
    return fail(Code::denied, kNotTaken, "ssh-dss (DSA) is too weak; use ssh-ed25519");
  if (type.ends_with("-cert-v01@openssh.com"))
    return fail(Code::denied, kNotTaken, "it is a certificate; list and use the plain key");
  return fail(Code::denied, kNotTaken,
              "its type is unknown; use ssh-ed25519, ecdsa-sha2-nistp256, -384 or -521, ssh-rsa "
              "with 3072 bits, or a security key (sk-)");
}

// RFC 8032 section 5.1.3 decodes y < p only; p is 2^255 - 19, little-endian, below the sign bit.
bool is_canonical(const std::array<Byte, kEd25519Size>& y) {
  if (y[31] != 0x7f || y[0] < 0xed) return true;
  return std::any_of(y.begin() + 1, y.end() - 1, [](Byte byte) { return byte != 0xff; });
}

// The y of the points of order 4, 1, 2 and twice 8: what is left of a point that is multiplied by
// the prime order of the group. Under such a key anybody can make signatures that OpenSSL verifies,
// for the text falls out of the equation; RFC 8032 asks for no check.
constexpr std::array<std::array<Byte, kEd25519Size>, 5> kSmallOrder{{
    {0x00},
    {0x01},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
}};

std::size_t bits_of(ByteView magnitude) {
  return (magnitude.size() - 1) * 8 + static_cast<std::size_t>(std::bit_width(magnitude[0]));
}

using Parameters = std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)>;

EVP_PKEY* key_from(const char* type, OSSL_PARAM* parameters) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), &EVP_PKEY_CTX_free};
  EVP_PKEY* key = nullptr;
  if (!context || parameters == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
    return nullptr;
  return key;
}

EVP_PKEY* rsa_key(ByteView modulus, ByteView exponent) {
  using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
  const Number n{BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr), &BN_free};
  const Number e{BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr), &BN_free};
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder{
      OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free};
  if (!n || !e || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  const Parameters parameters{OSSL_PARAM_BLD_to_param(builder.get()), &OSSL_PARAM_free};
  return key_from("RSA", parameters.get());
}

// OpenSSL checks that the point is on the curve; these curves have no points of small order.
EVP_PKEY* ec_key(const char* group, ByteView point) {
  std::string name{group};
  Bytes octets{point.begin(), point.end()};
  std::array parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size()),
      OSSL_PARAM_construct_end()};
  return key_from("EC", parameters.data());
}

}  // namespace

// The parts of a key behind its type, in the order of RFC 8709 section 4, RFC 5656 section 3.1, RFC
// 4253 section 6.6 and PROTOCOL.u2f.
struct PublicKey::Reading {
  SshReader& reader;
  PublicKey& key;

  Result<void> ed25519() {
    TRY(const ByteView point, reader.string("point", kEd25519Size));
    if (point.size() != kEd25519Size) return reader.refuse("point", "is shorter than 32 bytes");
    std::array<Byte, kEd25519Size> y{};
    std::copy(point.begin(), point.end(), y.begin());
    y[31] &= 0x7f;  // The sign of x.
    if (!is_canonical(y)) return reader.refuse("point", "is not in its shortest form");
    if (std::find(kSmallOrder.begin(), kSmallOrder.end(), y) != kSmallOrder.end())
      return reader.refuse("point", "is of small order: anybody could sign for it");
    return take(point, EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, point.data(),
                                                      point.size()));
  }

  Result<void> ecdsa() {
    const Row& type = row(key.type_);
    TRY(const ByteView curve, reader.string("curve", kMostName));
    if (as_text(curve) != type.curve) return reader.refuse("curve", "is not that of its type");
    const std::size_t size = 2 * type.coordinate + 1;
    TRY(const ByteView point, reader.string("point", size));
    // SEC 1 section 2.3.3; compressed points are a second spelling of the same key.
    if (point.size() != size || point[0] != 0x04)
      return reader.refuse("point", "is not an uncompressed point of its curve");
    return take(point, ec_key(type.group, point));
  }

  Result<void> rsa() {
    // FIPS 186-5 appendix A.1.1 asks for an odd exponent above 2^16; beside a large modulus OpenSSL
    // takes none above 2^64.
    TRY(const ByteView exponent, reader.positive("exponent", sizeof(std::uint64_t)));
    TRY(const ByteView modulus, reader.positive("modulus", kMostModulusBits / 8));
    if ((modulus.back() & 1) == 0) return reader.refuse("modulus", "is even");
    if (bits_of(modulus) < kLeastModulusBits)
      return fail(Code::denied, kNotTaken,
                  "ssh-rsa with " + std::to_string(bits_of(modulus)) + " bits; the least is " +
                      std::to_string(kLeastModulusBits));
    if ((exponent.back() & 1) == 0 || bits_of(exponent) <= 16)
      return fail(Code::denied, kNotTaken, "ssh-rsa with an exponent that is even or below 65537");
    return take(modulus, rsa_key(modulus, exponent));
  }

  Result<void> application() {
    TRY(const ByteView bytes, reader.string("application", kMostApplication));
    key.application_ = as_text(bytes);
    // ssh-keygen makes no other. The origin of a web site there would be a key that the site may
    // ask a browser to sign with.
    if (!key.application_.starts_with("ssh:") || !is_printable(key.application_))
      return reader.refuse("application", "is not \"ssh:\" and printable ASCII behind it");
    return {};
  }

  Result<void> take(ByteView material, EVP_PKEY* made) {
    key.key_.reset(made);
    key.material_.assign(material.begin(), material.end());
    if (made == nullptr) return reader.refuse("point or modulus", "is not one of its type");
    return {};
  }
};

void FreeKey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

std::string_view name(KeyType type) { return row(type).name; }
bool is_security_key(KeyType type) { return row(type).security_key; }
std::size_t coordinate_size(KeyType type) { return row(type).coordinate; }

Result<PublicKey> PublicKey::decode(ByteView blob) {
  if (blob.size() > kMostBlob)
    return fail(Code::too_large, "the SSH public key is too long",
                "the limit is " + std::to_string(kMostBlob) + " bytes");
  SshReader reader{blob, kDamagedKey};
  TRY(const ByteView type, reader.string("type", kMostName));
  TRY(const Row* const known, row_of(as_text(type)));
  PublicKey key{known->type};
  key.blob_.assign(blob.begin(), blob.end());
  Reading reading{reader, key};
  switch (known->family) {
    case Family::ed25519:
      TRY_VOID(reading.ed25519());
      break;
    case Family::ecdsa:
      TRY_VOID(reading.ecdsa());
      break;
    case Family::rsa:
      TRY_VOID(reading.rsa());
      break;
  }
  if (known->security_key) TRY_VOID(reading.application());
  TRY_VOID(reader.end());
  return key;
}

Result<PublicKey> PublicKey::from_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0)
    return fail(Code::invalid_payload, kNotALine, "write TYPE BASE64 and, if you like, a comment");
  const std::string_view type = line.substr(0, space);
  const std::string_view rest = line.substr(space + 1);
  const std::string_view base64 = rest.substr(0, rest.find(' '));
  const std::string_view comment = rest.substr(base64.size());
  if (!is_printable(comment) || comment.size() > kMostComment)
    return fail(Code::invalid_payload, kNotALine, "the comment is long or not printable ASCII");
  const auto blob = base64_decode_canonical(base64);
  if (!blob || blob->empty())
    return fail(Code::invalid_payload, kNotALine,
                "the second word is not base64; options in front of a key are not taken");
  TRY(PublicKey key, decode(*blob));
  if (type != name(key.type()))
    return fail(Code::invalid_payload, kNotALine,
                "the first word is not the type in the key, " + std::string{name(key.type())});
  return key;
}

std::string PublicKey::fingerprint() const {
  std::string text = base64_encode(sha256(blob_));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

}  // namespace hsm::officers
