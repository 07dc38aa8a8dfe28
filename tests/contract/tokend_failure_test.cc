// What goes wrong with tokens, PINs, modules and workers, on the real hsm-tokend.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "hsm_signer/token/config.h"
#include "hsm_signer/wire/blob.h"
#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/token_host.h"

namespace hsm::token {
namespace {

using test::TokenClient;
using test::TokenHost;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kSecret = "1234abcd";
const ObjectName kKey{"desk-a.trade.v1", 1};

wire::MacRequest heartbeat(const ObjectName& object = kKey) {
  return test::mac_request(object, kSecret);
}

int count(const std::string& path, const std::string& text) {
  std::ifstream file{path};
  int lines = 0;
  for (std::string line; std::getline(file, line);)
    lines += line.find(text) != std::string::npos ? 1 : 0;
  return lines;
}

// The error that a host without workers gives, once it gives one.
Error refusal_of(const std::string& socket) {
  for (int i = 0; i < 2'000; ++i) {
    auto client = TokenClient::greeted(socket);
    if (!client && client.error().sentence().find("cannot connect") == std::string::npos)
      return client.error();
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return {.code = Code::internal, .what = "nobody refused"};
}

// Runs hsm-tokend with `arguments` to its end, which is soon: else 124.
Ended run(const std::string& arguments) {
  const std::string command = "timeout 20 " + std::string{HSM_TOKEND} + " " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string said;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = ::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    said.append(buffer.data(), n);
  const int how = ::pclose(pipe);
  return {WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how), said};
}

TEST(TokendFailure, LogsInOnceWithAWrongPinHoweverManyWorkers) {
  TempDir spy;
  TokenHost host{
      {.workers = 10,
       .module = HSM_PKCS11_SPY,
       .module_env = {{"PKCS11SPY", test::kSoftHsmModule}, {"PKCS11SPY_OUTPUT", spy / "log"}}}};
  host.write("pin", "not-the-pin\n");
  host.start();
  ASSERT_TRUE(host.logs("pin_refused"));
  const Error refusal = refusal_of(host.socket());
  EXPECT_EQ(refusal.code, Code::token_unavailable);
  EXPECT_THAT(refusal.sentence(),
              AllOf(HasSubstr("PIN"), HasSubstr("CKR_PIN_INCORRECT"), HasSubstr("restart")));
  EXPECT_EQ(refusal_of(host.admin_socket()).code, Code::token_unavailable);
  // Longer than any worker's first pause: nobody tries again.
  std::this_thread::sleep_for(std::chrono::milliseconds{1'500});
  EXPECT_EQ(count(spy / "log", "C_Login"), 1);
  EXPECT_EQ(host.log().find("not-the-pin"), std::string::npos);
}

TEST(TokendFailure, LogsInOncePerWorkerWithTheRightPin) {
  TempDir spy;
  TokenHost host{
      {.workers = 3,
       .module = HSM_PKCS11_SPY,
       .module_env = {{"PKCS11SPY", test::kSoftHsmModule}, {"PKCS11SPY_OUTPUT", spy / "log"}}}};
  host.start();
  ASSERT_TRUE(host.logs(": ready"));
  EXPECT_EQ(count(spy / "log", "C_Login"), 4);
  // Every worker's hello answered by a living one: the sockets are served.
  EXPECT_THAT(host.client().ask<wire::Info>(wire::InfoQuery{}), Succeeds());
  EXPECT_EQ(count(spy / "log", "C_Finalize"), 0);
}

TEST(TokendFailure, ServesAgainAfterARestartWithTheRightPin) {
  TokenHost host;
  std::string right;
  std::getline(std::ifstream{host.dir() + "/pin"}, right);
  host.write("pin", "not-the-pin\n");
  host.start();
  ASSERT_TRUE(host.logs("pin_refused"));
  ASSERT_EQ(host.stop(), 0);
  host.write("pin", right + "\n");
  host.start();
  EXPECT_THAT(host.import(kKey, kSecret), Succeeds());
}

TEST(TokendFailure, SaysThatTheModuleIsMissing) {
  TokenHost host{{.module = "/nonexistent/module.so"}};
  host.start();
  const Error refusal = refusal_of(host.socket());
  EXPECT_EQ(refusal.code, Code::token_unavailable);
  EXPECT_THAT(refusal.sentence(),
              AllOf(HasSubstr("cannot load"), HasSubstr("/nonexistent/module.so")));
}

TEST(TokendFailure, SaysThatTheModuleIsNoPkcs11Module) {
  TokenHost host{{.module = HSM_LIBM}};
  host.start();
  EXPECT_THAT(refusal_of(host.socket()).sentence(), HasSubstr("C_GetFunctionList"));
}

TEST(TokendFailure, SaysThatTheTokenIsMissing) {
  TokenHost host{{.uri = "pkcs11:token=elsewhere"}};
  host.start();
  const Error refusal = refusal_of(host.socket());
  EXPECT_EQ(refusal.code, Code::token_unavailable);
  EXPECT_THAT(refusal.sentence(),
              AllOf(HasSubstr("no initialised token"), HasSubstr("token=elsewhere")));
}

TEST(TokendFailure, SaysThatTheUriMatchesTwoTokens) {
  TokenHost host{{.uri = "pkcs11:model=SoftHSM%20v2"}};
  const std::string script =
      std::string{HSM_SOURCE_DIR} + "/softhsm-config/init-token.sh " + host.dir() + " second";
  ASSERT_EQ(std::system(script.c_str()), 0);
  host.start();
  EXPECT_THAT(refusal_of(host.socket()).sentence(), HasSubstr("more than one token"));
}

// Another program with the PIN makes a key. While the host is down: beside running workers
// pkcs11-tool failed once, and why was not found.
int make_foreign_key(const TokenHost& host, const std::string& id, const std::string& label) {
  std::string pin;
  std::getline(std::ifstream{host.dir() + "/pin"}, pin);
  const std::string command =
      "SOFTHSM2_CONF=" + host.dir() + "/softhsm2.conf PIN=" + pin + " pkcs11-tool --module " +
      test::kSoftHsmModule +
      " --token-label desk --login --pin env:PIN --keygen --key-type GENERIC:48 --sensitive --id " +
      id + " --label " + label + " >/dev/null 2>&1";
  return std::system(command.c_str());
}

TEST(TokendFailure, QuarantinesADuplicateLabelAndServesTheOthers) {
  TokenHost host;
  host.start();
  const ObjectName other{"desk-b.trade.v1", 2};
  ASSERT_THAT(host.import(kKey, kSecret), Succeeds());
  ASSERT_THAT(host.import(other, kSecret), Succeeds());
  host.stop();
  ASSERT_EQ(make_foreign_key(host, "0077", "desk-a.trade.v1"), 0);
  host.start();
  TokenClient client = host.client();
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat()),
              ErrorIs(Code::quarantined, HasSubstr("share a label")));
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat(other)), Succeeds());
}

