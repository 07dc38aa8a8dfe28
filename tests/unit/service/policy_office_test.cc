// A policy's file on its way into force: all of it or nothing, and recorded.
#include "hsm_signer/service/policy_office.h"

#include <gmock/gmock.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/full_disk.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr Peer kAdmin{.uid = 12, .gid = 13, .pid = 14};
constexpr const char* kOne = R"(version = 1
serial = 3
[[client]]
name = "bot"
uid = "7"
[[rule]]
name = "reads"
client = "bot"
key = "k"
allow = ["class:read"]
)";
constexpr const char* kTwo = R"(version = 1
serial = 4
[[client]]
name = "bot"
uid = "7"
[[rule]]
name = "orders"
client = "bot"
key = "k"
allow = ["/v1/order/new"]
window = [ { per = "1h", max_count = 5 } ]
)";

class PolicyOfficeTest : public ::testing::Test {
 protected:
  PolicyOfficeTest() {
    write(kOne);
    const auto first = PolicyFile::load(policy_, users_);
    EXPECT_THAT(first, Succeeds());
    desk_.emplace(clock_, first->rules);
    office_.emplace(
        PolicyOffice::Parts{.desk = *desk_, .gate = gate_, .ledger = ledger_, .users = users_},
        *first);
    first_sha256_ = first->sha256;
  }
  void TearDown() override {
    state_.reset();
    io_.restart();
    io_.poll();
  }
  void write(const std::string& text) { std::ofstream{policy_} << text; }
  Result<wire::PolicyInForce> reload(const wire::ReloadPolicy& ask = {}) {
    std::optional<Result<wire::PolicyInForce>> answer;
    office_->reload(kAdmin, ask,
                    [&](Result<wire::PolicyInForce> came) { answer = std::move(came); });
    const auto other_threads_may_post = boost::asio::make_work_guard(io_);
    for (int i = 0; i < 2000 && !answer; ++i) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds{2});
    }
    EXPECT_TRUE(answer);
    return answer.value_or(fail(Code::internal, "no answer"));
  }
  bool reads_in_force() const { return desk_->rules()->rules().front().name == "reads"; }
  std::vector<audit::Record> records() {
    ledger_.flush();
    io_.restart();
    io_.run_for(std::chrono::milliseconds{30});
    log_.reset();
    std::vector<audit::Record> found;
    (void)audit::Log::open(dir_ / "audit",
                           [&](const audit::Record& record) { found.push_back(record); });
    return found;
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  std::string policy_ = dir_ / "policy.toml";
  policy::Resolver users_ = policy::files_resolver();
  test::FullDisk disk_;
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {}, disk_);
  std::unique_ptr<state::State> state_ = *state::State::open(
      dir_ / "state/state.db",
      [this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); });
  Ledger ledger_{io_, clock_, *log_};
  OfficersDesk officers_{{clock_, *state_, ledger_}, {}, {}};
  PolicyGate gate_{*state_, officers_, {}};
  std::optional<PolicyDesk> desk_;
  std::optional<PolicyOffice> office_;
  std::string first_sha256_;
};

TEST_F(PolicyOfficeTest, PutsAnotherFileInForceAndSaysWhatChanged) {
  write(kTwo);
  const auto now = reload();
  ASSERT_THAT(now, Succeeds());
  EXPECT_FALSE(reads_in_force());
  EXPECT_EQ(now->old_sha256, first_sha256_);
  EXPECT_EQ(now->sha256, PolicyFile::load(policy_, users_)->sha256);
  EXPECT_NE(now->sha256, first_sha256_);
  EXPECT_EQ(now->old_serial, 3U);
  EXPECT_EQ(now->serial, 4U);
  EXPECT_EQ(now->clients, 1U);
  EXPECT_EQ(now->rules, 1U);
  EXPECT_EQ(now->begun, 1U);
  ASSERT_THAT(now->windows, SizeIs(1));
  EXPECT_EQ(now->windows[0].window, "rule \"orders\", 1h");
  const auto again = reload();
  ASSERT_THAT(again, Succeeds());
  EXPECT_EQ(again->old_sha256, now->sha256);
  EXPECT_EQ(again->begun, 0U);
}

