// The real hsm-tokend on the token of this run (tests/tokens/worlds.py), over its sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "hsm_signer/token/profile.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenClient;
using test::TokenHost;

const ObjectName kKey{"desk-a.trade.v1", 1};
const ObjectName kNext{"desk-b.trade.v1", 2};  // The tests of a run share the token.
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

// A zombie, or gone: the kernel closes files before it makes one.
bool has_closed_its_files(pid_t pid) {
  const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t state = stat.rfind(") ");
  return state == std::string::npos || stat[state + 2] == 'Z' || stat[state + 2] == 'X';
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
    if (profile_.way == SecretWay::decrypted_in_host) host_.make_wrap_key("wrap-desk.pem");
  }
  static wire::MacRequest heartbeat(const ObjectName& object = kKey) {
    return test::mac_request(object, kSecret);
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
  EXPECT_TRUE(mac->mac == hmac_sha384(as_bytes(kSecret), heartbeat().message));
}

// p11-kit's server has a child for each connection; the library would end the process by SIGPIPE.
TEST_F(TokendOnToken, SignsAgainAfterTheProcessThatHoldsTheTokenWasKilled) {
  const std::string server = variable("HSM_SIGNER_TEST_SERVER");
  ASSERT_FALSE(server.empty()) << "only for a token that another process holds";
  host_.start();
  ASSERT_THAT(host_.import(kNext, kSecret), Succeeds());
  TokenClient client = host_.client();
  const auto before = client.ask<wire::MacAnswer>(heartbeat(kNext));
  ASSERT_THAT(before, Succeeds());
  std::istringstream holders{slurp("/proc/" + server + "/task/" + server + "/children")};
  int killed = 0;
  for (pid_t pid = 0; holders >> pid;) {
    if (::kill(pid, SIGKILL) != 0) continue;  // That of an admin worker, which has ended meanwhile.
    ++killed;
    // Until its socket is closed: a write to it before that would raise no SIGPIPE.
    for (int i = 0; i < 2'000 && !has_closed_its_files(pid); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    ASSERT_TRUE(has_closed_its_files(pid));
  }
  ASSERT_GT(killed, 0);
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat(kNext)),
              ErrorIs(Code::token_unavailable, ::testing::HasSubstr("CKR_DEVICE_ERROR")));
  const auto mac = host_.client().ask<wire::MacAnswer>(heartbeat(kNext));
  ASSERT_THAT(mac, Succeeds());
  EXPECT_TRUE(mac->mac == hmac_sha384(as_bytes(kSecret), heartbeat(kNext).message));
  EXPECT_NE(mac->worker_id, before->worker_id);
}

}  // namespace
}  // namespace hsm::token
