#include "hsm_signer/token/pin.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PinFile : public ::testing::Test {
 protected:
  Result<Pin> read(std::string_view text, mode_t mode = 0600) {
    std::ofstream{path_, std::ios::binary} << text;
    EXPECT_EQ(::chmod(path_.c_str(), mode), 0);
    return read_pin(path_);
  }
  TempDir dir_;
  std::string path_ = dir_ / "pin";
};

TEST_F(PinFile, TakesAPinWithOrWithoutItsNewline) {
  EXPECT_THAT(read("1234"), Succeeds());
  EXPECT_THAT(read("1234\n"), Succeeds());
  EXPECT_THAT(read(std::string(255, '1') + "\n"), Succeeds());
  EXPECT_THAT(read("1234\n", 0400), Succeeds());
}

TEST_F(PinFile, RefusesAFileThatOthersCanReachAndSaysWhatToDo) {
  for (const mode_t mode : {mode_t{0604}, mode_t{0602}, mode_t{0601}, mode_t{0644}, mode_t{0666},
                            mode_t{0620}, mode_t{0660}})
    EXPECT_THAT(read("1234\n", mode),
                ErrorIs(Code::usage, AllOf(HasSubstr("PIN file"), HasSubstr("chmod 0600"))))
        << mode;
}

TEST_F(PinFile, LetsOnlyTheOwnGroupReadIt) {
  EXPECT_THAT(read("1234\n", 0640), Succeeds());
  ASSERT_EQ(::chown(path_.c_str(), static_cast<uid_t>(-1), 54'321), 0);
  EXPECT_THAT(read_pin(path_), ErrorIs(Code::usage, HasSubstr("group")));
}

TEST_F(PinFile, RefusesAFileOfAnotherUser) {
  ASSERT_THAT(read("1234\n"), Succeeds());
  ASSERT_EQ(::chown(path_.c_str(), 54'321, static_cast<gid_t>(-1)), 0);
  EXPECT_THAT(read_pin(path_), ErrorIs(Code::usage, HasSubstr("another user")));
}

TEST_F(PinFile, RefusesWhatIsNoPin) {
  EXPECT_THAT(read(""), ErrorIs(Code::usage, HasSubstr("empty")));
  EXPECT_THAT(read("\n"), ErrorIs(Code::usage, HasSubstr("empty")));
  EXPECT_THAT(read(std::string(256, '1')), ErrorIs(Code::usage, HasSubstr("too long")));
  EXPECT_THAT(read(std::string(5'000'000, '1')), ErrorIs(Code::usage, HasSubstr("too large")));
  EXPECT_THAT(read(std::string_view{"12\0"
                                    "34",
                                    5}),
              ErrorIs(Code::usage, HasSubstr("NUL")));
}

TEST_F(PinFile, RefusesWhatIsNoRegularFile) {
  EXPECT_THAT(read_pin(dir_ / "absent"), ErrorIs(Code::usage, HasSubstr("cannot open")));
  EXPECT_THAT(read_pin(dir_.path()), ErrorIs(Code::usage, HasSubstr("not a regular file")));
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(read_pin(dir_ / "fifo"), ErrorIs(Code::usage, HasSubstr("not a regular file")));
}

TEST(PinSource, IsAFileAndNothingElse) {
  EXPECT_EQ(*parse_pin_source("file:/etc/pin"), "/etc/pin");
  for (const char* text :
       {"", "1234", "/etc/pin", "file:", "env:PIN", "exec:/bin/pin", "FILE:/etc/pin"})
    EXPECT_THAT(parse_pin_source(text), ErrorIs(Code::usage)) << text;
}

}  // namespace
}  // namespace hsm::token
