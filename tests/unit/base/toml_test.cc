#include "hsm_signer/base/toml.h"

#include "tests/support/error_is.h"

namespace hsm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// toml++ 3.3 asserts that a key begins like one before it looks: with assertions these mistakes
// ended the process.
TEST(Toml, RefusesAKeyThatBeginsLikeNone) {
  for (const char* text : {"[.a]\n", "[[.a]]\n", "[=]\n", "[\n]\n", "[[#]]\n", "a = 1\n[ .b ]\n",
                           "a = { . = 1 }\n", "a. = 1\n", "[a.]\n"}) {
    EXPECT_THAT(TomlTable::parse(text, "f.toml"), ErrorIs(Code::usage, HasSubstr("f.toml:")))
        << text;
  }
}

// toml++ 3.3 holds for unreachable what a letter beyond ASCII outside a string reaches.
TEST(Toml, RefusesLettersBeyondAsciiOutsideStringsAndComments) {
  for (const char* text : {"\u00e9 = 1", "a = \u00e9", "a = 1 \u00e9", "a\u038c = 1", "\u3001 = 1",
                           "\ufefd = 1", "[\u0451]", "a = [1,\u00e9]"}) {
    EXPECT_THAT(TomlTable::parse(text, "f.toml"), ErrorIs(Code::usage, HasSubstr("f.toml:1:")))
        << text;
  }
}

// A path or a user's name ends at a NUL for the kernel and for getpwnam(3): "root\u0000x" would be
// root. Other control characters would disturb the lines that repeat them.
TEST(Toml, RefusesControlCharactersWhereverTheyStand) {
  for (const char* text :
       {R"(a = "root\u0000x")", R"(a = ["x", "\u0000"])", R"("a\u0000" = 1)",
        R"(a = { b = [ { c = "\u001b[2J" } ] })", R"(a = "two\nlines")", R"(a = "\u007f")",
        "a = \"\"\"two\nlines\"\"\"", "[a.\"\\u0007\"]", "[[a]]\nb = \"\\t\""}) {
    EXPECT_THAT(TomlTable::parse(text, "f.toml"),
                ErrorIs(Code::usage, AllOf(HasSubstr("f.toml:"), HasSubstr("control character"),
                                           Not(HasSubstr("\x1b")))))
        << text;
  }
  EXPECT_THAT(TomlTable::parse("a = \"d\\u00e9sk\" # \\u0000\n", "f.toml"), Succeeds());
}

// toml++ repeats what it saw.
TEST(Toml, SaysWhatIsWrongInOneLine) {
  const auto broken = TomlTable::parse("a = n\nb = 1\n", "f.toml");
  ASSERT_THAT(broken, ErrorIs(Code::usage, HasSubstr("f.toml:1:6: ")));
  EXPECT_THAT(broken, ErrorIs(Code::usage, Not(HasSubstr("\n"))));
}

TEST(Toml, SaysWhereAControlCharacterStands) {
  EXPECT_THAT(TomlTable::parse("a = 1\nb = [\"x\",\n  \"\\u0000\"]\n", "f.toml"),
              ErrorIs(Code::usage, HasSubstr("f.toml:3:3")));
}

}  // namespace
}  // namespace hsm
