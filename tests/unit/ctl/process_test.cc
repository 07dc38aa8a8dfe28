#include "hsm_signer/ctl/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "hsm_signer/ctl/context.h"
#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProcessTest : public ::testing::Test {
 protected:
  // What runs with this configuration.
  static std::vector<pid_t> processes_with(const std::string& config) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      const auto bytes = read_file((entry.path() / "cmdline").string(), 1 << 20);
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid > 0 && bytes && as_text(*bytes).find(config) != std::string_view::npos)
        found.push_back(pid);
    }
    return found;
  }
  DaemonFiles daemon(const std::string& behaviour) {
    write_text(dir / "played.toml", behaviour + "\n");
    return {.name = "played",
            .program = "hsm-played-program",
            .config = dir / "played.toml",
            .pid_file = dir / "played.pid",
            .log_file = dir / "played.log"};
  }
  static bool ends(const Running& process, milliseconds patience = milliseconds{10'000}) {
    pollfd ended{.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, static_cast<int>(patience.count())) == 1;
  }
  // The program has come as far as its first line.
  static void await_log(const DaemonFiles& files) {
    for (int i = 0; i < 2'000 && last_lines(files.log_file, 1).empty(); ++i)
      std::this_thread::sleep_for(milliseconds{5});
  }
  static void kill_and_reap(const Running& process) {
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
  }
  client::TempDir dir;
};

TEST_F(ProcessTest, AStartedDaemonIsFoundAgainAndStopped) {
  const DaemonFiles files = daemon("stays");
  const auto started = start(files);
  ASSERT_THAT(started, Succeeds());
  const Running found = find_running(files);
  EXPECT_EQ(found.pid, started->pid);
  EXPECT_FALSE(has_ended(found));
  EXPECT_THAT(stop(files, found, milliseconds{10'000}), Succeeds());
  EXPECT_FALSE(find_running(files).pidfd.valid());
  EXPECT_FALSE(std::filesystem::exists(files.pid_file));
}

TEST_F(ProcessTest, ItHasASessionOfItsOwnAndInheritsNoDescriptor) {
  const OwnedFd leaked{::open("/dev/null", O_RDONLY)};  // Without O_CLOEXEC, as a shell leaves it.
  const DaemonFiles files = daemon("stays");
  const auto started = start(files);
  ASSERT_THAT(started, Succeeds());
  await_log(files);
  EXPECT_EQ(last_lines(files.log_file, 1), "  own session: yes, inherited descriptors: 0\n");
  kill_and_reap(*started);
}

TEST_F(ProcessTest, ADaemonThatDiesIsSeenAndItsLogEndsWithWhy) {
  const DaemonFiles files = daemon("dies");
  const auto started = start(files);
  ASSERT_THAT(started, Succeeds());
  EXPECT_TRUE(ends(*started));
  EXPECT_TRUE(has_ended(*started));
  EXPECT_FALSE(find_running(files).pidfd.valid());
  EXPECT_EQ(last_lines(files.log_file, 2), "  line 19\n  line 20\n");
  EXPECT_THAT(last_lines(files.log_file, 100), HasSubstr("  line 1\n"));
  ::waitpid(started->pid, nullptr, 0);
}

TEST_F(ProcessTest, ADaemonThatDoesNotStopIsSaidAndNotKilled) {
  const DaemonFiles files = daemon("stubborn");
  const auto started = start(files);
  ASSERT_THAT(started, Succeeds());
  await_log(files);
  EXPECT_THAT(stop(files, *started, milliseconds{50}),
              ErrorIs(Code::internal, HasSubstr(std::to_string(started->pid))));
  EXPECT_FALSE(has_ended(*started));
  kill_and_reap(*started);
}

TEST_F(ProcessTest, ADaemonWhosePidFileCannotBeWrittenIsStoppedAgain) {
  const DaemonFiles files = daemon("stays");
  std::filesystem::create_directory(files.pid_file + ".new");  // What is renamed to the pid file.
  EXPECT_THAT(start(files), ErrorIs(Code::usage, HasSubstr("played.pid.new")));
  const std::vector<pid_t> orphans = processes_with(files.config);
  EXPECT_THAT(orphans, IsEmpty());
  for (const pid_t orphan : orphans) ::kill(orphan, SIGKILL);
}

TEST_F(ProcessTest, ADirectoryThroughASymbolicLinkIsTheSameDirectory) {
  daemon("stays");
  const std::string link = dir / "link";
  std::filesystem::create_directory_symlink(dir.text(), link);
  std::ostringstream none;
  const auto files_in = [&](const std::string& directory) {
    Context context{{.dir = directory, .config = {}, .socket = {}, .json = false}, none, none};
    const auto resolved = context.directory("up");
    EXPECT_THAT(resolved, Succeeds());
    return DaemonFiles{.name = "played",
                       .program = "hsm-played-program",
                       .config = *resolved + "/played.toml",
                       .pid_file = *resolved + "/played.pid",
                       .log_file = *resolved + "/played.log"};
  };
  const auto started = start(files_in(dir.text()));
  ASSERT_THAT(started, Succeeds());
  EXPECT_EQ(find_running(files_in(link)).pid, started->pid);
  EXPECT_EQ(find_running(files_in(link + "/./link/")).pid, started->pid);
  kill_and_reap(*started);
}

TEST_F(ProcessTest, AProgramThatIsNotThereIsNamed) {
  DaemonFiles files = daemon("stays");
  files.program = "hsm-no-such-program";
  EXPECT_THAT(start(files), ErrorIs(Code::internal, HasSubstr("hsm-no-such-program")));
}

TEST_F(ProcessTest, PidFilesThatNameNoProcessOfOursStandForNothing) {
  const DaemonFiles files = daemon("stays");
  EXPECT_FALSE(find_running(files).pidfd.valid());
  for (const std::string& text :
       {std::to_string(::getpid()), std::string{"1"}, std::string{"0"}, std::string{"-1"},
        std::string{"4194305"}, std::string{"99999999999999999999"}, std::string{"12 34"},
        std::string{"abc"}, std::string{}}) {
    write_text(files.pid_file, text);
    EXPECT_FALSE(find_running(files).pidfd.valid()) << text;
  }
}

TEST_F(ProcessTest, TheSameProgramWithAnotherConfigurationIsNotOurs) {
  const DaemonFiles files = daemon("stays");
  const auto started = start(files);
  ASSERT_THAT(started, Succeeds());
  DaemonFiles other = files;
  other.config = dir / "another.toml";
  EXPECT_FALSE(find_running(other).pidfd.valid());
  other = files;
  other.program = "hsm-signerd";
  EXPECT_FALSE(find_running(other).pidfd.valid());
  EXPECT_TRUE(find_running(files).pidfd.valid());
  kill_and_reap(*started);
}

TEST_F(ProcessTest, TokenHostsStartBeforeTheSigner) {
  SignerConfig config;
  config.tokens.push_back({.name = {"dev"}, .socket = {}, .admin_socket = {}, .wrap_key = {}});
  const auto daemons = daemons_of("/d", config);
  ASSERT_EQ(daemons.size(), 2u);
  EXPECT_EQ(daemons[0].name, "hsm-tokend-dev");
  EXPECT_EQ(daemons[0].config, "/d/dev.toml");
  EXPECT_EQ(daemons[0].pid_file, "/d/run/hsm-tokend-dev.pid");
  EXPECT_EQ(daemons[1].program, "hsm-signerd");
}

TEST_F(ProcessTest, UpAndDownAreForDevelopmentOnly) {
  write_text(dir / "signer.toml", R"(version = 1
mode = "production"
socket = "s"
admin_socket = "a"
state = "x"
audit = "x"
audit_key = "x"
policy = "x"
[[token]]
name = "dev"
socket = "t"
admin_socket = "ta"
wrap_key = "w"
)");
  for (const char* verb : {"up", "down"}) {
    const Ran ran = run_ctl({"--dir", dir.text(), verb});
    EXPECT_EQ(ran.status, 2);
    EXPECT_THAT(ran.err, HasSubstr("systemctl"));
  }
}

}  // namespace
}  // namespace hsm::ctl
