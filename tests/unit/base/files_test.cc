#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hsm_signer/base/os.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm {
namespace {

using ::testing::HasSubstr;

class WrittenFile : public ::testing::Test {
 protected:
  Result<void> write(const std::string& name) {
    return write_file_atomic(dir_ / name, as_bytes("text"), 0600);
  }
  std::string read(const std::string& name) const {
    std::ifstream file{dir_ / name};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  const TempDir dir_;
};

TEST_F(WrittenFile, IsWholeAndTakesTheOldOnesPlace) {
  EXPECT_THAT(write("f"), Succeeds());
  std::ofstream{dir_ / "f"} << "something longer";
  EXPECT_THAT(write("f"), Succeeds());
  EXPECT_EQ(read("f"), "text");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "f.new"));
}

// As root, `-o /dev/null` would take the device away from the host.
TEST_F(WrittenFile, TakesNoPlaceOfWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("target", (dir_ / "link").c_str()), 0);
  std::ofstream{dir_ / "target"} << "kept";
  std::filesystem::create_directory(dir_ / "directory");
  for (const char* name : {"pipe", "link", "directory"}) {
    EXPECT_THAT(write(name), ErrorIs(Code::usage, HasSubstr("not a regular file"))) << name;
    EXPECT_FALSE(std::filesystem::exists(dir_ / (std::string{name} + ".new"))) << name;
  }
  EXPECT_TRUE(std::filesystem::is_fifo(std::string{dir_ / "pipe"}));
  EXPECT_TRUE(std::filesystem::is_symlink(std::string{dir_ / "link"}));
  EXPECT_EQ(read("target"), "kept");
}

TEST_F(WrittenFile, SaysWhereItCannotBe) {
  EXPECT_THAT(write("no/such/directory"), ErrorIs(Code::usage, HasSubstr("no/such/directory.new")));
}

}  // namespace
}  // namespace hsm
