#include "hsm_signer/token/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;

// A configuration that check() has nothing against. check() locks the process down, which cannot be
// undone: each runs in a child.
class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() : config_{*Config::parse(config_example(), dir_ / "desk.toml")} {
    config_.mode = Mode::development;
    config_.ceilings = dir_ / "ceilings.toml";
    config_.pin_file = dir_ / "pin";
    config_.module_writes.reset();
    write(config_.ceilings, "version = 1\n", 0644);
    write(config_.pin_file, "1234\n", 0600);
  }
  static void write(const std::string& path, const std::string& text, mode_t mode) {
    std::ofstream{path} << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
  }
  // The sentence that check() refuses with; empty where it does not.
  std::string refusal() const {
    const Ended ended = in_child([this] {
      const auto checked = check(config_);
      if (!checked) std::fputs(checked.error().sentence().c_str(), stderr);
      return checked ? 0 : 1;
    });
    EXPECT_EQ(ended.status, ended.said.empty() ? 0 : 1);
    return ended.said;
  }

  TempDir dir_;
  Config config_;
};

TEST_F(SupervisorTest, IsLockedDownBeforeItReadsThePin) {
  config_.pin_file = dir_ / "no-such-pin";
  for (const auto& start : {&check, &supervise}) {
    const Ended ended = in_child([&] {
      const auto started = start(config_);
      if (started || started.error().detail.find("no-such-pin") == std::string::npos) return 1;
      return ::prctl(PR_GET_DUMPABLE) == 0 && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 2;
    });
    EXPECT_EQ(ended.status, 0) << ended.said;
  }
}

TEST_F(SupervisorTest, SaysThatADirectoryOfModuleWritesIsMissing) {
  config_.module_writes = std::vector<std::string>{dir_ / "token"};
  EXPECT_THAT(refusal(), HasSubstr(dir_ / "token"));
  ASSERT_EQ(::mkdir((dir_ / "token").c_str(), 0700), 0);
  EXPECT_EQ(refusal(), "");
}

TEST_F(SupervisorTest, ChecksTheWrapKeyOfAProfileThatDecryptsItself) {
  config_.profile = *find_profile("yubihsm");
  config_.wrap_private = dir_ / "wrap.pem";
  EXPECT_THAT(refusal(), HasSubstr(config_.wrap_private)) << "there is none";
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_RSA_gen(3072), &EVP_PKEY_free};
  std::FILE* file = std::fopen(config_.wrap_private.c_str(), "we");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(PEM_write_PKCS8PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  std::fclose(file);
  ASSERT_EQ(::chmod(config_.wrap_private.c_str(), 0644), 0);
  EXPECT_THAT(refusal(), HasSubstr(config_.wrap_private)) << "everybody may read it";
  ASSERT_EQ(::chmod(config_.wrap_private.c_str(), 0600), 0);
  EXPECT_EQ(refusal(), "");
  config_.profile = *find_profile("softhsm");
  config_.wrap_private = dir_ / "absent";
  EXPECT_EQ(refusal(), "") << "a token that decrypts has no such file";
}

}  // namespace
}  // namespace hsm::token
