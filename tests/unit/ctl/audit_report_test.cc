// The verb report of `audit`; the page itself is in tests/unit/audit_tools and tests/e2e.
#include <sys/stat.h>

#include "tests/unit/ctl/audit_log.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(AuditVerbs, ReportWritesAPageForItsOwnerAlone) {
  write_allowed(3);
  const std::string page = file("report.html");
  const Ran ran = run({"report", log, "--key", pem, "-o", page});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("3 records, 3 signatures, 0 refusals"),
                             HasSubstr("the log verifies")));
  EXPECT_THAT(audit::slurp(page), StartsWith("<!DOCTYPE html>"));
  struct stat status {};
  ASSERT_EQ(::stat(page.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_THAT(run({"report", log, "--key", pem, "-o", page, "--json"}).out,
              StartsWith(R"({"ok":true,"records":3,"allowed":3,"refused":0,"complete":true,)"));
}

TEST_F(AuditVerbs, ReportIsWrittenAndExitsWithFourWhereTheLogDoesNotVerify) {
  write_allowed(3);
  std::string text = audit::slurp(segment(1));
  text.replace(text.find("30000"), 5, "30001");
  audit::spit(segment(1), text);
  const Ran ran = run({"report", log, "--key", pem, "-o", file("report.html")});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(audit::slurp(file("report.html")), HasSubstr("does NOT verify"));
}

TEST_F(AuditVerbs, ReportIsRefusedWithoutWhatItNeeds) {
  write_allowed(1);
  EXPECT_EQ(run({"report", log, "--key", pem}).status, 2);
  EXPECT_EQ(run({"report", log, "-o", file("r")}).status, 2);
  EXPECT_EQ(run({"report", log, "--key", log, "-o", file("r")}).status, 2);
  EXPECT_EQ(run({"report", file("absent"), "--key", pem, "-o", file("r")}).status, 2);
  EXPECT_EQ(run({"report", log, "--key", pem, "-o", file("absent/r")}).status, 2);
  EXPECT_EQ(run({"report", log, "--key", pem, "-o", file("r"), "--since", "x"}).status, 2);
}

}  // namespace
}  // namespace hsm::ctl
