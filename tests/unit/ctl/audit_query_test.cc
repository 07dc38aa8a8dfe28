// The verbs query and tail of `audit`. What tail -f does is in tests/e2e/audit_tail_test.py.
#include "tests/unit/ctl/audit_log.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class AuditQuery : public AuditVerbs {
 protected:
  AuditQuery() {
    audit::Record refused = audit::refuse_record();
    refused.sentence = "no\x1b[2J";
    write({audit::start_record(), audit::allow_record(1, 1), refused, audit::allow_record(2, 2)});
    cut_into_two(2);
    all = audit::slurp(segment(1)) + audit::slurp(segment(2));
  }
  std::string line(std::size_t number) const {
    std::size_t at = 0;
    for (std::size_t i = 1; i < number; ++i) at = all.find('\n', at) + 1;
    return all.substr(at, all.find('\n', at) + 1 - at);
  }
  std::string all;
};

TEST_F(AuditQuery, GivesTheVeryLines) {
  EXPECT_EQ(run({"query", log, "--json"}).out, all);
  EXPECT_EQ(run({"query", log, "--json", "--verdict", "refuse"}).out, line(3));
  EXPECT_EQ(run({"query", log, "--json", "--verdict", "allow", "--limit", "1"}).out, line(2));
  EXPECT_EQ(run({"query", log, "--json", "--seq", "2..3"}).out, line(2) + line(3));
}

TEST_F(AuditQuery, ShowsATableToPeopleThatNoRecordCanDisturb) {
  const Ran ran = run({"query", log});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(StartsWith("seq "), HasSubstr("\n2         2025-11-23T19:15:02Z  allow"),
                    HasSubstr("symbol=btcusd amount=0.5 price=30000\n"),
                    HasSubstr("denied: no?[2J\n"), Not(HasSubstr("\x1b"))));
}

TEST_F(AuditQuery, SaysThatNothingWasFound) {
  const Ran ran = run({"query", log, "--client", "nobody"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, "nothing found\n");
  EXPECT_EQ(run({"query", log, "--client", "nobody", "--json"}).out, "");
}

TEST_F(AuditQuery, RefusesWhatItCannotAskFor) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--kind", "signature"},
                                             {"--verdict", "maybe"},
                                             {"--since", "yesterday"},
                                             {"--seq", "0"},
                                             {"--limit", "x"},
                                             {"--symbol", "btcusd"}}) {
    EXPECT_EQ(run({"query", log, wrong[0], wrong[1]}).status, 2) << wrong[0];
  }
  EXPECT_EQ(run({"query", file("absent")}).status, 2);
  EXPECT_EQ(run({"query"}).status, 2);
}

TEST_F(AuditQuery, StopsAtDamage) {
  std::filesystem::remove(segment(1));
  EXPECT_EQ(run({"query", log}).status, 4);
}

TEST_F(AuditQuery, TailGivesTheLastLines) {
  EXPECT_EQ(run({"tail", log}).out, all);
  EXPECT_EQ(run({"tail", log, "-n", "2"}).out, line(3) + line(4));
  EXPECT_EQ(run({"tail", log, "-n", "0"}).out, "");
  EXPECT_EQ(run({"tail", log, "--after", "3"}).out, line(4));
  EXPECT_EQ(run({"tail", log, "--after", "0"}).out, all);
  EXPECT_EQ(run({"tail", log, "--after", "9"}).out, "");
}

TEST_F(AuditQuery, TailNeverShowsAnUnfinishedLine) {
  audit::spit(segment(2), audit::slurp(segment(2)) + "{\"v\":1,");
  EXPECT_EQ(run({"tail", log, "-n", "1"}).out, line(4));
}

TEST_F(AuditQuery, TailRefusesWhatIsNoSequence) {
  EXPECT_EQ(run({"tail", log, "--after", "x"}).status, 2);
  EXPECT_EQ(run({"tail", log, "-n", "-1"}).status, 2);
  EXPECT_EQ(run({"tail", log, "-n", "1", "--after", "1"}).status, 2);
  EXPECT_EQ(run({"tail", file("absent")}).status, 2);
}

}  // namespace
}  // namespace hsm::ctl
