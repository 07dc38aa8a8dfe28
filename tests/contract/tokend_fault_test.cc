// Single faults of a PKCS#11 module, each against the real hsm-tokend. Thousands at random:
// tests/e2e.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "hsm_signer/confine/confine.h"
#include "hsm_signer/token/profile.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenClient;
using test::TokenHost;
using ::testing::AllOf;
using ::testing::HasSubstr;

const ObjectName kKey{"desk-a.trade.v1", 1};
constexpr std::string_view kSecret = "1234abcd";

class TokendFault : public ::testing::Test {
 protected:
  TokendFault()
      : host_{{.workers = 1,
               .module = HSM_FAULT_MODULE,
               .module_env = {{"HSM_FAULT_MODULE", test::kSoftHsmModule},
                              {"HSM_FAULT_CONTROL", control_ / "rules"}},
               .more = "call_deadline_ms = 1000\n"}} {
    host_.start();
    EXPECT_THAT(host_.import(kKey, kSecret), Succeeds());
  }
  void TearDown() override { expect_struck(); }

  // One rule a line, each as plan.h shortens it. Each has to strike before others come and before
  // the test ends: a fault that never was proves nothing.
  void rules(const std::string& text) {
    expect_struck();
    rules_ = text;
    std::filesystem::remove(control_ / "rules.struck");
    write_rules(text);
  }
  void write_rules(const std::string& text) const {
    std::ofstream{control_ / "new"} << text;
    std::filesystem::rename(control_ / "new", control_ / "rules");
  }
  // A line for each rule that struck.
  std::string struck() const {
    std::ostringstream told;
    told << '\n' << std::ifstream{control_ / "rules.struck"}.rdbuf();
    return told.str();
  }
  void expect_struck() const {
    std::istringstream lines{rules_};
    for (std::string rule; std::getline(lines, rule);)
      EXPECT_THAT(struck(), HasSubstr("\n" + rule + " ")) << "the fault never struck";
  }
  static wire::MacRequest heartbeat() { return test::mac_request(kKey, kSecret); }
  static Result<wire::MacAnswer> sign(TokenClient& client) {
    return client.ask<wire::MacAnswer>(heartbeat());
  }
  // A rule of its own for one rank, the same for all others. Which rank an admin worker has depends
  // on whether the one before has ended.
  static std::string for_each_rank(const std::string& rule, const std::string& but,
                                   const std::string& its_own) {
    std::string text;
    for (int rank = 0; rank < 4; ++rank) {
      const std::string who = "rank " + std::to_string(rank) + " ";
      text.append(text.empty() ? "" : "\n").append(who).append(who == but ? its_own : rule);
    }
    return text;
  }
  int rank_of_the_signer(TokenClient& client) {
    write_rules(for_each_rank("C_Sign from 1 delay 1 1", {}, {}));
    EXPECT_THAT(sign(client), Succeeds());
    for (int rank = 0; rank < 4; ++rank) {
      if (struck().find("\nrank " + std::to_string(rank) + " ") != std::string::npos) return rank;
    }
    ADD_FAILURE() << "no rank signed";
    return 0;
  }
  // The next signature is one with which the key has to prove itself.
  static void sign_until_a_canary_is_due(TokenClient& client) {
    const std::uint32_t every = (*find_profile("softhsm"))->canary_every;
    for (std::uint32_t i = 0; i + 1 < every; ++i) ASSERT_THAT(sign(client), Succeeds()) << i;
  }
  // A worker that signs rightly, within the time that TokenHost waits for one.
  void signs_again() {
    TokenClient client = host_.client();
    const auto answer = sign(client);
    ASSERT_THAT(answer, Succeeds());
    EXPECT_TRUE(answer->mac == hmac_sha384(as_bytes(kSecret), heartbeat().message));
  }

  TempDir control_;
  std::string rules_;
  TokenHost host_;
};

