#include "tests/fault_module/struck.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

namespace hsm::test::fault {
namespace {

class StruckTest : public ::testing::Test {
 protected:
  std::string told() const {
    std::ostringstream text;
    text << std::ifstream{path_}.rdbuf();
    return text.str();
  }
  // As if the plan had been written `seconds` after the file was.
  timespec later(int seconds) const {
    struct stat now {};
    EXPECT_EQ(::stat(path_.c_str(), &now), 0);
    now.st_mtim.tv_sec += seconds;
    return now.st_mtim;
  }
  TempDir dir_;
  std::string path_ = dir_ / "rules.struck";
};

TEST_F(StruckTest, TellsTheFirstTimeAndEachThatIsAPowerOfTwo) {
  Struck struck{path_};
  struck.begin({});
  EXPECT_EQ(told(), "");
  for (int i = 0; i < 5; ++i) struck.count("C_Sign from 1 flip");
  struck.count("limit idle 100");
  EXPECT_EQ(told(),
            "C_Sign from 1 flip 1\nC_Sign from 1 flip 2\nC_Sign from 1 flip 4\nlimit idle 100 1\n");
}

TEST_F(StruckTest, ForgetsWhatAnOlderPlanDidAndCountsAnew) {
  Struck struck{path_};
  struck.begin({});
  struck.count("C_Sign at 1 hang");
  struck.begin(later(10));
  EXPECT_EQ(told(), "");
}

TEST_F(StruckTest, KeepsWhatAnotherProcessHasToldOfTheSamePlan) {
  Struck first{path_};
  first.begin({});
  const timespec written = later(0);
  first.begin(written);
  first.count("C_Sign at 1 hang");
  Struck second{path_};
  second.begin(written);
  second.count("C_Sign at 1 hang");
  EXPECT_EQ(told(), "C_Sign at 1 hang 1\nC_Sign at 1 hang 1\n");
}

TEST_F(StruckTest, BeginsAgainWhereATestHasRemovedIt) {
  Struck struck{path_};
  struck.begin({});
  struck.count("C_Sign at 1 hang");
  std::filesystem::remove(path_);
  struck.count("C_Sign at 1 hang");
  EXPECT_EQ(told(), "C_Sign at 1 hang 2\n");
}

TEST_F(StruckTest, EndsAProcessThatCannotTell) {
  const Ended ended = in_child([this] {
    Struck{dir_ / "absent" + "/rules.struck"}.begin({});
    return 0;
  });
  EXPECT_EQ(ended.status, 99);
  EXPECT_NE(ended.said.find("cannot write"), std::string::npos) << ended.said;
}

}  // namespace
}  // namespace hsm::test::fault
