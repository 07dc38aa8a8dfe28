// Spent statements: once for all who share the directory, whatever happens to it or to the clock.
#include "hsm_signer/token/spent.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr Clock::Wall kNow{std::chrono::seconds{1'800'000'000}};

class Spent : public ::testing::Test {
 protected:
  SpentStatements open() const {
    auto opened = SpentStatements::open(dir_.path());
    EXPECT_THAT(opened, Succeeds());
    return std::move(opened).value();
  }
  std::string list() const {
    std::ifstream file{path_};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void write(std::string_view text) const { std::ofstream{path_} << text; }

  TempDir dir_;
  std::string path_ = dir_ / "spent";
};

TEST_F(Spent, OnceForEachWhoHasTheDirectory) {
  SpentStatements one = open();
  SpentStatements other = open();
  EXPECT_THAT(one.spend("r-17", kNow + 15min, kNow), Succeeds());
  EXPECT_THAT(other.spend("r-17", kNow + 15min, kNow),
              ErrorIs(Code::denied, HasSubstr("used before: r-17")));
  EXPECT_THAT(other.spend("r-18", kNow + 15min, kNow), Succeeds());
  EXPECT_THAT(one.spend("r-18", kNow + 15min, kNow), ErrorIs(Code::denied));
  EXPECT_THAT(open().spend("r-17", kNow + 15min, kNow), ErrorIs(Code::denied));
}

TEST_F(Spent, IsReadableForPeopleAndForNobodyElse) {
  SpentStatements spent = open();
  ASSERT_THAT(spent.spend("r-17", kNow + 15min, kNow), Succeeds());
  EXPECT_EQ(list(),
            "hsm-tokend spent statements v1\n"
            "forgotten-until 1970-01-01T00:00:00.000000Z\n"
            "r-17 2027-01-15T08:15:00.000000Z\n");
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Spent, ForgetsWhatHasExpiredAndRefusesItAllTheSame) {
  ASSERT_THAT(open().spend("short", kNow + 1min, kNow), Succeeds());
  ASSERT_THAT(open().spend("long", kNow + 1h, kNow + 2min), Succeeds());
  EXPECT_EQ(list().find("short"), std::string::npos);
  // Also when the clock is set back to where it had not expired.
  EXPECT_THAT(open().spend("short", kNow + 1min, kNow),
              ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_THAT(open().spend("long", kNow + 1h, kNow), ErrorIs(Code::denied, HasSubstr("before")));
}

TEST_F(Spent, RefusesWhatUsedStatementsRefuse) {
  SpentStatements spent = open();
  EXPECT_THAT(spent.spend("r-17", kNow, kNow), ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_THAT(spent.spend("r-17", kNow + 24h + 1us, kNow),
              ErrorIs(Code::denied, HasSubstr("lives too long")));
  EXPECT_THAT(spent.spend("r 17\n", kNow + 1h, kNow), ErrorIs(Code::invalid_payload));
  EXPECT_EQ(list(), "");
}

TEST_F(Spent, SpendsNothingOverADamagedList) {
  ASSERT_THAT(open().spend("r-17", kNow + 15min, kNow), Succeeds());
  ASSERT_THAT(open().spend("r-18", kNow + 15min, kNow), Succeeds());
  const std::string good = list();
  const std::string line = "r-18 2027-01-15T08:15:00.000000Z\n";
  for (const std::string& bad :
       {std::string{}, std::string{"\n"}, good.substr(0, good.size() - 1), good + "\n", good + line,
        good.substr(0, good.size() / 2), "x" + good, line, good + "a 2027-01-15T08:15:00.000000Z\n",
        good + "r-19\n", good + "r-19 tomorrow\n", good.substr(good.find('\n') + 1)}) {
    write(bad);
    EXPECT_THAT(open().spend("r-20", kNow + 15min, kNow),
                ErrorIs(Code::state_unavailable, HasSubstr("damaged")))
        << bad;
    EXPECT_EQ(list(), bad) << "what is damaged is left for who looks at it";
  }
  write(good);
  EXPECT_THAT(open().spend("r-17", kNow + 15min, kNow), ErrorIs(Code::denied));
}

TEST_F(Spent, IsNotMovedByAListThatWasLeftHalfWritten) {
  ASSERT_THAT(open().spend("r-17", kNow + 15min, kNow), Succeeds());
  std::ofstream{path_ + ".new"} << "hsm-tokend spent sta";
  EXPECT_THAT(open().spend("r-17", kNow + 15min, kNow), ErrorIs(Code::denied));
  EXPECT_THAT(open().spend("r-18", kNow + 15min, kNow), Succeeds());
  EXPECT_THAT(open().spend("r-18", kNow + 15min, kNow), ErrorIs(Code::denied));
}

// As on a full disk: no byte more can be written, and the list is as it was.
TEST_F(Spent, SignsNothingWhereNothingCanBeWritten) {
  ASSERT_THAT(open().spend("r-17", kNow + 15min, kNow), Succeeds());
  const std::string before = list();
  const Ended ended = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit nothing{0, 0};
    if (::setrlimit(RLIMIT_FSIZE, &nothing) != 0) return 2;
    auto spent = SpentStatements::open(dir_.path());
    const auto refused = spent->spend("r-18", kNow + 15min, kNow);
    return !refused && refused.error().code == Code::state_unavailable ? 0 : 1;
  });
  EXPECT_EQ(ended.status, 0) << ended.said;
  EXPECT_EQ(list(), before);
  EXPECT_THAT(open().spend("r-18", kNow + 15min, kNow), Succeeds()) << "nothing was spent";
}

TEST_F(Spent, TakesOneOfManyWhoComeAtOnce) {
  constexpr int kProcesses = 8, kStatements = 20;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int taken = 0;
      auto spent = SpentStatements::open(dir_.path());
      for (int id = 0; id < kStatements; ++id)
        taken += spent && spent->spend("s-" + std::to_string(id), kNow + 1h, kNow) ? 1 : 0;
      ::_exit(taken);
    }
    children.push_back(child);
  }
  int taken = 0;
  for (const pid_t child : children) {
    int how = 0;
    ASSERT_EQ(::waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFEXITED(how));
    taken += WEXITSTATUS(how);
  }
  EXPECT_EQ(taken, kStatements);
}

