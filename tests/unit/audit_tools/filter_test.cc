#include "hsm_signer/audit_tools/filter.h"

#include "hsm_signer/base/duration.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit_tools {
namespace {

using audit::Kind;
using audit::Record;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Peer kRoot{.uid = 0, .gid = 0, .pid = 1};

Record at(Record record, const std::string& time) {
  record.time = *parse_instant(time);
  return record;
}

Record freeze(const std::string& subject) {
  Record record = Record::admin_event(kRoot, "freeze", subject);
  record.reason = "drill";
  return record;
}

// A record of each kind; sequences from 1.
class AuditFilter : public ::testing::Test {
 protected:
  AuditFilter() {
    const auto log = audit::Log::open(directory_);
    Record other = audit::allow_record(7, 1);
    other.key = "desk-b";
    other.client = "treasury";
    other.api_key_id = "account-B";
    other.endpoint = "/v1/withdraw/{currency}";
    other.endpoint_class = "move";
    other.rule = "withdrawals";
    other.reference = "w-1";
    audit::write_records(
        **log,
        {at(audit::start_record(), "2026-03-01T00:00:00Z"),
         at(audit::allow_record(1, 1), "2026-03-01T10:00:00Z"),
         at(audit::refuse_record(), "2026-03-01T11:00:00Z"), at(other, "2026-03-02T00:00:00Z"),
         at(Record::key_event(kRoot, "activate", "desk-b", 2), "2026-03-02T01:00:00Z"),
         at(freeze("key:desk-b"), "2026-03-02T02:00:00Z"),
         at(freeze("client:mm-bot key:desk-a.trade"), "2026-03-02T03:00:00Z"),
         at(Record::gap(1, 1, 2, "killed"), "2026-03-02T04:00:00Z"),
         at(Record::stop("5f0c2b9e", "SIGTERM"), "2026-03-02T05:00:00Z")});
  }
  std::vector<std::uint64_t> found(const Filter& filter) const {
    std::vector<std::uint64_t> sequences;
    EXPECT_THAT(visit_records(directory_, filter,
                              [&](const Record& record, const audit::LogLine& line) {
                                EXPECT_EQ(record.seq, line.seq);
                                sequences.push_back(record.seq);
                                return true;
                              }),
                Succeeds());
    return sequences;
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
};

TEST_F(AuditFilter, AsksForNothingWhereItIsEmpty) { EXPECT_EQ(found({}).size(), 9U); }

TEST_F(AuditFilter, FindsByEachMember) {
  EXPECT_THAT(found({.key = "desk-b"}), ElementsAre(4, 5, 6));
  EXPECT_THAT(found({.key = "desk-a.trade"}), ElementsAre(2, 3, 7));
  EXPECT_THAT(found({.client = "mm-bot"}), ElementsAre(2, 3, 7));
  EXPECT_THAT(found({.api_key_id = "account-B"}), ElementsAre(4));
  EXPECT_THAT(found({.verdict = "allow"}), ElementsAre(2, 4));
  EXPECT_THAT(found({.verdict = "refuse"}), ElementsAre(3));
  EXPECT_THAT(found({.code = "denied"}), ElementsAre(3));
  EXPECT_THAT(found({.rule = "withdrawals"}), ElementsAre(4));
  EXPECT_THAT(found({.endpoint = "/v1/order/new"}), ElementsAre(2));
  EXPECT_THAT(found({.endpoint = "class:move"}), ElementsAre(3, 4));
  EXPECT_THAT(found({.reference = "w-1"}), ElementsAre(4));
  EXPECT_THAT(found({.kind = Kind::admin}), ElementsAre(6, 7));
  EXPECT_THAT(found({.kind = Kind::start}), ElementsAre(1));
}

TEST_F(AuditFilter, WantsAllOfItsMembers) {
  EXPECT_THAT(found({.client = "mm-bot", .verdict = "allow"}), ElementsAre(2));
  EXPECT_THAT(found({.key = "desk-b", .kind = Kind::key}), ElementsAre(5));
  EXPECT_THAT(found({.key = "desk-b", .client = "mm-bot"}), ElementsAre());
}

TEST_F(AuditFilter, TakesNoPartOfANameForTheWhole) {
  for (const char* part : {"desk", "desk-", "desk-a", "desk-a.trade2", "key:desk-b", "*", " "})
    EXPECT_THAT(found({.key = part}), ElementsAre()) << part;
  EXPECT_THAT(found({.endpoint = "/v1/order"}), ElementsAre());
  EXPECT_THAT(found({.endpoint = "class:mov"}), ElementsAre());
}

TEST_F(AuditFilter, FindsByTimeFromTheBeginningUpToTheEnd) {
  const auto within = [&](const char* since, const char* until) {
    return found({.span = *parse_span(since, until)});
  };
  EXPECT_THAT(within("2026-03-02", ""), ElementsAre(4, 5, 6, 7, 8, 9));
  EXPECT_THAT(within("", "2026-03-02"), ElementsAre(1, 2, 3));
  EXPECT_THAT(within("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"), ElementsAre(2));
}

TEST_F(AuditFilter, FindsBySequence) {
  const auto sequences = [&](const char* text) {
    Filter filter;
    EXPECT_THAT(parse_sequences(text, filter), Succeeds());
    return found(filter);
  };
  EXPECT_THAT(sequences("3"), ElementsAre(3));
  EXPECT_THAT(sequences("3..4"), ElementsAre(3, 4));
  EXPECT_THAT(sequences("8.."), ElementsAre(8, 9));
  EXPECT_THAT(sequences("..2"), ElementsAre(1, 2));
  EXPECT_THAT(sequences("100..200"), ElementsAre());
}

TEST_F(AuditFilter, RefusesWhatIsNoRangeTimeOrKind) {
  Filter filter;
  for (const char* text :
       {"", "..", "0", "-1", "1-2", "4..3", "x", "1..x", "1...2", "18446744073709551616"})
    EXPECT_THAT(parse_sequences(text, filter), ErrorIs(Code::usage)) << text;
  for (const char* text : {"yesterday", "2026-3-1", "2026-03-01 10:00:00", "2026-13-01",
                           "2026-03-01T10:00:00", "2026-03-01T10:00:00+01:00"})
    EXPECT_THAT(parse_span(text, ""), ErrorIs(Code::usage, HasSubstr("--since"))) << text;
  EXPECT_THAT(parse_span("2026-03-02", "2026-03-01"), ErrorIs(Code::usage));
  EXPECT_THAT(parse_span("2026-03-01", "2026-03-01"), ErrorIs(Code::usage));
  for (const char* text : {"", "Sign", "allow"})
    EXPECT_THAT(parse_kind(text), ErrorIs(Code::usage)) << text;
}

TEST_F(AuditFilter, StopsAtALineThatIsNoRecordAndNamesIt) {
  const std::string segment = directory_ + "/audit-000001.jsonl";
  std::string text = audit::slurp(segment);
  text.replace(text.find("\"seq\":3,"), 8, "\"seq\":3 ");
  audit::spit(segment, text);
  const auto all = [](const Record&, const audit::LogLine&) { return true; };
  EXPECT_THAT(visit_records(directory_, {}, all),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000001.jsonl:3")));
  EXPECT_THAT(visit_records(directory_, {.last = 2}, all), Succeeds());
}

TEST_F(AuditFilter, PassesOverAnUnfinishedLastLine) {
  const std::string segment = directory_ + "/audit-000001.jsonl";
  audit::spit(segment, audit::slurp(segment) + "{\"v\":1,\"seq\":10,");
  EXPECT_EQ(found({}).size(), 9U);
}

}  // namespace
}  // namespace hsm::audit_tools
