#include "hsm_signer/ctl/secret.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "hsm_signer/base/os.h"
#include "tests/support/error_is.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kSecret = "never-shown-1234";

TEST(SecretArgumentsTest, OptionsThatWouldCarryASecretAreRefusedWithoutTheirValue) {
  const std::string joined = "--secret=" + std::string{kSecret};
  for (const auto& arguments :
       std::vector<std::vector<std::string_view>>{{"ctl", "key", "import", "--secret", kSecret},
                                                  {"ctl", joined},
                                                  {"ctl", "--api-secret", kSecret},
                                                  {"ctl", "--pin", kSecret},
                                                  {"ctl", "--passphrase", kSecret}}) {
    EXPECT_THAT(refuse_secret_arguments(arguments),
                ErrorIs(Code::usage,
                        AllOf(HasSubstr("--secret-file"), Not(HasSubstr(std::string{kSecret})))));
  }
}

TEST(SecretArgumentsTest, OtherOptionsAreNot) {
  EXPECT_THAT(refuse_secret_arguments({"ctl", "--secret-file", "-", "--api-key", "secret"}),
              Succeeds());
}

TEST(SecretEnvironmentTest, VariablesThatWouldCarryASecretAreRefusedWithoutTheirValue) {
  for (const char* name : {"GEMINI_API_SECRET", "HSM_SIGNER_SECRET", "HSM_SECRET", "API_SECRET",
                           "MY_GEMINI_SECRET", "DESK_API_SECRET"}) {
    const std::string entry = std::string{name} + "=" + std::string{kSecret};
    const std::array<const char*, 3> environment{"PATH=/bin", entry.c_str(), nullptr};
    EXPECT_THAT(refuse_secret_environment(environment.data()),
                ErrorIs(Code::usage, AllOf(HasSubstr(name), Not(HasSubstr(std::string{kSecret})))));
  }
}

TEST(SecretEnvironmentTest, OtherVariablesAreNot) {
  const std::array<const char*, 5> environment{"PATH=/bin", "HSM_SIGNER_SOCKET=/run/s",
                                               "SECRET_GARDEN=x", "GEMINI_API_KEY=account-x",
                                               nullptr};
  EXPECT_THAT(refuse_secret_environment(environment.data()), Succeeds());
}

// A terminal whose other side the test holds.
class PromptTest : public ::testing::Test {
 protected:
  PromptTest() {
    int master = -1, terminal = -1;
    EXPECT_EQ(::openpty(&master, &terminal, nullptr, nullptr, nullptr), 0);
    master_ = OwnedFd{master};
    terminal_ = OwnedFd{terminal};
  }
  bool echoes() const {
    termios now{};
    EXPECT_EQ(::tcgetattr(terminal_.get(), &now), 0);
    return (now.c_lflag & ECHO) != 0;
  }
  // What the terminal has shown, until `text` stands in it.
  std::string shown_until(std::string_view text) {
    std::string shown;
    pollfd waited{.fd = master_.get(), .events = POLLIN, .revents = 0};
    while (shown.find(text) == std::string::npos && ::poll(&waited, 1, 10'000) > 0) {
      std::array<char, 256> part{};
      const ssize_t got = ::read(master_.get(), part.data(), part.size());
      if (got <= 0) break;
      shown.append(part.data(), static_cast<std::size_t>(got));
    }
    return shown;
  }
  void type(std::string_view text) {
    EXPECT_THAT(write_all(master_.get(), as_bytes(text), Code::internal, "pty"), Succeeds());
  }
  // Types each line when it is asked for.
  Result<SecretBytes> answer(const std::string& first, const std::string& second) {
    std::thread typist{[&] {
      shown_ = shown_until("not shown): ");
      type(first + "\n");
      shown_ += shown_until("once more: ");
      type(second + "\n");
    }};
    Result<SecretBytes> secret = prompt_twice(terminal_.get());
    typist.join();
    return secret;
  }

  OwnedFd master_, terminal_;
  std::string shown_;
};

TEST_F(PromptTest, TakesWhatWasTypedTwiceAndShowsNoneOfIt) {
  const auto secret = answer(std::string{kSecret}, std::string{kSecret});
  ASSERT_THAT(secret, Succeeds());
  EXPECT_TRUE(as_text(secret->view()) == kSecret);
  EXPECT_THAT(shown_, Not(HasSubstr("never")));
  EXPECT_TRUE(echoes());
}

TEST_F(PromptTest, RefusesTwoDifferentEntries) {
  EXPECT_THAT(answer(std::string{kSecret}, "something else"),
              ErrorIs(Code::usage, HasSubstr("differ")));
  EXPECT_TRUE(echoes());
}

TEST_F(PromptTest, AnInterruptEndsTheProcessAndLeavesTheTerminalAsItWas) {
  ASSERT_TRUE(echoes());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // A shell's background jobs inherit it ignored.
    (void)prompt_twice(terminal_.get());
    ::_exit(0);
  }
  EXPECT_THAT(shown_until("not shown): "), HasSubstr("API secret"));
  EXPECT_FALSE(echoes());
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
  EXPECT_TRUE(echoes());
}

TEST(PromptWithoutATerminalTest, APipeIsRefused) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const OwnedFd reads{pipe[0]}, writes{pipe[1]};
  EXPECT_THAT(prompt_twice(reads.get()), ErrorIs(Code::usage, HasSubstr("--secret-file")));
}

}  // namespace
}  // namespace hsm::ctl
