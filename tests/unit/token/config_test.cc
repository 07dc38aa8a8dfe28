#include "hsm_signer/token/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/error_is.h"

namespace hsm::token {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Result<Config> parse(const std::string& text) {
  return Config::parse(text, "/etc/hsm-tokend/desk.toml");
}

// The example with the line that begins with `key` replaced.
std::string with(const std::string& key, const std::string& line) {
  std::string text{config_example()};
  const std::size_t at = text.find("\n" + key + " = ") + 1;
  EXPECT_NE(at, 0U) << key;
  text.replace(at, text.find('\n', at) - at, line);
  return text;
}

TEST(TokendConfig, ReadsTheExample) {
  const auto config = parse(std::string{config_example()});
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->mode, Mode::production);
  EXPECT_EQ(config->token, "desk");
  EXPECT_EQ(config->workers, 2U);
  EXPECT_EQ(config->pin_file, "/etc/hsm-tokend/desk.pin");
  EXPECT_EQ(config->clients, std::vector<uid_t>{0});
  EXPECT_EQ(config->call_limit, std::chrono::seconds{5});
  ASSERT_EQ(config->module_env.size(), 1U);
  EXPECT_EQ(config->module_env[0].first, "SOFTHSM2_CONF");
}

TEST(TokendConfig, TakesRelativePathsFromItsOwnDirectory) {
  const auto config = parse(with("socket", "socket = \"run/desk.sock\""));
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->socket, "/etc/hsm-tokend/run/desk.sock");
}

TEST(TokendConfig, LimitsWhatTheModuleWritesOnlyWhenTold) {
  const auto absent = parse(with("module_writes", ""));
  ASSERT_THAT(absent, Succeeds());
  EXPECT_FALSE(absent->module_writes.has_value());
  const auto nothing = parse(with("module_writes", "module_writes = []"));
  ASSERT_THAT(nothing, Succeeds());
  EXPECT_EQ(nothing->module_writes, std::vector<std::string>{});
  const auto relative = parse(with("module_writes", "module_writes = [\"token\", \"/var/x\"]"));
  ASSERT_THAT(relative, Succeeds());
  EXPECT_EQ(relative->module_writes, (std::vector<std::string>{"/etc/hsm-tokend/token", "/var/x"}));
}

TEST(TokendConfig, NamesOfficersOnlyWhenTold) {
  const auto named = parse(with("allowed_officers", "allowed_officers = \"allowed_officers\""));
  ASSERT_THAT(named, Succeeds());
  EXPECT_EQ(named->allowed_officers, "/etc/hsm-tokend/allowed_officers");
  const auto absent = parse(with("allowed_officers", ""));
  ASSERT_THAT(absent, Succeeds());
  EXPECT_EQ(absent->allowed_officers, "");
}

TEST(TokendConfig, LetsOnlyItsOwnUidInUnlessToldOtherwise) {
  const auto config = parse(with("clients", ""));
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->clients, std::vector<uid_t>{::geteuid()});
}

TEST(TokendConfig, RefusesEveryMistakeWithItsPlace) {
  struct Row {
    const char* key;
    std::string line;
    const char* says;
  };
  const Row rows[] = {
      {"token", "token = \"Desk!\"", "token"},
      {"token", "", "missing key: token"},
      {"uri", "uri = \"pkcs11:token=a;token=b\"", "twice"},
      {"uri", "uri = \"pkcs11:token=desk?pin-value=1234\"", "query"},
      {"module", "module = \"libsofthsm2.so\"", "absolute"},
      {"profile", "profile = \"yubihsm\"", "1 to 1"},
      {"profile", "profile = \"softhsm\"\nwrap_private = \"wrap.pem\"", "unknown key"},
      {"profile", "profile = \"nss\"\naccept_unfit_token = \"yes\"", "accept_unfit_token"},
      {"profile", "profile = \"luna\"", "unknown token profile"},
      {"workers", "workers = 0", "out of range"},
      {"workers", "workers = 65", "out of range"},
      {"workers", "workers = \"2\"", "integer"},
      {"workers", "depth = 1000", "out of range"},
      {"pin_source", "pin_source = \"1234\"", "file:"},
      {"pin_source", "pin_source = \"env:PIN\"", "file:"},
      {"pin_source", "pin = \"1234\"", "missing key: pin_source"},
      {"admin_socket", "admin_socket = \"/run/hsm-tokend/desk.sock\"", "differ"},
      {"socket", "socket = \"/" + std::string(120, 'x') + "\"", "too long"},
      {"clients", "clients = [\"65534\"]", "clients"},
      {"clients", "clients = [\"no-such-user-here\"]", "clients"},
      {"clients", "clients = [1000]", "strings"},
      {"call_deadline_ms", "call_deadline_ms = 0", "out of range"},
      {"call_deadline_ms", "call_deadline = 5", "unknown key"},
      {"module_env", "module_env = { LD_PRELOAD = \"/tmp/x.so\" }", "LD_PRELOAD"},
      {"module_env", "module_env = { LD_LIBRARY_PATH = \"/tmp\" }", "LD_LIBRARY_PATH"},
      {"module_env", "module_env = { OPENSSL_CONF = \"/tmp\" }", "OPENSSL_CONF"},
      {"module_env", "module_env = { path = \"/tmp\" }", "path"},
      {"module_env", "module_env = { A = 1 }", "string"},
      {"module_env", "mode = \"test\"", "production"},
      {"allowed_officers", "allowed_officers = \"\"", "must name a file"},
      {"allowed_officers", "allowed_officers = [\"alice\"]", "allowed_officers"},
      {"module_writes", "module_writes = [\"\"]", "must name directories"},
      {"module_writes", "module_writes = \"/var/lib\"", "module_writes"},
  };
  for (const Row& row : rows)
    EXPECT_THAT(parse(with(row.key, row.line)),
                ErrorIs(Code::usage, AllOf(HasSubstr("desk.toml:"), HasSubstr(row.says))))
        << row.line;
  EXPECT_THAT(Config::parse("version = 2\n", "/d.toml"), ErrorIs(Code::usage));
  EXPECT_THAT(Config::load("/nonexistent/desk.toml"), ErrorIs(Code::usage));
}

TEST(TokendConfig, NeverRepeatsAPinInItsSentence) {
  const auto config = parse(with("pin_source", "pin_source = \"hunter2\""));
  ASSERT_THAT(config, ErrorIs(Code::usage));
  EXPECT_EQ(config.error().sentence().find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace hsm::token