TEST_F(PolicyOfficeTest, ChangesNothingForAFileWithAnErrorAndSaysWhere) {
  for (const auto& [text, where] :
       {std::pair{"version = 1\nclinet = 1\n", "policy.toml:2:1"},
        std::pair{"version = 2\n", "policy.toml:1:1"}, std::pair{"[[client", "policy.toml:1:"},
        std::pair{"", "version"}}) {
    write(text);
    EXPECT_THAT(reload(), ErrorIs(Code::usage, HasSubstr(where))) << text;
    EXPECT_TRUE(reads_in_force()) << text;
  }
  std::remove(policy_.c_str());
  EXPECT_THAT(reload(), ErrorIs(Code::usage, HasSubstr("policy.toml")));
  EXPECT_TRUE(reads_in_force());
  EXPECT_THAT(records(), SizeIs(0));
}

TEST_F(PolicyOfficeTest, ChangesNothingForAUserThatNobodyKnows) {
  std::string text = kTwo;
  write(text.replace(text.find("\"7\""), 3, "\"no-such-user\""));
  EXPECT_THAT(reload(), ErrorIs(Code::usage, HasSubstr("policy.toml:5:")));
  EXPECT_TRUE(reads_in_force());
}

// Its client could give itself what it wants.
TEST_F(PolicyOfficeTest, ReadsNoPolicyThatOthersCanWrite) {
  write(kTwo);
  std::filesystem::permissions(policy_, std::filesystem::perms{0666});
  EXPECT_THAT(reload(), ErrorIs(Code::usage, HasSubstr("others than its owner can write")));
  std::filesystem::permissions(policy_, std::filesystem::perms{0644});
  ASSERT_EQ(::geteuid() == 0 ? ::chown(policy_.c_str(), 4711, 0) : 0, 0);
  if (::geteuid() == 0) {
    EXPECT_THAT(reload(), ErrorIs(Code::usage, HasSubstr("belongs to another user")));
  }
  EXPECT_EQ(desk_->rules()->serial(), 3U);
}

TEST_F(PolicyOfficeTest, RefusesAStatementThatNobodyAskedFor) {
  write(kTwo);
  EXPECT_THAT(reload({.statement = "x"}), ErrorIs(Code::denied));
  EXPECT_TRUE(reads_in_force());
}

TEST_F(PolicyOfficeTest, ChangesNothingWhileTheLogTakesNoRecord) {
  disk_.full = true;
  ledger_.event(audit::Record::stop("i", "the disk is full"));
  ledger_.flush();
  write(kTwo);
  EXPECT_THAT(reload(), ErrorIs(Code::audit_unavailable));
  EXPECT_TRUE(reads_in_force());
}

TEST_F(PolicyOfficeTest, RecordsWhoPutWhatInForce) {
  write(kTwo);
  const auto now = reload();
  ASSERT_THAT(now, Succeeds());
  const auto written = records();
  ASSERT_THAT(written, SizeIs(1));
  EXPECT_EQ(written[0].kind, audit::Kind::admin);
  EXPECT_EQ(written[0].action, "reload");
  EXPECT_EQ(written[0].subject, "policy");
  EXPECT_EQ(written[0].uid, kAdmin.uid);
  EXPECT_EQ(written[0].text_sha256, now->sha256);
  EXPECT_EQ(written[0].detail,
            "serial 4, 1 clients, 1 rules, 1 windows may lack what was signed before");
}

TEST_F(PolicyOfficeTest, LeavesThoseWhoWereLetInTheirRules) {
  const std::shared_ptr<const policy::Rules> theirs = desk_->rules();
  write(kTwo);
  ASSERT_THAT(reload(), Succeeds());
  EXPECT_EQ(theirs->rules().front().name, "reads");
}

}  // namespace
}  // namespace hsm::service
