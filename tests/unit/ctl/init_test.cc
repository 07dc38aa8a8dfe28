#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hsm_signer/base/toml.h"
#include "hsm_signer/config/signer_config.h"
#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

Ran init(const std::string& dir, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--dir", dir, "init"});
  return run_ctl(more);
}
std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}
unsigned mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(InitTest, MakesADirectoryThatItsDaemonsCanRead) {
  client::TempDir temp;
  const std::string dir = temp / "d";
  const Ran ran = init(dir, {"--workers", "3"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("--dir " + dir + " up"));
  const auto config = SignerConfig::load(dir + "/signer.toml");
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->mode, SignerConfig::Mode::development);
  EXPECT_EQ(config->socket, dir + "/run/signer.sock");
  EXPECT_EQ(config->tokens.at(0).admin_socket, dir + "/run/dev.admin.sock");
  EXPECT_EQ(config->tokens.at(0).wrap_key, dir + "/wrap-dev.pub.pem");
  auto token = TomlTable::load(dir + "/dev.toml");
  ASSERT_THAT(token, Succeeds());
  EXPECT_EQ(*token->text("uri"), "pkcs11:token=dev");
  EXPECT_EQ(*token->integer("workers", 1, 64), 3);
  EXPECT_EQ(*token->text("wrap_public"), dir + "/wrap-dev.pub.pem");
  EXPECT_THAT(TomlTable::load(dir + "/ceilings.toml"), Succeeds());
  EXPECT_THAT(read(dir + "/policy.toml"), HasSubstr("env:sandbox"));
}

TEST(InitTest, TheSecretsBelongToTheirOwnerAlone) {
  client::TempDir temp;
  const std::string dir = temp / "d";
  const Ran ran = init(dir);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(mode_of(dir), 0700u);
  EXPECT_EQ(mode_of(dir + "/pin"), 0600u);
  EXPECT_EQ(mode_of(dir + "/so-pin"), 0600u);
  EXPECT_EQ(mode_of(dir + "/token"), 0700u);
  EXPECT_EQ(mode_of(dir + "/dev.state"), 0700u);
  const std::string pin = read(dir + "/pin");
  EXPECT_GE(pin.size(), 20u);
  EXPECT_TRUE(pin != read(dir + "/so-pin"));
  const std::string line = pin.substr(0, pin.size() - 1);
  for (const char* file : {"/dev.toml", "/signer.toml", "/softhsm2.conf"})
    EXPECT_EQ(read(dir + file).find(line), std::string::npos) << file;
  EXPECT_EQ((ran.out + ran.err).find(line), std::string::npos);
}

TEST(InitTest, AnEmptyDirectoryThatIsThereIsTaken) {
  client::TempDir temp;
  EXPECT_EQ(init(temp.text(), {"--token", "desk"}).status, 0);
  EXPECT_TRUE(fs::exists(temp / "desk.toml"));
}

TEST(InitTest, ADirectoryThatIsNotEmptyIsRefusedAndLeftAlone) {
  client::TempDir temp;
  write_text(temp / "precious", "x");
  const Ran ran = init(temp.text());
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("not empty"));
  EXPECT_EQ(read(temp / "precious"), "x");
  EXPECT_EQ(std::distance(fs::directory_iterator{temp.text()}, fs::directory_iterator{}), 1);
}

TEST(InitTest, AFileInPlaceOfTheDirectoryIsRefused) {
  client::TempDir temp;
  write_text(temp / "d", "x");
  EXPECT_EQ(init(temp / "d").status, 2);
  EXPECT_EQ(read(temp / "d"), "x");
}

// Each is refused before anything is made.
struct Refused {
  const char* name;
  std::string below;
  std::vector<std::string> more;
  const char* sentence;

  friend void PrintTo(const Refused& row, std::ostream* out) { *out << row.name; }
};
class InitRefusals : public ::testing::TestWithParam<Refused> {};

TEST_P(InitRefusals, MakeNothing) {
  client::TempDir temp;
  const Ran ran = init(temp / GetParam().below, GetParam().more);
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr(GetParam().sentence));
  EXPECT_TRUE(fs::is_empty(temp.text()));
}

const Refused kRefused[] = {
    {"ASocketPathTooLong", std::string(100, 'x'), {}, "107"},
    {"ASocketPathTooLongForTheTokenOnly",
     std::string(60, 'x'),
     {"--token", std::string(32, 't')},
     "107"},
    {"ASpaceInThePath", "a b", {}, "letters, digits"},
    {"AQuoteInThePath", "a\"b", {}, "letters, digits"},
    {"ABadTokenName", "d", {"--token", "Dev"}, "token name"},
    {"ATokenNamedLikeAFileOfOurs", "d", {"--token", "signer"}, "token name"},
    {"NoWorkers", "d", {"--workers", "0"}, "--workers"},
    {"TooManyWorkers", "d", {"--workers", "65"}, "--workers"},
    {"AParentThatIsNotThere", "no/where", {}, "cannot make directory"},
};
INSTANTIATE_TEST_SUITE_P(Each, InitRefusals, ::testing::ValuesIn(kRefused),
                         [](const auto& row) { return std::string{row.param.name}; });

TEST(InitTest, WhatFailsHalfWayLeavesNothing) {
  client::TempDir temp;
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", "/usr/sbin-without-softhsm:/bin-without", 1);
  const Ran ran = init(temp / "d");
  const Ran in_place = init(temp.text());
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(in_place.status, 3);
  EXPECT_TRUE(fs::is_empty(temp.text()));
}

}  // namespace
}  // namespace hsm::ctl
