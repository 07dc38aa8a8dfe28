#include "hsm_signer/service/retention_desk.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>

#include "hsm_signer/audit/segments.h"
#include "hsm_signer/audit/verify.h"
#include "hsm_signer/state/state.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_officers.h"
#include "tests/unit/audit/let_go.h"

namespace hsm::service {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Peer kAdmin{.uid = 9, .gid = 9, .pid = 1};

class RetentionDeskTest : public ::testing::Test {
 protected:
  // Five segments, a record each, all long ago.
  RetentionDeskTest() {
    audit::spit(dir_ / "audit.pub.pem", key_.public_pem());
    set_wall(audit::nth_time(0) + 40 * 24h);
    start();
    audit::write_segments(*log_, key_, 5);
  }
  ~RetentionDeskTest() override { stop(); }

  void start() {
    log_ = *audit::Log::open(dir_ / "audit", {}, audit::unsynced(), audit::a_record_a_segment());
    state_ = *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
      boost::asio::post(io_, std::move(work));
    });
    ledger_.emplace(io_, clock_, *log_);
    officers_.emplace(OfficersDesk::Parts{clock_, *state_, *ledger_}, place_, OfficersDesk::Used{});
    desk_.emplace(
        RetentionDesk::Parts{.io = io_,
                             .clock = clock_,
                             .log = *log_,
                             .ledger = *ledger_,
                             .officers = *officers_,
                             .audit_key = dir_ / "audit.pub.pem",
                             .seal_now = [this](const std::function<void()>& done) { seal(done); },
                             .anchored = [this] { return anchored_; }});
  }
  void stop() {
    if (ledger_) ledger_->flush();
    desk_.reset();
    officers_.reset();
    state_.reset();
    io_.restart();
    io_.poll();
    ledger_.reset();
    log_.reset();
  }
  void set_wall(Clock::Wall wall) { clock_.step_wall(wall - clock_.wall()); }
  void seal(const std::function<void()>& done) {
    ++seals_;
    if (!can_seal_) return done();
    ledger_->when_durable([this, done](const Result<void>& durable) {
      if (durable) audit::seal_head(*log_, key_);
      done();
    });
  }
  template <class Done>
  bool run_until(Done done) {
    const auto other_threads_may_post = boost::asio::make_work_guard(io_);
    for (int i = 0; i < 1000 && !done(); ++i) {
      io_.restart();
      io_.run_for(5ms);
    }
    return done();
  }
  Result<wire::LetGone> ask(const wire::LetGo& ask) {
    std::optional<Result<wire::LetGone>> came;
    desk_->let_go(kAdmin, ask, [&](Result<wire::LetGone> answer) { came = std::move(answer); });
    EXPECT_TRUE(run_until([&] { return came.has_value(); }));
    return *came;
  }
  Result<wire::LetGone> by(const std::string& statement) {
    return ask({.before = before(4), .dry_run = false, .statement = statement});
  }
  Result<wire::LetGone> look(const std::string& before) {
    return ask({.before = before, .dry_run = true, .statement = {}});
  }
  static std::string before(std::uint64_t record) { return rfc3339(audit::nth_time(record)); }
  std::string stated(const std::string& id, const std::string& before,
                     officers::Verb verb = officers::Verb::retention) {
    officers::Statement statement{
        .verb = verb, .host = "signer-1", .id = id, .arguments = {{"before", before}}};
    if (verb == officers::Verb::thaw) statement.arguments = {{"scope", "all"}};
    statement.expires = clock_.wall() + 15min;
    return people_.signed_by({"alice", "bob"}, statement);
  }
  std::uint64_t first() const { return audit::list_log(dir_ / "audit")->first; }
  bool verifies() const {
    const auto verified = audit::verify_directory(dir_ / "audit", key_.public_pem());
    return verified && verified->ok();
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  const audit::TestKey key_;
  test::TestOfficers people_;
  std::optional<OfficersDesk::Place> place_ = OfficersDesk::Place{
      "signer-1",
      *officers::AllowedOfficers::parse(people_.file({"alice", "bob", "carol"}), "officers"),
      {"officers", 2}};
  bool can_seal_ = true;
  int seals_ = 0;
  std::optional<std::uint64_t> anchored_;
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<state::State> state_;
  std::optional<Ledger> ledger_;
  std::optional<OfficersDesk> officers_;
  std::optional<RetentionDesk> desk_;
};

