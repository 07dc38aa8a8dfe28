// The real hsm-tokend on the token of this run (tests/tokens/worlds.py), over its sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "hsm_signer/token/profile.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenHost;

const ObjectName kKey{"desk-a.trade.v1", 1};
constexpr std::string_view kSecret = "1234abcd";

std::string variable(const std::string& name, const std::string& usual = {}) {
  const char* text = std::getenv(name.c_str());
  return text == nullptr || *text == '\0' ? usual : text;
}

std::string slurp(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

TokenHost::Options options() {
  TokenHost::Options options;
  options.profile = variable("HSM_SIGNER_TEST_PROFILE", options.profile);
  options.module = variable("HSM_SIGNER_TEST_MODULE", options.module);
  options.uri = variable("HSM_SIGNER_TEST_URI", options.uri);
  options.workers = 1;
  std::istringstream names{variable("HSM_SIGNER_TEST_MODULE_ENV")};
  for (std::string name; names >> name;) options.module_env.emplace_back(name, variable(name));
  if (const std::string arguments = variable("HSM_SIGNER_TEST_ARGUMENTS"); !arguments.empty())
    options.more += "module_arguments = \"" + arguments + "\"\n";
  if ((*find_profile(options.profile))->way == SecretWay::decrypted_in_host)
    options.more += "wrap_private = \"wrap-desk.pem\"\n";
  return options;
}

class TokendOnToken : public ::testing::Test {
 protected:
  TokendOnToken() : host_{options()}, profile_{**find_profile(options().profile)} {
    const std::string pin_file = variable("HSM_SIGNER_TEST_PIN_FILE");
    if (!pin_file.empty()) host_.write("pin", slurp(pin_file));
  }
  static wire::MacRequest heartbeat() {
    const auto secret = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
    const std::string message = base64_encode(as_bytes(R"({"request":"/v1/heartbeat","nonce":1})"));
    return {.label = kKey.label,
            .cka_id = kKey.cka_id,
            .key_check = wire::key_check_value(secret->view()),
            .message = {message.begin(), message.end()},
            .statements = {}};
  }
  // What an administrator does on the token's own side; the module reads its store at start.
  void link() {
    const auto secret = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
    host_.write("link", kKey.label + " " + hex_encode(secret->view()) + " 1 0001\n");
    const std::string command = "python3 " HSM_SOURCE_DIR "/tests/tokens/tpm_keys.py " +
                                host_.dir() + "/pin " + host_.dir() + "/link";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  TokenHost host_;
  const Profile& profile_;
};

TEST_F(TokendOnToken, SignsWithAKeyThatCameInAsTheTokenTakesIt) {
  const bool links = profile_.way == SecretWay::linked;
  if (links) link();
  host_.start();
  if (profile_.name == "opencryptoki") {
    EXPECT_TRUE(host_.logs("does not generate a key pair: CKR_MECHANISM_INVALID"));
    return;
  }
  // Also that the admin worker has made the audit key.
  const auto listed = host_.admin().ask<wire::ObjectList>(wire::ListObjects{});
  ASSERT_THAT(listed, Succeeds());
  EXPECT_EQ(listed->total, links ? 1U : 0U);
  const auto imported = links ? Result<void>{} : host_.import(kKey, kSecret);
  ASSERT_THAT(imported, Succeeds());
  const auto mac = host_.client().ask<wire::MacAnswer>(heartbeat());
  ASSERT_THAT(mac, Succeeds());
  EXPECT_EQ(mac->mac, hmac_sha384(as_bytes(kSecret), heartbeat().message));
}

}  // namespace
}  // namespace hsm::token
