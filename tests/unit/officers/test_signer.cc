#include "tests/unit/officers/test_signer.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <array>
#include <map>

namespace hsm::officers {
namespace {

struct Shape {
  const char* name;
  const char* curve;  // SSH's and OpenSSL's name for it.
  const char* group;
  const char* digest;
};

Shape shape(KeyType type) {
  switch (type) {
    case KeyType::ed25519:
      return {"ssh-ed25519", nullptr, nullptr, nullptr};
    case KeyType::ecdsa_p256:
      return {"ecdsa-sha2-nistp256", "nistp256", "P-256", "SHA256"};
    case KeyType::ecdsa_p384:
      return {"ecdsa-sha2-nistp384", "nistp384", "P-384", "SHA384"};
    case KeyType::ecdsa_p521:
      return {"ecdsa-sha2-nistp521", "nistp521", "P-521", "SHA512"};
    case KeyType::rsa:
      return {"ssh-rsa", nullptr, nullptr, "SHA512"};
    case KeyType::sk_ed25519:
      return {"sk-ssh-ed25519@openssh.com", nullptr, nullptr, nullptr};
    case KeyType::sk_ecdsa_p256:
      return {"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "P-256", "SHA256"};
  }
  return {};
}

bool is_security(KeyType type) {
  return type == KeyType::sk_ed25519 || type == KeyType::sk_ecdsa_p256;
}

std::string number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(key, name, &number), 1);
  Bytes magnitude(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, magnitude.data());
  BN_free(number);
  return ssh_mpint(magnitude);
}

std::string point_of(EVP_PKEY* key, bool ec) {
  std::array<unsigned char, 256> point;
  std::size_t size = point.size();
  if (ec) {
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                              point.size(), &size),
              1);
  } else {
    EXPECT_EQ(EVP_PKEY_get_raw_public_key(key, point.data(), &size), 1);
  }
  return std::string{as_text(ByteView{point.data(), size})};
}

std::string encode_public(EVP_PKEY* key, KeyType type, const std::string& application) {
  const Shape form = shape(type);
  std::string blob = ssh_string(form.name);
  if (type == KeyType::rsa) {
    blob += number_of(key, OSSL_PKEY_PARAM_RSA_E) + number_of(key, OSSL_PKEY_PARAM_RSA_N);
  } else {
    if (form.curve != nullptr) blob += ssh_string(form.curve);
    blob += ssh_string(point_of(key, form.curve != nullptr));
  }
  if (is_security(type)) blob += ssh_string(application);
  return blob;
}

EVP_PKEY* generate(KeyType type, unsigned rsa_bits) {
  if (type == KeyType::rsa) return EVP_RSA_gen(rsa_bits);
  if (const char* group = shape(type).group; group != nullptr) return EVP_EC_gen(group);
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
}

std::string digest_with(const char* name, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  std::size_t size = 0;
  EXPECT_EQ(EVP_Q_digest(nullptr, name, nullptr, text.data(), text.size(), digest.data(), &size),
            1);
  return std::string{as_text(ByteView{digest.data(), size})};
}

std::string two_mpints(ByteView der) {
  const unsigned char* at = der.data();
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  std::string out;
  for (const BIGNUM* number : {ECDSA_SIG_get0_r(pair), ECDSA_SIG_get0_s(pair)}) {
    Bytes magnitude(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, magnitude.data());
    out += ssh_mpint(magnitude);
  }
  ECDSA_SIG_free(pair);
  return out;
}

}  // namespace

std::string ssh_number(std::uint32_t value) {
  std::string out;
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

std::string ssh_string(std::string_view text) {
  return ssh_number(static_cast<std::uint32_t>(text.size())).append(text);
}

std::string ssh_mpint(ByteView magnitude) {
  std::string text{as_text(magnitude)};
  if (!magnitude.empty() && (magnitude[0] & 0x80) != 0) text.insert(0, 1, '\0');
  return ssh_string(text);
}

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

TestSigner::TestSigner(KeyType type, std::string application, unsigned rsa_bits)
    : type_{type},
      application_{std::move(application)},
      key_{generate(type, rsa_bits), &EVP_PKEY_free},
      public_key_{encode_public(key_.get(), type, application_)} {}

std::string TestSigner::line() const {
  return std::string{shape(type_).name} + " " + base64_encode(as_bytes(public_key_));
}

std::string TestSigner::raw(std::string_view message, const How& how) const {
  const Shape form = shape(type_);
  const std::string own = form.digest == nullptr ? "" : form.digest;
  const std::string digest = how.digest.value_or(own);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  std::array<unsigned char, 1024> value;
  std::size_t size = value.size();
  EXPECT_EQ(EVP_DigestSignInit_ex(context.get(), nullptr, digest.empty() ? nullptr : digest.c_str(),
                                  nullptr, nullptr, key_.get(), nullptr),
            1);
  EXPECT_EQ(
      EVP_DigestSign(context.get(), value.data(), &size, as_bytes(message).data(), message.size()),
      1);
  const ByteView made{value.data(), size};
  return form.curve != nullptr ? two_mpints(made) : std::string{as_text(made)};
}

Signature TestSigner::sign(std::string_view text, const How& how) const {
  const bool sha512 = how.hash == "sha512";
  std::string message = "SSHSIG" + ssh_string(how.name_space) + ssh_string("") +
                        ssh_string(how.hash) +
                        ssh_string(digest_with(sha512 ? "SHA512" : "SHA256", text));
  const std::string state = std::string(1, static_cast<char>(how.flags)) + ssh_number(how.counter);
  if (is_security(type_) && !how.without_u2f)
    message = digest_with("SHA256", application_) + state + digest_with("SHA256", message);
  std::string algorithm = shape(type_).name;
  if (type_ == KeyType::rsa) algorithm = "rsa-sha2-512";
  std::string value = ssh_string(how.algorithm.value_or(algorithm)) + ssh_string(raw(message, how));
  if (is_security(type_)) value += state;
  return Signature{.public_key = public_key(),
                   .name_space = how.name_space,
                   .hash = sha512 ? TextHash::sha512 : TextHash::sha256,
                   .signature = bytes_of(value)};
}

const TestSigner& signer(KeyType type) {
  static std::map<KeyType, TestSigner> made;
  auto found = made.find(type);
  if (found == made.end()) found = made.emplace(type, TestSigner{type}).first;
  return found->second;
}

}  // namespace hsm::officers