TEST_F(RetentionDeskTest, LetsGoWhatIsOlderOnTheWordOfOfficers) {
  const auto gone = by(stated("r-1", before(4)));
  ASSERT_THAT(gone, Succeeds());
  EXPECT_EQ(gone->first_segment, 1U);
  EXPECT_EQ(gone->kept_from, 4U);
  EXPECT_EQ(gone->records, 3U);
  EXPECT_EQ(gone->count, 3U);
  EXPECT_EQ(gone->first, before(1));
  EXPECT_EQ(gone->last, before(3));
  EXPECT_EQ(gone->seq, 7U);  // Behind statement_used.
  EXPECT_THAT(gone->why, HasSubstr("audit-000004.jsonl stays: record 4 is of " + before(4)));
  EXPECT_EQ(first(), 4U);
  EXPECT_TRUE(officers_->is_used("r-1"));
  const auto verified = audit::verify_directory(dir_ / "audit", key_.public_pem());
  ASSERT_TRUE(verified && verified->ok());
  EXPECT_THAT(verified->findings.front().sentence, HasSubstr("by alice,bob (retention record 7)"));
}

TEST_F(RetentionDeskTest, TakesNoOtherStatementAndUsesNone) {
  EXPECT_THAT(by(""), ErrorIs(Code::approval_required, HasSubstr("retention before=")));
  EXPECT_THAT(by("no statement"), ErrorIs(Code::invalid_payload));
  EXPECT_THAT(by(stated("r-1", before(3))), ErrorIs(Code::denied, HasSubstr("another before")));
  EXPECT_THAT(by(stated("r-2", before(5))), ErrorIs(Code::denied, HasSubstr("another before")));
  EXPECT_THAT(by(stated("r-3", "", officers::Verb::thaw)),
              ErrorIs(Code::denied, HasSubstr("another verb")));
  const std::string late = stated("r-4", before(4));
  clock_.advance(15min);
  EXPECT_THAT(by(late), ErrorIs(Code::denied, HasSubstr("expired")));
  for (const char* id : {"r-1", "r-2", "r-3", "r-4"}) EXPECT_FALSE(officers_->is_used(id)) << id;
  EXPECT_EQ(first(), 1U);
  EXPECT_EQ(log_->size(), 5U);
}

TEST_F(RetentionDeskTest, TakesAStatementOnce) {
  const std::string word = stated("r-1", before(4));
  ASSERT_THAT(by(word), Succeeds());
  EXPECT_THAT(by(word), ErrorIs(Code::denied, HasSubstr("used before")));
}

TEST_F(RetentionDeskTest, RefusesATimeThatIsNoneOrYetToCome) {
  for (const char* odd : {"", "2026-01-01", "2026-01-01T00:00:00Z", "yesterday"})
    EXPECT_THAT(look(odd), ErrorIs(Code::usage)) << odd;
  EXPECT_THAT(look(rfc3339(clock_.wall() + 1s)), ErrorIs(Code::usage, HasSubstr("future")));
}

TEST_F(RetentionDeskTest, OnlySaysWhatWouldGoWithoutAnybodysWord) {
  const auto would = look(before(4));
  ASSERT_THAT(would, Succeeds());
  EXPECT_EQ(would->count, 3U);
  EXPECT_EQ(would->seq, 0U);
  EXPECT_THAT(would->sha256, IsEmpty());
  EXPECT_EQ(first(), 1U);
  EXPECT_EQ(log_->size(), 5U);
}

TEST_F(RetentionDeskTest, UsesNoStatementWhereNothingIsOldEnough) {
  const auto nothing =
      ask({.before = before(1), .dry_run = false, .statement = stated("r-1", before(1))});
  ASSERT_THAT(nothing, Succeeds());
  EXPECT_EQ(nothing->kept_from, nothing->first_segment);
  EXPECT_FALSE(officers_->is_used("r-1"));
  EXPECT_EQ(log_->size(), 5U);
}

