#include "hsm_signer/service/audit_desk.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <sstream>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using audit::Record;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AuditDeskTest : public ::testing::Test {
 protected:
  std::vector<Record> written() {
    ledger_.flush();
    std::vector<Record> records;
    std::istringstream lines{audit::slurp(dir_ / "audit/audit-000001.jsonl")};
    for (std::string line; std::getline(lines, line);) records.push_back(*audit::parse_line(line));
    return records;
  }
  Result<wire::Done> alarm(const std::string& subject, const std::string& detail) {
    std::optional<Result<wire::Done>> answer;
    desk_.alarm(kRoot, {.subject = subject, .detail = detail},
                [&](Result<wire::Done> came) { answer = std::move(came); });
    const auto the_sync_thread_posts = boost::asio::make_work_guard(io_);
    io_.restart();
    while (!answer) io_.run_one();
    return *answer;
  }

  static constexpr Peer kRoot{.uid = 0, .gid = 0, .pid = 9};
  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {});
  Ledger ledger_{io_, clock_, *log_};
  AuditDesk desk_{clock_, ledger_};
};

TEST_F(AuditDeskTest, WhoComesIsRecordedAtMostOnceAMinute) {
  for (int i = 0; i < 100; ++i) desk_.came(kRoot, true);
  ASSERT_THAT(written(), SizeIs(1));
  EXPECT_EQ(written()[0].action, "login");
  EXPECT_EQ(written()[0].detail, "");
  clock_.advance(std::chrono::seconds{59});
  desk_.came(kRoot, true);
  EXPECT_THAT(written(), SizeIs(1));
  clock_.advance(std::chrono::seconds{1});
  desk_.came(kRoot, true);
  ASSERT_THAT(written(), SizeIs(2));
  EXPECT_EQ(written()[1].detail, "100 more since the last such record");
}

TEST_F(AuditDeskTest, WhoIsTurnedAwayIsRecordedApart) {
  desk_.came({.uid = 7, .gid = 7, .pid = 1}, false);
  desk_.came({.uid = 8, .gid = 8, .pid = 2}, false);
  desk_.came({.uid = 8, .gid = 8, .pid = 2}, true);
  std::vector<std::string> actions;
  for (const Record& record : written())
    actions.push_back(record.action + " " + std::to_string(record.uid));
  EXPECT_THAT(actions, ElementsAre("login_refused 7", "login_refused 8", "login 8"));
}

TEST_F(AuditDeskTest, AnAlarmIsOnDiskBeforeItIsAnswered) {
  ASSERT_THAT(alarm("reconcile key:desk", "1 order"), Succeeds());
  EXPECT_EQ(log_->durable_size(), 1U);
  ASSERT_THAT(written(), SizeIs(1));
  EXPECT_EQ(written()[0].action, "alarm");
  EXPECT_EQ(written()[0].subject, "reconcile key:desk");
  EXPECT_EQ(written()[0].detail, "1 order");
}

TEST_F(AuditDeskTest, AnAlarmThatARecordCannotHoldIsRefused) {
  const std::string longest(audit::kRemarkLimit, 'x');
  for (const auto& [subject, detail] :
       std::vector<std::pair<std::string, std::string>>{{"", "x"},
                                                        {"x\n", ""},
                                                        {"x", "\x1b[2J"},
                                                        {"\xff", ""},
                                                        {longest + "x", ""},
                                                        {"x", longest + "x"}})
    EXPECT_THAT(alarm(subject, detail), ErrorIs(Code::usage));
  EXPECT_THAT(written(), IsEmpty());
  EXPECT_THAT(alarm(longest, longest), Succeeds());
}

}  // namespace
}  // namespace hsm::service
