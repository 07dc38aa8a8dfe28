// docs/audit.md says what the code does: its examples are records, its program verifies our logs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

std::vector<std::string> blocks(const std::string& language) {
  const std::string text = slurp("docs/audit.md");
  const std::string fence = "```" + language + "\n";
  std::vector<std::string> found;
  for (std::size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at)) {
    at += fence.size();
    const std::size_t end = text.find("```", at);
    found.push_back(text.substr(at, end - at));
    at = end + 3;
  }
  return found;
}

TEST(AuditDocumentation, EveryExampleIsARecord) {
  const std::vector<std::string> examples = blocks("json");
  ASSERT_EQ(examples.size(), 11U);
  for (const std::string& example : examples)
    EXPECT_THAT(parse_line(std::string_view{example}.substr(0, example.size() - 1)), Succeeds());
}

// Python's standard library and openssl(1): no code in common with ours.
TEST(AuditDocumentation, ItsProgramAgreesWithOurLogsAndFindsChanges) {
  const TempDir dir;
  const TestKey key;
  const std::string directory = dir / "audit";
  const auto log = Log::open(directory);
  ASSERT_THAT(log, Succeeds());
  for (std::uint64_t i = 1; i <= 9; ++i) {  // Sizes 1 to 9: powers of two and odd ones.
    write_records(**log, {allow_record(i, i)});
    seal_head(**log, key);
  }
  ASSERT_EQ(blocks("python").size(), 1U);
  spit(dir / "check.py", blocks("python")[0]);
  spit(dir / "key.pem", key.public_pem());
  spit(dir / "other.pem", TestKey{}.public_pem());
  const auto check = [&](const std::string& pem) {
    return std::system(("python3 " + (dir / "check.py") + " " + directory + " " + (dir / pem) +
                        " >" + (dir / "out") + " 2>&1")
                           .c_str());
  };
  EXPECT_EQ(check("key.pem"), 0) << slurp(dir / "out");
  EXPECT_NE(slurp(dir / "out").find("9 records: sealed"), std::string::npos);
  EXPECT_NE(check("other.pem"), 0);
  std::string text = slurp(directory + "/audit-000001.jsonl");
  text.replace(text.find("30000"), 5, "30001");
  spit(directory + "/audit-000001.jsonl", text);
  EXPECT_NE(check("key.pem"), 0);
}

}  // namespace
}  // namespace hsm::audit
