// The real hsm-tokend, officers' keys of the real ssh-keygen, and withdrawals of a production key.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "hsm_signer/officers/sshsig.h"
#include "hsm_signer/officers/statement.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"
#include "tests/unit/officers/ssh_keygen.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
using test::TokenClient;
using test::TokenHost;
using ::testing::HasSubstr;

constexpr std::string_view kSecret = "1234abcd";
const ObjectName kFunds{"desk-a.funds.v1", 1};
constexpr const char* kPayload =
    R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1q","amount":"1"})";
constexpr const char* kSigned =
    R"({"request":"/v2/withdraw/bitcoin/btc","nonce":7,"address":"bc1q","amount":"1"})";

TokenHost::Options demanding() {
  TokenHost::Options options;
  options.more =
      "allowed_officers = \"allowed_officers\"\n"
      "module_writes = [\"token\"]\n";  // Landlock too: the list lies in state_dir.
  options.ceilings =
      "version = 1\n[[key]]\nlabel = \"desk-a.funds\"\nenvironment = \"production\"\n"
      "classes = [\"read\", \"move\"]\nofficers = { group = \"officers\", need = 2 }\n";
  return options;
}

class TokendOfficers : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string allowed = "version = 1\n";
    for (const auto& [name, type] : {std::pair{"alice", "ed25519"}, {"bob", "ecdsa"}}) {
      keys_.push_back(keygen_.key(name, type));
      allowed += "[[officer]]\nname = \"" + std::string{name} + "\"\nkeys = [\"" +
                 keygen_.public_line(keys_.back()) + "\"]\ngroups = [\"officers\"]\n";
    }
    host_.write("allowed_officers", allowed);
    host_.start();
    ASSERT_THAT(host_.import(kFunds, kSecret), Succeeds());
  }

  // What both have signed about kPayload.
  std::string approval(const std::string& id) {
    char name[65] = {};
    EXPECT_EQ(::gethostname(name, sizeof name - 1), 0);
    officers::Statement statement{.host = name,
                                  .id = id,
                                  .key = "desk-a.funds",
                                  .api_key_id = "account-1",
                                  .environment = "production",
                                  .client = "treasury",
                                  .payload = kPayload,
                                  .policy_serial = 1,
                                  .arguments = {{"token", "desk"}}};
    statement.expires = SystemClock{}.wall() + 15min;
    const std::string text = *statement.to_text();
    std::string bundle = text;
    for (const std::string& key : keys_)
      bundle += keygen_.sign(key, text, std::string{officers::kNamespace});
    return bundle;
  }
  static wire::MacRequest withdrawal(const std::string& bundle) {
    wire::MacRequest request = test::mac_request(kFunds, kSecret, kSigned);
    request.statements = bundle;
    return request;
  }

  officers::SshKeygen keygen_;
  std::vector<std::string> keys_;
  TokenHost host_{demanding()};
};

TEST_F(TokendOfficers, HaveTheirWithdrawalSignedOnce) {
  const auto request = withdrawal(approval("r-1"));
  const auto answer = host_.client().ask<wire::MacAnswer>(request);
  ASSERT_THAT(answer, Succeeds());
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(kSecret)));
  EXPECT_TRUE(answer->mac == hmac_sha384(canonical->view(), request.message));
  EXPECT_TRUE(host_.logs("statement_spent: r-1 for desk-a.funds.v1, of alice, bob"));
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(request),
              ErrorIs(Code::denied, HasSubstr("used before: r-1")));
}

TEST_F(TokendOfficers, AreAskedForEachWithdrawal) {
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(withdrawal("")),
              ErrorIs(Code::approval_required, HasSubstr("2 distinct officers")));
  wire::MacRequest dearer = test::mac_request(
      kFunds, kSecret,
      R"({"request":"/v2/withdraw/bitcoin/btc","nonce":7,"address":"bc1q","amount":"2"})");
  dearer.statements = approval("r-1");
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(dearer),
              ErrorIs(Code::denied, HasSubstr("another payload")));
}

TEST_F(TokendOfficers, AreHeardOnceFromTwoConnectionsAtOnce) {
  for (int turn = 0; turn < 5; ++turn) {
    const auto request = withdrawal(approval("race-" + std::to_string(turn)));
    Bytes frames;
    for (std::uint64_t id = 1; id <= 3; ++id)
      ASSERT_THAT(wire::encode(frames, id, request), Succeeds());
    TokenClient one = host_.client();
    TokenClient other = host_.client();
    ASSERT_THAT(one.send(frames), Succeeds());
    ASSERT_THAT(other.send(frames), Succeeds());
    int signed_times = 0;
    for (TokenClient* client : {&one, &other}) {
      for (int i = 0; i < 3; ++i) {
        const auto body = client->receive();
        ASSERT_THAT(body, Succeeds());
        const auto frame = wire::FrameView::parse(*body);
        ASSERT_THAT(frame, Succeeds());
        signed_times += frame->type() == wire::answer_to(wire::Type::mac) ? 1 : 0;
      }
    }
    EXPECT_EQ(signed_times, 1);
  }
}

TEST_F(TokendOfficers, AreHeardOnceOverARestartAndAKilledWorker) {
  const auto request = withdrawal(approval("r-1"));
  ASSERT_THAT(host_.client().ask<wire::MacAnswer>(request), Succeeds());
  for (const pid_t worker : host_.workers()) ::kill(worker, SIGKILL);
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(request),
              ErrorIs(Code::denied, HasSubstr("used before")));
  ASSERT_EQ(host_.stop(), 0);
  host_.start();
  EXPECT_THAT(host_.client().ask<wire::MacAnswer>(request),
              ErrorIs(Code::denied, HasSubstr("used before")));
}

TEST(TokendWithoutOfficers, DoesNotStartWhereACeilingDemandsThem) {
  TokenHost::Options options = demanding();
  options.more.clear();
  TokenHost host{options};
  host.start();
  EXPECT_TRUE(host.logs("ceilings demand officers, and no file says who they are"));
  EXPECT_EQ(host.stop(), 2);
}

}  // namespace
}  // namespace hsm::token
