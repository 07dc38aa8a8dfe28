#include "hsm_signer/audit_tools/report.h"

#include "hsm_signer/base/duration.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit_tools {
namespace {

using audit::Record;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Peer kRoot{.uid = 0, .gid = 0, .pid = 1};
constexpr const char* kHostile = "\"><script>alert(1)</script><img src=http://x/y onerror='z'>";

class AuditReport : public ::testing::Test {
 protected:
  void write(const std::vector<Record>& records, std::size_t sealed = 1000) {
    const auto log = audit::Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    for (const Record& record : records) {
      audit::write_records(**log, {record});
      if ((*log)->size() <= sealed) audit::seal_head(**log, key_);
    }
  }
  Report make(const Span& span = {}) const {
    auto report =
        make_report(directory_, key_.public_pem(), span, *parse_instant("2026-04-01T12:00:00Z"));
    EXPECT_THAT(report, Succeeds());
    return report ? *std::move(report) : Report{};
  }
  std::string page(const Span& span = {}) const { return report_html(make(span)); }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const audit::TestKey key_;
};

TEST_F(AuditReport, SaysWhatTheLogComesTo) {
  Record frozen = Record::admin_event(kRoot, "freeze", "key:desk-a.trade");
  frozen.reason = "fat finger";
  Record approved = Record::admin_event(kRoot, "approval_signed", "client:ops key:desk-b");
  approved.officers = "alice";
  Record reload = Record::admin_event(kRoot, "reload", "policy");
  reload.text_sha256 = std::string(64, 'a');
  write({audit::start_record(), audit::allow_record(1, 1), audit::refuse_record(),
         Record::key_event(kRoot, "activate", "desk-a.trade", 3), frozen, approved, reload,
         Record::gap(7, 1, 4, "worker killed"), Record::stop("5f0c2b9e", "SIGTERM")});
  const Report report = make();
  EXPECT_EQ(report.tally.records, 9U);
  EXPECT_EQ(report.tally.allowed, 1U);
  EXPECT_EQ(report.tally.refused, 1U);
  EXPECT_EQ(report.tally.lost, 4U);
  EXPECT_EQ(report.tally.policies.count, 2U);
  EXPECT_EQ(report.tally.approvals.count, 1U);
  EXPECT_EQ(report.tally.admin.count, 2U);
  const std::string page = report_html(report);
  EXPECT_THAT(page, AllOf(HasSubstr(">freeze</td><td>key:desk-a.trade</td><td>fat finger</td>"),
                          HasSubstr(">approval_signed</td>"), HasSubstr("<td>alice</td>"),
                          HasSubstr(std::string(64, 'a')), HasSubstr(">denied</td>"),
                          HasSubstr(">activate</td>"), HasSubstr("worker killed")));
  EXPECT_THAT(page, AllOf(HasSubstr("The log verifies, with 2 warnings."),
                          HasSubstr("hsm-signer/test\n9\n"),
                          HasSubstr(audit::AuditKey::from_pem(key_.public_pem())->fingerprint())));
}

TEST_F(AuditReport, HasNoMarkupOfOthers) {
  Record allowed = audit::allow_record(1, 1);
  allowed.rule = allowed.client = allowed.key = allowed.reference = kHostile;
  allowed.fields[0].value = kHostile;
  Record refused = audit::refuse_record();
  refused.rule = refused.sentence = refused.client = kHostile;
  Record admin = Record::admin_event(kRoot, "freeze", kHostile);
  admin.reason = admin.officers = admin.detail = kHostile;
  Record approval = Record::admin_event(kRoot, "approval_asked", kHostile);
  approval.officers = approval.detail = kHostile;
  Record event = Record::key_event(kRoot, "register", kHostile, 1);
  event.token = event.api_key_id = kHostile;
  write({audit::start_record(), allowed, refused, admin, approval, event,
         Record::gap(7, 1, 1, kHostile), Record::stop("5f0c2b9e", kHostile)});
  const std::string page = this->page();
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<img")),
                          Not(HasSubstr("onerror='")), HasSubstr("&lt;script&gt;")));
}

