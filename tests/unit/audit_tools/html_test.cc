#include "hsm_signer/audit_tools/html.h"

#include <gtest/gtest.h>

namespace hsm::audit_tools {
namespace {

TEST(AuditHtml, LeavesNoMarkupInWhatOthersWrote) {
  EXPECT_EQ(Html{}.text("<script>alert(\"1\")</script> & 'x'").done(),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;");
  EXPECT_EQ(Html{}.text(std::string_view{"a\0b", 3}).done(), "a?b");
  EXPECT_EQ(Html{}.text("ü漢\u202e\xff").done(), "ü漢??");
}

TEST(AuditHtml, HasTablesWhoseCellsAreText) {
  const std::string table =
      Html{}.table({{"<b>"}, {"n", Html::Of::number}}, {{"<i>", "1"}, {"", "2"}}).done();
  EXPECT_NE(table.find("<th>&lt;b&gt;</th><th class=\"n\">n</th>"), std::string::npos);
  EXPECT_NE(table.find("<td>&lt;i&gt;</td><td class=\"n\">1</td>"), std::string::npos);
}

TEST(AuditHtml, KeepsLinesApart) {
  EXPECT_EQ(Html{}.lines("pre", "a\n\n<b>\n").done(), "<pre>a\n\n&lt;b&gt;\n</pre>\n");
  EXPECT_EQ(Html{}.lines("pre", "a\nb").done(), "<pre>a\nb\n</pre>\n");
  EXPECT_EQ(Html{}.lines("pre", "").done(), "<pre></pre>\n");
}

TEST(AuditHtml, GroupsDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(123456), "123,456");
  EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace hsm::audit_tools