TEST_F(TokendFault, EachWayOfDyingInACallCostsOneWorker) {
  for (const char* how : {"segv", "abort", "exit", "hang"}) {
    TokenClient client = host_.client();
    ASSERT_THAT(sign(client), Succeeds()) << how;
    rules(std::string{"C_Sign at 2 "} + how);
    ASSERT_THAT(sign(client), Succeeds()) << how;
    EXPECT_THAT(sign(client), ErrorIs(Code::protocol_error, HasSubstr("closed"))) << how;
    rules("");
    signs_again();
  }
}

TEST_F(TokendFault, AHungCallEndsWithItsDeadlineInASearchToo) {
  int killed = 0;
  for (const char* call : {"C_Sign", "C_FindObjects"}) {
    TokenClient client = host_.client();
    rules(std::string{call} + " from 1 hang");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(sign(client), ErrorIs(Code::protocol_error, HasSubstr("closed"))) << call;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{5}) << call;
    EXPECT_TRUE(host_.logs("signal 9", ++killed)) << call;
    rules("");
    signs_again();
  }
}

TEST_F(TokendFault, AMacOfAWrongLengthIsNoMac) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  rules("C_Sign at 1 short");
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr("wrong length")));
  EXPECT_THAT(sign(client), Succeeds());
}

TEST_F(TokendFault, AModuleThatWritesBehindTheMacHitsNothing) {
  TokenClient client = host_.client();
  rules("C_Sign from 1 overrun 80");
  for (int i = 0; i < 100; ++i) ASSERT_THAT(sign(client), Succeeds());
}

TEST_F(TokendFault, AnErrorThatMayPassIsTriedOnceMore) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  for (const char* rv : {"CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_FUNCTION_CANCELED"}) {
    rules(std::string{"C_SignInit at 1 rv "} + rv);
    EXPECT_THAT(sign(client), Succeeds()) << rv;
    rules(std::string{"C_SignInit from 1 rv "} + rv);
    EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr(rv)));
    rules("");
    EXPECT_THAT(sign(client), Succeeds()) << "the worker is kept";
  }
}

TEST_F(TokendFault, ALostLoginOrDeviceEndsTheWorkerWithItsAnswer) {
  for (const char* rv : {"CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_HANDLE_INVALID", "CKR_DEVICE_ERROR",
                         "CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT"}) {
    TokenClient client = host_.client();
    ASSERT_THAT(sign(client), Succeeds()) << rv;
    rules(std::string{"C_SignInit at 1 rv "} + rv);
    EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr(rv)));
    EXPECT_THAT(sign(client), ErrorIs(Code::protocol_error, HasSubstr("closed"))) << rv;
    rules("");
    signs_again();
  }
}

TEST_F(TokendFault, ALogoutBehindItsBackIsSurvived) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  rules("C_SignInit at 1 logout");
  // The search after it shows no private object, which is not to be heard as "no such key".
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr("USER_NOT_LOGGED_IN")));
  rules("");
  signs_again();
}

// The rule comes when the worker has signed: however slow the machine, it is the pause that
// strikes.
TEST_F(TokendFault, AnIdleTokenThatForgotItsSessionsIsLoggedInAnew) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  rules("limit idle 100");
  std::this_thread::sleep_for(std::chrono::milliseconds{101});
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable));
  rules("");
  signs_again();
}

TEST_F(TokendFault, WrongMacsAreFoundWithinACanaryAndTheTokenIsTakenOut) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  rules("C_Sign from 1 flip");
  const std::uint32_t every = (*find_profile("softhsm"))->canary_every;
  std::uint32_t wrong = 0;
  Result<wire::MacAnswer> last = sign(client);
  for (; last && wrong < 10 * every; last = sign(client)) {
    EXPECT_FALSE(last->mac == hmac_sha384(as_bytes(kSecret), heartbeat().message));
    ++wrong;
  }
  EXPECT_THAT(last, ErrorIs(Code::token_unavailable, HasSubstr("signs wrongly")));
  EXPECT_LT(wrong, every);
  EXPECT_TRUE(host_.logs("token_taken_out"));
  // For everybody, and for good: a module that lied may say anything next.
  rules("");
  for (const std::string& socket : {host_.socket(), host_.admin_socket()}) {
    for (int i = 0; i < 200 && TokenClient::greeted(socket); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    EXPECT_THAT(TokenClient::greeted(socket),
                ErrorIs(Code::token_unavailable,
                        AllOf(HasSubstr("signs wrongly"), HasSubstr("restart hsm-tokend"))));
  }
  host_.stop();
  host_.start();
  signs_again();
}