TEST_F(AuditReport, AsksForNothingFromElsewhere) {
  write({audit::start_record()});
  const std::string page = this->page();
  EXPECT_THAT(page,
              AllOf(HasSubstr("default-src 'none'"), Not(HasSubstr("<script")),
                    Not(HasSubstr("<link")), Not(HasSubstr("src=")), Not(HasSubstr("url(")),
                    Not(HasSubstr("@import")), Not(HasSubstr("http:")), Not(HasSubstr("https:"))));
}

TEST_F(AuditReport, SaysLoudlyThatTheLogDoesNotVerify) {
  write({audit::start_record(), audit::allow_record(1, 1)});
  std::string text = audit::slurp(directory_ + "/audit-000001.jsonl");
  text.replace(text.find("30000"), 5, "30001");
  audit::spit(directory_ + "/audit-000001.jsonl", text);
  EXPECT_THAT(page(), AllOf(HasSubstr("class=\"state bad\""), HasSubstr("does NOT verify"),
                            HasSubstr("not what is proven"), HasSubstr(">failure</td>")));
}

TEST_F(AuditReport, CountsUpToTheDamageAndSaysSo) {
  write({audit::start_record(), audit::allow_record(1, 1), audit::allow_record(2, 2)});
  std::string text = audit::slurp(directory_ + "/audit-000001.jsonl");
  text.replace(text.rfind("\"seq\":3"), 7, "\"sea\":3");
  audit::spit(directory_ + "/audit-000001.jsonl", text);
  const Report report = make();
  EXPECT_EQ(report.tally.records, 2U);
  EXPECT_THAT(report.incomplete, HasSubstr("audit-000001.jsonl:3"));
  EXPECT_THAT(report_html(report), HasSubstr("could not be read"));
}

TEST_F(AuditReport, SaysHowMuchIsUnsealed) {
  write({audit::start_record(), audit::allow_record(1, 1), audit::allow_record(2, 2)}, 1);
  EXPECT_THAT(page(), AllOf(HasSubstr("class=\"state good\""),
                            HasSubstr("2 records at the end have no checkpoint yet")));
}

TEST_F(AuditReport, SaysThatNothingProvesALogWithoutCheckpoints) {
  write({audit::start_record()}, 0);
  EXPECT_THAT(page(), AllOf(HasSubstr("does NOT verify"), HasSubstr("The log has no checkpoint.")));
}

TEST_F(AuditReport, CountsWithinItsTimeAndVerifiesAll) {
  Record late = audit::allow_record(2, 2);
  late.time = *parse_instant("2026-03-01T00:00:00Z");
  write({audit::allow_record(1, 1), late});
  const Report report = make(*parse_span("2026-03-01", "2026-03-02"));
  EXPECT_EQ(report.tally.records, 1U);
  EXPECT_EQ(report.verified.records, 2U);
  EXPECT_THAT(report_html(report), HasSubstr("from 2026-03-01 00:00:00 to 2026-03-02 00:00:00"));
}

TEST_F(AuditReport, KeepsNoMoreEventsThanItsLimitAndCountsTheRest) {
  Tally tally;
  for (std::size_t i = 0; i < kEventsLimit + 5; ++i)
    add(tally, Record::key_event(kRoot, "register", "k" + std::to_string(i), 1));
  for (std::size_t i = 0; i < kNamesLimit + 5; ++i) {
    Record record = audit::allow_record(1, 1);
    record.key = "k" + std::to_string(i);
    add(tally, record);
  }
  EXPECT_EQ(tally.key_events.records.size(), kEventsLimit);
  EXPECT_EQ(tally.key_events.count, kEventsLimit + 5);
  EXPECT_EQ(tally.keys.size(), kNamesLimit + 1);
  EXPECT_EQ(tally.keys.at("(others)").allowed, 5U);
  Report report;
  report.tally = std::move(tally);
  EXPECT_THAT(report_html(report), HasSubstr("and 5 more"));
}

TEST_F(AuditReport, IsRefusedWithoutALogOrAKey) {
  EXPECT_THAT(make_report(directory_, key_.public_pem(), {}, {}), ErrorIs(Code::usage));
  write({audit::start_record()});
  EXPECT_THAT(make_report(directory_, "no key", {}, {}), ErrorIs(Code::usage));
}

}  // namespace
}  // namespace hsm::audit_tools
