#include "hsm_signer/audit_tools/text.h"

#include <gtest/gtest.h>

namespace hsm::audit_tools {
namespace {

TEST(AuditText, HasNothingThatATerminalObeys) {
  EXPECT_EQ(printable("plain — ünïcode 漢"), "plain — ünïcode 漢");
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\t\x7f"), "a?[2Jb????");
  EXPECT_EQ(printable("\xc2\x9b"), "?");
  EXPECT_EQ(printable(std::string_view{"\0x", 2}), "?x");
  EXPECT_EQ(printable("a\u202eb\u2066c"), "a?b?c");
  EXPECT_EQ(printable("\xff\xfe"), "??");
  EXPECT_EQ(printable("\xc3"), "?");
}

TEST(AuditText, IsCutAtAWholeCharacter) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc…");
  EXPECT_EQ(shortened("aüb", 2), "a…");
  EXPECT_EQ(shortened("漢漢", 1), "…");
}

}  // namespace
}  // namespace hsm::audit_tools
