#include "hsm_signer/token/supervisor.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

TEST(Supervisor, IsLockedDownBeforeItReadsThePin) {
  const TempDir dir;
  auto config = Config::parse(config_example(), dir / "desk.toml");
  ASSERT_THAT(config, Succeeds());
  config->mode = Mode::development;
  config->ceilings = dir / "ceilings.toml";
  config->pin_file = dir / "no-such-pin";
  std::ofstream{config->ceilings} << "version = 1\n";
  ASSERT_EQ(::chmod(config->ceilings.c_str(), 0644), 0);
  for (const auto& start : {&check, &supervise}) {
    const pid_t child = ::fork();  // It cannot be undone.
    if (child == 0) {
      const auto started = start(*config);
      if (started || started.error().detail.find("no-such-pin") == std::string::npos) ::_exit(1);
      ::_exit(::prctl(PR_GET_DUMPABLE) == 0 && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0
                                                                                             : 2);
    }
    int how = 0;
    ::waitpid(child, &how, 0);
    EXPECT_TRUE(WIFEXITED(how));
    EXPECT_EQ(WEXITSTATUS(how), 0);
  }
}

TEST(Supervisor, SaysThatADirectoryOfModuleWritesIsMissing) {
  const TempDir dir;
  auto config = Config::parse(config_example(), dir / "desk.toml");
  ASSERT_THAT(config, Succeeds());
  config->mode = Mode::development;
  config->ceilings = dir / "ceilings.toml";
  config->pin_file = dir / "pin";
  std::ofstream{config->ceilings} << "version = 1\n";
  std::ofstream{config->pin_file} << "1234\n";
  ASSERT_EQ(::chmod(config->ceilings.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(config->pin_file.c_str(), 0600), 0);
  config->module_writes = std::vector<std::string>{dir / "token"};
  const pid_t child = ::fork();
  if (child == 0) {
    const auto missing = check(*config);
    if (missing || missing.error().detail != dir / "token") ::_exit(1);
    ::mkdir((dir / "token").c_str(), 0700);
    ::_exit(check(*config) ? 0 : 2);
  }
  int how = 0;
  ::waitpid(child, &how, 0);
  EXPECT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

}  // namespace
}  // namespace hsm::token
