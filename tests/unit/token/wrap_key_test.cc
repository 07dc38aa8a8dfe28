#include "hsm_signer/token/wrap_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <fstream>

#include "hsm_signer/token/login.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string pem_of(EVP_PKEY* key, const char* passphrase = nullptr) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out{BIO_new(BIO_s_mem()), &BIO_free};
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, passphrase != nullptr ? EVP_aes_256_cbc() : nullptr,
                                passphrase, passphrase != nullptr ? 4 : 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

class WrapKeyFile : public ::testing::Test {
 protected:
  Result<std::unique_ptr<WrapKey>> read(const std::string& content, mode_t mode = 0600) const {
    std::ofstream{path_, std::ios::trunc} << content;
    EXPECT_EQ(::chmod(path_.c_str(), mode), 0);
    return wrap_key_in_file(path_);
  }
  TempDir dir_;
  std::string path_ = dir_ / "wrap.pem";
};

TEST_F(WrapKeyFile, HasThePublicHalfOfItsPrivateKey) {
  const Key rsa{EVP_RSA_gen(3072), &EVP_PKEY_free};
  const auto key = read(pem_of(rsa.get()));
  ASSERT_THAT(key, Succeeds());
  EXPECT_EQ((*key)->decrypted_by(), "host");
  const auto der = (*key)->public_der();
  ASSERT_THAT(der, Succeeds());
  const unsigned char* at = der->data();
  const Key read_back{d2i_PUBKEY(nullptr, &at, static_cast<long>(der->size())), &EVP_PKEY_free};
  EXPECT_EQ(EVP_PKEY_eq(read_back.get(), rsa.get()), 1);
}

TEST_F(WrapKeyFile, RefusesAFileThatOthersCanRead) {
  const Key rsa{EVP_RSA_gen(3072), &EVP_PKEY_free};
  EXPECT_THAT(read(pem_of(rsa.get()), 0644),
              ErrorIs(Code::usage, AllOf(HasSubstr("wrap key file"), HasSubstr("chmod 0600"))));
}

TEST_F(WrapKeyFile, RefusesAKeyThatIsTooShortOrNoRsa) {
  const Key small{EVP_RSA_gen(2048), &EVP_PKEY_free};
  EXPECT_THAT(read(pem_of(small.get())), ErrorIs(Code::usage, HasSubstr("3072")));
  const Key ec{EVP_EC_gen("P-256"), &EVP_PKEY_free};
  EXPECT_THAT(read(pem_of(ec.get())), ErrorIs(Code::usage, HasSubstr("openssl genpkey")));
}

TEST_F(WrapKeyFile, RefusesWhatIsNoPrivateKeyOrAsksForAPassphrase) {
  const Key rsa{EVP_RSA_gen(3072), &EVP_PKEY_free};
  for (const std::string& content : {std::string{}, std::string{"no key"},
                                     pem_of(rsa.get(), "1234"), pem_of(rsa.get()).substr(0, 400)})
    EXPECT_THAT(read(content), ErrorIs(Code::usage, HasSubstr("openssl genpkey")));
  EXPECT_THAT(read(std::string(20'000, 'x')), ErrorIs(Code::usage, HasSubstr("too large")));
  EXPECT_THAT(wrap_key_in_file(dir_ / "absent"), ErrorIs(Code::usage, HasSubstr("cannot open")));
}

TEST(NoWrapKey, SaysWhyNothingIsImported) {
  const auto none = no_wrap_key("a signing worker imports nothing");
  EXPECT_THAT(none->public_der(), ErrorIs(Code::usage, HasSubstr("imports nothing")));
}

}  // namespace
}  // namespace hsm::token
