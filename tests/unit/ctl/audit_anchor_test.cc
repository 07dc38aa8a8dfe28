// --anchor of `audit verify` and `audit report`.
#include "tests/unit/ctl/audit_log.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class AuditAnchor : public AuditVerbs {
 protected:
  void SetUp() override {
    write_allowed(4, {2});
    write_text(anchor_, audit::slurp(log + "/checkpoints"));
  }

  const std::string anchor_ = file("anchor");
};

TEST_F(AuditAnchor, VerifySaysHowFarTheAnchorReaches) {
  const Ran ran = run({"verify", log, "--key", pem, "--anchor", anchor_});
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("the anchor's 2 notes cover the first 4\n"));
  EXPECT_THAT(run({"verify", log, "--key", pem, "--anchor", anchor_, "--json"}).out,
              HasSubstr(R"("anchors":2,"anchored":4)"));
}

TEST_F(AuditAnchor, VerifyNamesTheNoteThatALogLacks) {
  write_allowed(2);
  EXPECT_EQ(run({"verify", log, "--key", pem}).status, 0);
  const Ran ran = run({"verify", log, "--key", pem, "--anchor", anchor_});
  EXPECT_EQ(ran.status, 4);
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("failure " + anchor_ + ":7: the log was cut since it was anchored"),
                    HasSubstr("NOT verified: 1 failures")));
}

TEST_F(AuditAnchor, AnAnchorThatWasMeantIsNeverLeftOut) {
  for (const char* verb : {"verify", "report"}) {
    std::vector<std::string> words{verb, log, "--key", pem};
    if (words[0] == "report") words.insert(words.end(), {"-o", file("page")});
    for (const std::string& none : {std::string{}, file("absent"), dir.path()}) {
      std::vector<std::string> all = words;
      all.insert(all.end(), {"--anchor", none});
      EXPECT_EQ(run(all).status, 2) << verb << " " << none;
    }
  }
  write_text(anchor_, "");
  EXPECT_EQ(run({"verify", log, "--key", pem, "--anchor", anchor_}).status, 4);
}

TEST_F(AuditAnchor, ReportSaysWhatTheAnchorSays) {
  const std::string page = file("report.html");
  EXPECT_EQ(run({"report", log, "--key", pem, "-o", page}).status, 0);
  EXPECT_THAT(audit::slurp(page), HasSubstr("<dt>Held against an anchor</dt><dd>no</dd>"));
  EXPECT_EQ(run({"report", log, "--key", pem, "-o", page, "--anchor", anchor_}).status, 0);
  EXPECT_THAT(audit::slurp(page), HasSubstr("4, by 2 notes"));
  write_allowed(2);
  EXPECT_EQ(run({"report", log, "--key", pem, "-o", page, "--anchor", anchor_}).status, 4);
  EXPECT_THAT(audit::slurp(page), HasSubstr("since it was anchored at 4"));
}

}  // namespace
}  // namespace hsm::ctl