// Killed anywhere in between: the list is whole, and has each statement of which that was said.
TEST_F(Spent, IsWholeAfterAKillAtAnyMoment) {
  for (int round = 0; round < 10; ++round) {
    int said[2];
    ASSERT_EQ(::pipe(said), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto spent = SpentStatements::open(dir_.path());
      for (int id = 0;; ++id) {
        const std::string name = std::to_string(round) + "-" + std::to_string(id);
        if (!spent->spend(name, kNow + 1h, kNow)) ::_exit(1);
        if (::write(said[1], (name + "\n").data(), name.size() + 1) < 0) ::_exit(1);
      }
    }
    ::close(said[1]);
    char first = 0;
    ASSERT_EQ(::read(said[0], &first, 1), 1);  // It is at work.
    ::usleep(static_cast<useconds_t>(411 * round));
    ::kill(child, SIGKILL);
    int how = 0;
    ASSERT_EQ(::waitpid(child, &how, 0), child);
    std::string names{first};
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(said[0], buffer, sizeof buffer)) > 0;)
      names.append(buffer, static_cast<std::size_t>(n));
    ::close(said[0]);
    std::istringstream lines{names};
    for (std::string name; std::getline(lines, name);)
      EXPECT_THAT(open().spend(name, kNow + 1h, kNow), ErrorIs(Code::denied)) << name;
  }
}

TEST_F(Spent, NeedsItsDirectory) {
  EXPECT_THAT(SpentStatements::open(dir_ / "absent"), ErrorIs(Code::state_unavailable));
}

}  // namespace
}  // namespace hsm::token