TEST_F(RetentionDeskTest, KeepsWhatAWindowMayCount) {
  set_wall(audit::nth_time(2) + 31 * 24h);
  const auto would = look(before(4));
  ASSERT_THAT(would, Succeeds());
  EXPECT_EQ(would->kept_from, 2U);
  EXPECT_THAT(would->why, HasSubstr("record 2 still counts"));
}

TEST_F(RetentionDeskTest, KeepsTheUseOfAStatementUntilItHasExpired) {
  ASSERT_THAT(by(stated("r-1", before(4))), Succeeds());
  const std::string behind = rfc3339(clock_.wall() + 1min);
  clock_.advance(14min);
  auto would = look(behind);
  ASSERT_THAT(would, Succeeds());
  EXPECT_EQ(would->kept_from, 6U);
  EXPECT_THAT(would->why, HasSubstr("record 6 still counts"));
  clock_.advance(1min);
  would = look(behind);
  ASSERT_THAT(would, Succeeds());
  EXPECT_EQ(would->kept_from, 7U);
}

TEST_F(RetentionDeskTest, KeepsWhatIsNotAnchored) {
  anchored_ = 2;
  const auto would = look(before(4));
  ASSERT_THAT(would, Succeeds());
  EXPECT_EQ(would->kept_from, 3U);
  EXPECT_THAT(would->why, HasSubstr("not anchored"));
}

TEST_F(RetentionDeskTest, KeepsALogThatDoesNotVerify) {
  const std::string path = dir_ / "audit/audit-000002.jsonl";
  std::string text = audit::slurp(path);
  text.replace(text.find("order-17"), 8, "order-18");
  audit::spit(path, text);
  EXPECT_THAT(by(stated("r-1", before(4))), ErrorIs(Code::verification_failed));
  EXPECT_FALSE(officers_->is_used("r-1"));
  EXPECT_EQ(first(), 1U);
}

TEST_F(RetentionDeskTest, RemovesNothingUntilItsRecordIsSealed) {
  can_seal_ = false;
  EXPECT_THAT(by(stated("r-1", before(4))), ErrorIs(Code::token_unavailable));
  EXPECT_EQ(first(), 1U);
  EXPECT_TRUE(verifies());
  EXPECT_THAT(look(before(4)), ErrorIs(Code::overloaded));
  can_seal_ = true;
  EXPECT_TRUE(run_until([this] { return first() == 4; }));
  EXPECT_TRUE(verifies());
}

TEST_F(RetentionDeskTest, EndsWhatAnEarlierRunHadRecorded) {
  can_seal_ = false;
  EXPECT_THAT(by(stated("r-1", before(4))), ErrorIs(Code::token_unavailable));
  stop();
  start();
  can_seal_ = true;
  desk_->start();
  EXPECT_TRUE(run_until([this] { return first() == 4; }));
  EXPECT_TRUE(verifies());
}

TEST_F(RetentionDeskTest, TakesBackWhatAnEarlierRunHadNotRecorded) {
  ASSERT_THAT(audit::let_go(*log_, audit::unsynced(), key_, 3, {.record = false, .remove = false}),
              Succeeds());
  stop();
  start();
  desk_->start();
  EXPECT_TRUE(run_until([this] { return audit::list_log(dir_ / "audit")->pending.empty(); }));
  EXPECT_EQ(first(), 1U);
}

TEST_F(RetentionDeskTest, NeedsNobodysWordWhereNoOfficersAreNamed) {
  stop();
  place_.reset();
  start();
  EXPECT_THAT(by(stated("r-1", before(4))), ErrorIs(Code::denied, HasSubstr("nobody would look")));
  ASSERT_THAT(by(""), Succeeds());
  const auto verified = audit::verify_directory(dir_ / "audit", key_.public_pem());
  ASSERT_TRUE(verified && verified->ok());
  EXPECT_THAT(verified->findings.front().sentence, HasSubstr("by uid 9"));
}

}  // namespace
}  // namespace hsm::service
