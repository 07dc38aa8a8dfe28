// The way of a key into a token that keeps to a YubiHSM's rules, through the real hsm-tokend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenClient;
using test::TokenHost;
using ::testing::HasSubstr;
using ::testing::Not;

const ObjectName kKey{"desk-a.funds.v1", 1};
constexpr std::string_view kSecret = "1234abcd";

class TokendYubiHsm : public ::testing::Test {
 protected:
  TokendYubiHsm()
      : host_{{.profile = "yubihsm",
               .workers = 1,
               .module = HSM_FAULT_MODULE,
               .module_env = {{"HSM_FAULT_MODULE", test::kSoftHsmModule},
                              {"HSM_FAULT_YUBIHSM", device_.path()},
                              {"HSM_FAULT_YUBIHSM_MS", "5"},
                              {"HSM_FAULT_YUBIHSM_IDLE_MS", "30000"},
                              {"HSM_FAULT_CONTROL", device_ / "control"}},
               .more = "wrap_private = \"wrap-desk.pem\"\n"}} {
    host_.make_wrap_key("wrap-desk.pem");
  }
  static wire::MacRequest request(std::string_view json) {
    return test::mac_request(kKey, kSecret, json);
  }
  static wire::MacRequest heartbeat() { return test::mac_request(kKey, kSecret); }

  TempDir device_;
  TokenHost host_;
};

TEST_F(TokendYubiHsm, ImportsAndSignsAlthoughTheTokenUnwrapsNothing) {
  host_.start();
  TokenClient admin = host_.admin();
  const auto pem = admin.ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{});
  ASSERT_THAT(pem, Succeeds());
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  const auto blob = wire::wrap(*canonical, pem->pem);
  const auto imported = admin.ask<wire::Imported>(
      wire::Import{.label = kKey.label, .cka_id = kKey.cka_id, .blob = blob->encode()});
  ASSERT_THAT(imported, Succeeds());
  EXPECT_EQ(imported->decrypted_by, "host") << "the transcript has to say so";
  const auto mac = host_.client().ask<wire::MacAnswer>(heartbeat());
  ASSERT_THAT(mac, Succeeds());
  EXPECT_TRUE(mac->mac == hmac_sha384(as_bytes(kSecret), heartbeat().message));
}

TEST_F(TokendYubiHsm, PublishesTheHalfOfItsOwnFileForWhoWraps) {
  host_.start();
  const auto pem = host_.admin().ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{});
  ASSERT_THAT(pem, Succeeds());
  const std::string command = "openssl pkey -in " + host_.dir() +
                              "/wrap-desk.pem -pubout | cmp -s - " + host_.dir() +
                              "/wrap-desk.pub.pem";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(TokendYubiHsm, RefusesABlobForAnotherKeyAndADamagedOne) {
  host_.start();
  TokenClient admin = host_.admin();
  const auto pem = admin.ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{});
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  auto blob = *wire::wrap(*canonical, pem->pem);
  blob.ciphertext[100] ^= 1;
  EXPECT_THAT(admin.ask<wire::Imported>(
                  wire::Import{.label = kKey.label, .cka_id = 1, .blob = blob.encode()}),
              ErrorIs(Code::usage, HasSubstr("does not unwrap")));
  auto lying = *wire::wrap(*canonical, pem->pem);
  lying.key_check[0] ^= 1;
  EXPECT_THAT(host_.admin().ask<wire::Imported>(
                  wire::Import{.label = kKey.label, .cka_id = 1, .blob = lying.encode()}),
              ErrorIs(Code::usage, HasSubstr("destroyed")));
  EXPECT_EQ(host_.admin().ask<wire::ObjectList>(wire::ListObjects{})->total, 0U);
}

// OpenSSL frees the padded secret that it decrypted without wiping it.
TEST_F(TokendYubiHsm, DecryptsOneSecretInAProcessAndEndsIt) {
  host_.start();
  TokenClient admin = host_.admin();
  const auto pem = admin.ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{});
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  const auto blob = *wire::wrap(*canonical, pem->pem);
  const wire::Import import{.label = kKey.label, .cka_id = 1, .blob = blob.encode()};
  ASSERT_THAT(admin.ask<wire::Imported>(import), Succeeds());
  EXPECT_THAT(admin.ask<wire::ObjectList>(wire::ListObjects{}), Not(Succeeds()));
  EXPECT_EQ(host_.admin().ask<wire::ObjectList>(wire::ListObjects{})->total, 1U);
}

TEST_F(TokendYubiHsm, DoesNotStartWithoutItsWrapKeyFileAndSaysHowToMakeOne) {
  std::filesystem::remove(host_.dir() + "/wrap-desk.pem");
  host_.write("wrap-desk.pem", "not a key");
  ASSERT_EQ(::chmod((host_.dir() + "/wrap-desk.pem").c_str(), 0600), 0);
  host_.start();
  EXPECT_TRUE(host_.logs("openssl genpkey"));
}

TEST_F(TokendYubiHsm, RefusesAPayloadThatTheDeviceWouldNotTake) {
  host_.start();
  ASSERT_THAT(host_.import(kKey, kSecret), Succeeds());
  const std::string json =
      R"({"request":"/v1/balances","nonce":1,"note":")" + std::string(2'400, 'x') + "\"}";
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(request(json)), ErrorIs(Code::too_large));
}

TEST_F(TokendYubiHsm, SignsAgainByItselfOnceTheConnectorIsBack) {
  host_.start();
  ASSERT_THAT(host_.import(kKey, kSecret), Succeeds());
  TokenClient client = host_.client();
  const auto before = client.ask<wire::MacAnswer>(heartbeat());
  ASSERT_THAT(before, Succeeds());
  std::ofstream{device_ / "control"} << "C_SignInit from 1 rv CKR_DEVICE_REMOVED\n";
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat()),
              ErrorIs(Code::token_unavailable, HasSubstr("CKR_DEVICE_REMOVED")));
  std::filesystem::remove(device_ / "control");
  const auto after = client.ask<wire::MacAnswer>(heartbeat());
  ASSERT_THAT(after, Succeeds());
  EXPECT_EQ(after->worker_id, before->worker_id)
      << "a fresh one would have waited for the device session";
}

TEST_F(TokendYubiHsm, GivesItsDeviceSessionBackWhenALoginIsLost) {
  host_.start();
  ASSERT_THAT(host_.import(kKey, kSecret), Succeeds());
  TokenClient client = host_.client();
  ASSERT_THAT(client.ask<wire::MacAnswer>(heartbeat()), Succeeds());
  std::ofstream{device_ / "control"} << "C_SignInit at 1 rv CKR_USER_NOT_LOGGED_IN\n";
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat()), ErrorIs(Code::token_unavailable));
  std::filesystem::remove(device_ / "control");
  // Far sooner than the 31 s that a killed worker's session costs.
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(heartbeat()), Succeeds());
}

}  // namespace
}  // namespace hsm::token
