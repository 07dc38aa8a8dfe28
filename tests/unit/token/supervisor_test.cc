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

}  // namespace
}  // namespace hsm::token