// Killed, an import may leave half a key.
TEST_F(TokendFault, AnImportThatIsUnderWayIsFinishedWhenTheTokenIsTakenOut) {
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  const std::string signer = "rank " + std::to_string(rank_of_the_signer(client)) + " ";
  write_rules(for_each_rank("C_Sign from 1 delay 600000 600000", signer, "C_Sign from 1 flip"));
  Result<void> imported;
  std::thread administrator{[&] { imported = host_.import({"desk-a.funds.v1", 2}, kSecret); }};
  for (int i = 0; i < 2'000 && struck().find(" delay 600000 ") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  EXPECT_THAT(struck(), HasSubstr(" delay 600000 ")) << "the import never signed";
  for (int i = 0; i < 100 && sign(client); ++i) continue;
  EXPECT_TRUE(host_.logs("token_taken_out"));
  administrator.join();
  EXPECT_THAT(imported, Succeeds());
}

TEST_F(TokendFault, ARefusalOfTheKeyInACanaryPassesAndQuarantinesNothing) {
  TokenClient client = host_.client();
  sign_until_a_canary_is_due(client);
  rules("C_SignInit at 1 rv CKR_KEY_FUNCTION_NOT_PERMITTED");
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr("NOT_PERMITTED")));
  EXPECT_THAT(sign(client), Succeeds());
}

TEST_F(TokendFault, ACanaryThatCouldNotSingIsDueAgainAtTheNextSignature) {
  TokenClient client = host_.client();
  sign_until_a_canary_is_due(client);
  rules("C_SignInit at 1 rv CKR_KEY_FUNCTION_NOT_PERMITTED");
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr("NOT_PERMITTED")));
  rules("C_Sign from 1 flip");
  EXPECT_THAT(sign(client), ErrorIs(Code::token_unavailable, HasSubstr("signs wrongly")));
}

// What was hit, nobody knows: the worker ends, or it lies until the canary. Nothing else.
TEST_F(TokendFault, AScribbledHeapEndsAWorkerOrIsFoundByTheCanary) {
  if (!confine::is_built_to_confine())
    GTEST_SKIP() << "a sanitizer keeps its objects outside the heap";
  TokenClient client = host_.client();
  ASSERT_THAT(sign(client), Succeeds());
  rules("C_Sign from 1 scribble 400");
  const std::uint32_t every = (*find_profile("softhsm"))->canary_every;
  const Mac right = hmac_sha384(as_bytes(kSecret), heartbeat().message);
  std::uint32_t wrong = 0;
  Result<wire::MacAnswer> last = sign(client);
  for (std::uint32_t i = 0; last && i < 10 * every; ++i) {
    wrong += last->mac == right ? 0 : 1;
    last = sign(client);
  }
  ASSERT_FALSE(last) << "it still signs, after " << wrong << " wrong MACs";
  EXPECT_NE(last.error().code, Code::deadline_exceeded) << "the worker hangs";
  EXPECT_LT(wrong, every);
  EXPECT_TRUE(last.error().code == Code::token_unavailable || host_.logs("worker_died"))
      << last.error().sentence();
  rules("");
  if (host_.log().find("token_taken_out") != std::string::npos) {
    host_.stop();
    host_.start();
  }
  signs_again();
}

TEST_F(TokendFault, AKeyThatSignsWronglyFromTheFirstIsQuarantined) {
  rules("C_Sign from 1 flip");
  TokenClient client = host_.client();
  EXPECT_THAT(sign(client), ErrorIs(Code::quarantined));
}

TEST_F(TokendFault, RulesThatAreNoneEndTheModuleInsteadOfSparingIt) {
  TokenClient client = host_.client();
  write_rules("C_Sign sometimes flip\n");
  EXPECT_THAT(sign(client), ErrorIs(Code::protocol_error));
  EXPECT_TRUE(host_.logs("is no rule"));
}

}  // namespace
}  // namespace hsm::token