TEST(TokendFailure, PassesOverAForeignKeyWithoutALabelOfItsOwn) {
  TempDir control;
  std::ofstream{control / "rules"} << "withhold foreign\n";
  TokenHost host{{.workers = 1,
                  .module = HSM_FAULT_MODULE,
                  .module_env = {{"HSM_FAULT_MODULE", test::kSoftHsmModule},
                                 {"HSM_FAULT_CONTROL", control / "rules"}}}};
  ASSERT_EQ(make_foreign_key(host, "0077", "foreign"), 0);
  host.start();
  ASSERT_THAT(host.import(kKey, kSecret), Succeeds());
  TokenClient client = host.client();
  EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat()), Succeeds());
  EXPECT_TRUE(host.logs("foreign_key"));
  EXPECT_TRUE(std::ifstream{control / "rules.struck"}.peek() == 'w') << "its label could be read";
  // Its CKA_ID still counts: a token that knows keys by it would mix up the two.
  EXPECT_THAT(host.import({"desk-b.trade.v1", 0x77}, kSecret),
              ErrorIs(Code::usage, HasSubstr("CKA_ID already")));
}

TEST(TokendFailure, ReplacesAKilledWorker) {
  TokenHost host{{.workers = 1}};
  host.start();
  ASSERT_THAT(host.import(kKey, kSecret), Succeeds());
  {
    TokenClient client = host.client();
    ASSERT_THAT(client.ask<wire::MacAnswer>(heartbeat()), Succeeds());
    for (const pid_t worker : host.workers()) ::kill(worker, SIGKILL);
    EXPECT_THAT(client.ask<wire::MacAnswer>(heartbeat()), ErrorIs(Code::protocol_error));
  }
  EXPECT_THAT(host.client().ask<wire::MacAnswer>(heartbeat()), Succeeds());
}

