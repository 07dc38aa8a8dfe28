#include "hsm_signer/service/officers_desk.h"

#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_officers.h"

namespace hsm::service {
namespace {

using namespace std::chrono_literals;
using officers::Statement;
using officers::Verb;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Peer kAdmin{.uid = 9, .gid = 9, .pid = 1};

class OfficersDeskTest : public ::testing::Test {
 protected:
  OfficersDeskTest() { start(); }

  // As the daemon does; again after a stop, with what the last one left.
  void start() {
    OfficersDesk::Used used;
    log_ = *audit::Log::open(dir_ / "audit",
                             [&](const audit::Record& record) { used.replay(record); });
    state_ = *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
      boost::asio::post(io_, std::move(work));
    });
    ledger_.emplace(io_, clock_, *log_);
    ASSERT_THAT(
        used.read(notes(OfficersDesk::kNotes), notes(OfficersDesk::kForgotten), clock_.wall()),
        Succeeds());
    desk_.emplace(OfficersDesk::Parts{clock_, *state_, *ledger_}, place_, std::move(used));
  }
  void stop() {
    ledger_->flush();
    desk_.reset();
    state_.reset();
    io_.restart();
    io_.poll();
    ledger_.reset();
    log_.reset();
  }
  std::vector<state::Note> notes(std::string_view kind) {
    std::optional<Result<std::vector<state::Note>>> came;
    state_->notes(std::string{kind}, [&](auto result) { came = std::move(result); });
    run_until([&] { return came.has_value(); });
    return **came;
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  Result<OfficersDesk::Stated> administer(const std::string& bundle,
                                          const Statement& expected = destruction(),
                                          OfficersDesk::Times times = OfficersDesk::Times::once) {
    std::optional<Result<OfficersDesk::Stated>> came;
    desk_->administer(
        kAdmin, bundle, expected, [&](const auto& stated) { came = stated; }, times);
    run_until([&] { return came.has_value(); });
    return *came;
  }

  // What is about to be done; who states it adds host, id and expiry.
  static Statement destruction() {
    return {.verb = Verb::destroy,
            .key = "desk-a",
            .api_key_id = "account-1",
            .environment = "production",
            .arguments = {{"version", "2"}}};
  }
  Statement stated(const std::string& id, const std::string& version = "2") {
    Statement statement = destruction();
    statement.host = "signer-1";
    statement.id = id;
    statement.expires = clock_.wall() + 15min;
    statement.arguments["version"] = version;
    return statement;
  }
  std::string by_two(const Statement& statement) {
    return people_.signed_by({"alice", "bob"}, statement);
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  test::TestOfficers people_;
  std::optional<OfficersDesk::Place> place_ = OfficersDesk::Place{
      "signer-1",
      *officers::AllowedOfficers::parse(people_.file({"alice", "bob", "carol"}), "officers"),
      {"officers", 2}};
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<state::State> state_;
  std::optional<Ledger> ledger_;
  std::optional<OfficersDesk> desk_;
};

TEST_F(OfficersDeskTest, TakesWhatTwoOfficersStated) {
  const auto done = administer(by_two(stated("d-1")));
  ASSERT_THAT(done, Succeeds());
  EXPECT_THAT((**done).officers, ElementsAre("alice", "bob"));
  const auto noted = notes(OfficersDesk::kNotes);
  ASSERT_THAT(noted, ::testing::SizeIs(1)) << "durable before it is said";
  EXPECT_EQ(noted[0].name, "d-1");
}

TEST_F(OfficersDeskTest, DemandsAStatementAndSaysWhich) {
  EXPECT_THAT(administer({}), ErrorIs(Code::approval_required,
                                      AllOf(HasSubstr("destroy desk-a version=2"),
                                            HasSubstr("2 distinct officers of group \"officers\""),
                                            HasSubstr("statement make"))));
}

TEST_F(OfficersDeskTest, OffDemandsNoneAndTakesNone) {
  stop();
  place_.reset();
  start();
  const auto done = administer({});
  ASSERT_THAT(done, Succeeds());
  EXPECT_FALSE(done->has_value());
  EXPECT_EQ(desk_->posture(), "administrative statements are not demanded");
  EXPECT_THAT(administer(by_two(stated("d-1"))),
              ErrorIs(Code::denied, HasSubstr("nobody would look at")));
}

TEST_F(OfficersDeskTest, RefusesWhatIsNotStatedByEnoughAboutJustThis) {
  const std::string two = by_two(stated("d-1"));
  Statement elsewhere = stated("d-1");
  elsewhere.host = "signer-2";
  Statement other_verb = stated("d-1");
  other_verb.verb = Verb::activate;
  Statement late = stated("d-1");
  late.expires = clock_.wall();
  Statement long_lived = stated("d-1");
  long_lived.expires = clock_.wall() + 24h + 1s;
  Statement of_bob = stated("d-1");
  of_bob.requester = "bob";
  const std::tuple<std::string, Code, const char*> rows[] = {
      {people_.signed_by({"alice"}, stated("d-1")), Code::approval_required, "alice"},
      {people_.signed_by({"alice", "alice"}, stated("d-1")), Code::approval_required, "1 has"},
      {people_.signed_by({"alice", "mallory"}, stated("d-1")), Code::approval_required, "nobody's"},
      {by_two(of_bob), Code::approval_required, "bob is the requester"},
      {by_two(stated("d-1", "3")), Code::denied, "another version than 2"},
      {by_two(other_verb), Code::denied, "another verb than destroy"},
      {by_two(elsewhere), Code::denied, "another host than signer-1"},
      {by_two(late), Code::denied, "expired"},
      {by_two(long_lived), Code::denied, "lives too long"},
      {"hello", Code::invalid_payload, "statement"},
      {std::string(40'000, 'x'), Code::too_large, "32768"},
  };
  for (const auto& [bundle, code, says] : rows)
    EXPECT_THAT(administer(bundle), ErrorIs(code, HasSubstr(says)));
  EXPECT_THAT(administer(two), Succeeds()) << "none of these has used its id";
}

TEST_F(OfficersDeskTest, CountsAStatementOnceAlsoAfterARestart) {
  const std::string bundle = by_two(stated("d-1"));
  ASSERT_THAT(administer(bundle), Succeeds());
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")));
  stop();
  start();
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")));
}

// A state restored from a backup has no note of it; the log has.
TEST_F(OfficersDeskTest, CountsAStatementOnceThoughTheStateHasForgottenIt) {
  const std::string bundle = by_two(stated("d-1"));
  ASSERT_THAT(administer(bundle), Succeeds());
  std::optional<Result<void>> erased;
  state_->erase_note(std::string{OfficersDesk::kNotes}, "d-1", [&](auto done) { erased = done; });
  run_until([&] { return erased.has_value(); });
  stop();
  start();
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")));
}

// Forgotten once it is over; a clock that is set back then does not bring it back.
TEST_F(OfficersDeskTest, BringsNoneBackWithTheClock) {
  const std::string first = by_two(stated("d-1"));
  ASSERT_THAT(administer(first), Succeeds());
  clock_.advance(20min);
  ASSERT_THAT(administer(by_two(stated("d-2"))), Succeeds());
  EXPECT_THAT(notes(OfficersDesk::kNotes), ::testing::SizeIs(1));
  clock_.step_wall(-20min);
  EXPECT_THAT(administer(first), ErrorIs(Code::denied, HasSubstr("expired")));
  stop();
  start();
  EXPECT_THAT(administer(first), ErrorIs(Code::denied));
}

TEST_F(OfficersDeskTest, CarriesAnActOfSeveralStepsByOneText) {
  const auto each = OfficersDesk::Times::each_step;
  const std::string bundle = by_two(stated("d-1"));
  ASSERT_THAT(administer(bundle, destruction(), each), Succeeds());
  stop();
  start();
  EXPECT_THAT(administer(bundle, destruction(), each), Succeeds()) << "of the same text";
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")));
  Statement other = destruction();
  other.arguments["version"] = "3";
  EXPECT_THAT(administer(bundle, other, each), ErrorIs(Code::denied, HasSubstr("another version")));
  EXPECT_THAT(administer(by_two(stated("d-1", "3")), other, each),
              ErrorIs(Code::denied, HasSubstr("used before")))
      << "another text under the same id";
  clock_.advance(15min);
  EXPECT_THAT(administer(bundle, destruction(), each), ErrorIs(Code::denied, HasSubstr("expired")));
}

TEST_F(OfficersDeskTest, MayBeUsedAgainOnceGivenBack) {
  const std::string bundle = by_two(stated("d-1"));
  ASSERT_THAT(administer(bundle), Succeeds());
  std::optional<Result<void>> back;
  desk_->give_back(kAdmin, "d-1", [&](auto done) { back = done; });
  run_until([&] { return back.has_value(); });
  stop();
  start();
  EXPECT_THAT(administer(bundle), Succeeds()) << "the log says so too";
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")));
}

TEST_F(OfficersDeskTest, ActsOnNothingThatIsNotDurable) {
  ASSERT_EQ(::chmod((dir_ / "state").c_str(), 0700), 0);
  const std::string bundle = by_two(stated("d-1"));
  std::optional<Result<OfficersDesk::Stated>> came;
  desk_->administer(kAdmin, bundle, destruction(), [&](const auto& done) { came = done; });
  EXPECT_FALSE(came.has_value()) << "the state has not answered yet";
  EXPECT_THAT(administer(bundle), ErrorIs(Code::denied, HasSubstr("used before")))
      << "a second that comes meanwhile";
  run_until([&] { return came.has_value(); });
  EXPECT_THAT(*came, Succeeds());
}

TEST_F(OfficersDeskTest, RecordsWhoHasStatedWhat) {
  ASSERT_THAT(administer(by_two(stated("d-1"))), Succeeds());
  stop();
  std::vector<audit::Record> all;
  (void)audit::Log::open(dir_ / "audit",
                         [&](const audit::Record& record) { all.push_back(record); });
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].action, "statement_used");
  EXPECT_EQ(all[0].subject, "destroy desk-a version=2");
  EXPECT_EQ(all[0].statement, "d-1");
  EXPECT_EQ(all[0].officers, "alice,bob");
  EXPECT_EQ(all[0].uid, 9U);
  start();
}

TEST(OfficersUsed, RefusesANoteThatIsDamaged) {
  const Clock::Wall now{std::chrono::seconds{1'800'000'000}};
  OfficersDesk::Used used;
  EXPECT_THAT(used.read({{"d-1", "2026-11-25T19:00:00.000000Z"}}, {}, now),
              ErrorIs(Code::state_unavailable));
  EXPECT_THAT(used.read({{"d-1", "2026-13-25T19:00:00.000000Z " + std::string(64, 'a')}}, {}, now),
              ErrorIs(Code::state_unavailable));
  EXPECT_THAT(used.read({}, {{"until", "yesterday"}}, now), ErrorIs(Code::state_unavailable));
}

// ---- signer.toml to a desk ----

class OfficersPlaceTest : public ::testing::Test {
 protected:
  OfficersPlaceTest() {
    write(people_.file({"alice", "bob"}));
    config_.mode = SignerConfig::Mode::development;
    config_.officers = OfficersConfig{dir_ / "allowed_officers", "officers", 2};
  }
  void write(const std::string& text) { std::ofstream{dir_ / "allowed_officers"} << text; }

  TempDir dir_;
  test::TestOfficers people_;
  SignerConfig config_;
};

TEST_F(OfficersPlaceTest, IsNoneWithoutOfficers) {
  config_.officers.reset();
  const auto place = OfficersDesk::place_of(config_);
  ASSERT_THAT(place, Succeeds());
  EXPECT_FALSE(place->has_value());
}

TEST_F(OfficersPlaceTest, HasThisHostsName) {
  const auto place = OfficersDesk::place_of(config_);
  ASSERT_THAT(place, Succeeds());
  EXPECT_EQ((**place).host, *host_name());
}

TEST_F(OfficersPlaceTest, RefusesAFileThatOthersCouldHaveWritten) {
  ASSERT_EQ(::chmod((dir_ / "allowed_officers").c_str(), 0664), 0);
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage, HasSubstr("chmod 0644")));
}

TEST_F(OfficersPlaceTest, RefusesInProductionAFileThatIsNotRoots) {
  config_.mode = SignerConfig::Mode::production;
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((dir_ / "allowed_officers").c_str(), 1000, 0), 0);
  }
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage, HasSubstr("root must own")));
}

TEST_F(OfficersPlaceTest, RefusesANeedThatNobodyCouldMeet) {
  config_.officers->need = 3;
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage, HasSubstr("has 2 in group")));
  config_.officers = OfficersConfig{dir_ / "allowed_officers", "treasurers", 1};
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage, HasSubstr("has 0 in group")));
}

TEST_F(OfficersPlaceTest, RefusesAFileThatIsMissingOrBroken) {
  write("version = 1\n[[officer]]\nname = \"alice\"\n");
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage));
  config_.officers->file = dir_ / "none";
  EXPECT_THAT(OfficersDesk::place_of(config_), ErrorIs(Code::usage));
}

}  // namespace
}  // namespace hsm::service