TEST(TokendFailure, WorkersEndWithTheirSupervisor) {
  TokenHost host;
  host.start();
  ASSERT_TRUE(host.logs(": ready"));
  const auto workers = host.workers();
  ASSERT_EQ(workers.size(), 3U);
  ::kill(host.pid(), SIGKILL);
  const auto runs = [](pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string number, name, state;
    return (file >> number >> name >> state) && state != "Z";
  };
  for (const pid_t worker : workers) {
    int waited = 0;
    while (runs(worker) && ++waited < 1'000)
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    EXPECT_LT(waited, 1'000) << worker;
  }
}

TEST(TokendFailure, StopsCleanlyAndTakesItsSocketsAlong) {
  TokenHost host;
  host.start();
  TokenClient client = host.client();
  EXPECT_EQ(host.stop(), 0);
  EXPECT_FALSE(std::filesystem::exists(host.socket()));
  EXPECT_FALSE(std::filesystem::exists(host.admin_socket()));
}

TEST(TokendFailure, RefusesASecondSupervisorOfOneToken) {
  TokenHost host;
  host.start();
  ASSERT_TRUE(host.logs(": ready"));
  const Ended second = run("--config " + host.config());
  EXPECT_EQ(second.status, 2);
  EXPECT_THAT(second.said, HasSubstr("another hsm-tokend"));
}

TEST(TokendFailure, NeverReplacesAPublishedWrapKey) {
  TokenHost host;
  host.write("wrap-desk.pub.pem",
             "-----BEGIN PUBLIC KEY-----\nanother\n-----END PUBLIC KEY-----\n");
  host.start();
  EXPECT_THAT(refusal_of(host.socket()).sentence(), HasSubstr("another public key"));
}

TEST(TokendFailure, ClosesOnAPeerWhoseUidIsNotAmongTheClients) {
  // The socket itself is 0600, so the test lets everybody in and asks who is served.
  constexpr uid_t kStranger = 54'321;
  TokenHost host{{.workers = 1}};
  host.start();
  ASSERT_TRUE(host.logs(": ready"));
  ASSERT_EQ(::chmod(host.dir().c_str(), 0711), 0);
  ASSERT_EQ(::chmod(host.socket().c_str(), 0666), 0);
  const Ended ended = in_child([&] {
    if (::setuid(kStranger) != 0) return 3;
    const auto client = TokenClient::greeted(host.socket());
    return client ? 1 : client.error().code == Code::protocol_error ? 0 : 2;
  });
  EXPECT_EQ(ended.status, 0) << ended.said;
  EXPECT_TRUE(host.logs("uid 54321 is not among the clients"));
  EXPECT_THAT(host.client().ask<wire::Info>(wire::InfoQuery{}), Succeeds());
}

TEST(TokendFailure, CheckFindsATypoWithItsPlace) {
  TokenHost host{{.more = "worker = 2\n"}};
  host.start();
  host.stop();
  const Ended ended = run("--config " + host.config() + " --check");
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.said, AllOf(HasSubstr("desk.toml:"), HasSubstr("worker")));
}

TEST(TokendFailure, TheExampleOfTheHelpTextIsAConfiguration) {
  EXPECT_THAT(Config::parse(config_example(), "/etc/hsm-tokend/desk.toml"), Succeeds());
  const Ended help = run("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.said, HasSubstr("pin_source = \"file:/etc/hsm-tokend/desk.pin\""));
  EXPECT_EQ(run("--version").status, 0);
  EXPECT_EQ(run("--pin 1234").status, 2);
}

}  // namespace
}  // namespace hsm::token
