// Switches on their way between administrators, memory, state and log.
#include "hsm_signer/service/switch_desk.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/full_disk.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_officers.h"

namespace hsm::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Peer kAdmin{.uid = 0, .gid = 0, .pid = 2};

class SwitchDeskTest : public ::testing::Test {
 protected:
  SwitchDeskTest() {
    keystore::NewVersion wanted;
    wanted.key = {"k"};
    wanted.token = {"t"};
    wanted.api_key_id = {"account-k"};
    wanted.environment = Environment::sandbox;
    wanted.roles = venue::kTrader;
    wanted.cka_id = 1;
    const auto change = registry_.register_version(wanted, clock_.wall());
    EXPECT_THAT(registry_.apply(*change), Succeeds());
  }
  void TearDown() override {
    held_.clear();
    state_.reset();
    io_.restart();
    io_.poll();
  }
  // As a new start of the daemon on the same state.
  void restart() {
    const auto notes = [this](const char* kind) {
      std::optional<std::vector<state::Note>> found;
      state_->notes(kind, [&](Result<std::vector<state::Note>> got) { found = *std::move(got); });
      run_until([&] { return found.has_value(); });
      return *found;
    };
    auto restored = SwitchDesk::restore(notes(kSwitchNotes), notes(kLeaseNotes), desk_->now());
    ASSERT_THAT(restored, Succeeds());
    make(*std::move(restored));
  }
  // As with [officers] in signer.toml.
  void demand_officers() {
    officers_.emplace(OfficersDesk::Parts{clock_, *state_, ledger_},
                      OfficersDesk::Place{"signer-1",
                                          *officers::AllowedOfficers::parse(
                                              people_.file({"alice", "bob"}), "officers"),
                                          {"officers", 2}},
                      OfficersDesk::Used{});
    make({});
  }
  std::string thaw_signed_by(const std::vector<std::string>& names, const std::string& id,
                             const std::string& key) {
    officers::Statement says{.verb = officers::Verb::thaw, .host = "signer-1", .id = id};
    says.arguments = {{"scope", "key"}, {"name", key}};
    says.expires = clock_.wall() + std::chrono::minutes{15};
    return people_.signed_by(names, says);
  }
  void make(policy::Switches switches) {
    desk_.emplace(
        SwitchDesk::Parts{.clock = clock_,
                          .state = *state_,
                          .ledger = ledger_,
                          .officers = *officers_,
                          .registry = registry_,
                          .is_client = [](std::string_view name) { return name == "bot"; }},
        std::move(switches));
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void turn() {
    io_.restart();
    io_.run_for(milliseconds{30});
  }
  using Answer = std::shared_ptr<std::optional<Result<wire::Done>>>;
  static SwitchDesk::Reply<wire::Done> into(const Answer& answer) {
    return [answer](Result<wire::Done> came) { *answer = std::move(came); };
  }
  Answer ask_set(const wire::SetSwitch& ask) {
    Answer answer = std::make_shared<std::optional<Result<wire::Done>>>();
    desk_->set(kAdmin, ask, into(answer));
    return answer;
  }
  Answer ask_thaw(const wire::Thaw& ask) {
    Answer answer = std::make_shared<std::optional<Result<wire::Done>>>();
    desk_->thaw(kAdmin, ask, into(answer));
    return answer;
  }
  Result<wire::Done> wait(const Answer& answer) {
    run_until([&] { return answer->has_value(); });
    return **answer;
  }
  Result<wire::Done> set(const wire::SetSwitch& ask) { return wait(ask_set(ask)); }
  Result<wire::Done> thaw(const wire::Thaw& ask) { return wait(ask_thaw(ask)); }
  Result<wire::LeaseSet> lease(const wire::SetLease& ask) {
    std::optional<Result<wire::LeaseSet>> answer;
    desk_->lease(kAdmin, ask, [&](Result<wire::LeaseSet> came) { answer = std::move(came); });
    run_until([&] { return answer.has_value(); });
    return *answer;
  }
  Code code(venue::Class cls = venue::Class::trade) const {
    const Result<void> passes = desk_->check("bot", "k", cls);
    return passes ? Code{} : passes.error().code;
  }
  // Actions of the log, with their subjects.
  std::vector<std::string> recorded() {
    ledger_.flush();
    turn();
    std::vector<std::string> actions;
    log_.reset();
    (void)audit::Log::open(dir_ / "audit", [&](const audit::Record& record) {
      actions.push_back(record.action + " " + record.subject);
    });
    return actions;
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  bool hold_ = false;
  std::vector<std::function<void()>> held_;
  test::FullDisk disk_;
  keystore::Registry registry_ = *keystore::Registry::restore({});
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {}, disk_);
  std::unique_ptr<state::State> state_ =
      *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
        boost::asio::post(io_, [this, work = std::move(work)] {
          if (hold_) return held_.push_back(work);
          work();
        });
      });
  Ledger ledger_{io_, clock_, *log_};
  test::TestOfficers people_;
  std::optional<OfficersDesk> officers_{std::in_place,
                                        OfficersDesk::Parts{clock_, *state_, ledger_},
                                        std::optional<OfficersDesk::Place>{}, OfficersDesk::Used{}};
  std::optional<SwitchDesk> desk_{
      std::in_place,
      SwitchDesk::Parts{.clock = clock_,
                        .state = *state_,
                        .ledger = ledger_,
                        .officers = *officers_,
                        .registry = registry_,
                        .is_client = [](std::string_view name) { return name == "bot"; }},
      policy::Switches{}};
  const wire::SetSwitch freeze_{.kind = "key", .name = "k", .what = "frozen", .reason = "drill"};
  const wire::Thaw thaw_{.kind = "key", .name = "k", .reason = "over", .statement = {}};
};

TEST_F(SwitchDeskTest, AFreezeIsInForceBeforeItIsDurable) {
  hold_ = true;
  const Answer answer = ask_set(freeze_);
  EXPECT_EQ(code(), Code::frozen);
  run_until([this] { return !held_.empty(); });
  EXPECT_FALSE(answer->has_value()) << "whoever hears of it may rely on a restart";
  hold_ = false;
  for (const auto& work : std::exchange(held_, {})) work();
  EXPECT_THAT(**answer, Succeeds());
}

TEST_F(SwitchDeskTest, WhatIsSetIsThereAfterARestartAndWhatWasLiftedIsNot) {
  ASSERT_THAT(set(freeze_), Succeeds());
  ASSERT_THAT(set({.kind = "client", .name = "bot", .what = "cancel_only", .reason = ""}),
              Succeeds());
  restart();
  EXPECT_EQ(code(), Code::frozen);
  ASSERT_THAT(thaw(thaw_), Succeeds());
  EXPECT_EQ(code(), Code::cancel_only);
  restart();
  EXPECT_EQ(code(), Code::cancel_only);
  ASSERT_THAT(thaw({.kind = "client", .name = "bot", .reason = "", .statement = {}}), Succeeds());
  restart();
  EXPECT_EQ(code(), Code{});
  EXPECT_THAT(recorded(), ElementsAre("freeze key:k", "cancel_only client:bot", "thaw key:k",
                                      "thaw client:bot"));
}

TEST_F(SwitchDeskTest, RefusesWhatWouldStopNobodyOrCannotBe) {
  const std::vector<std::pair<wire::SetSwitch, Code>> rows{
      {{.kind = "key", .name = "desk-a.trdae", .what = "frozen", .reason = ""}, Code::denied},
      {{.kind = "client", .name = "k", .what = "frozen", .reason = ""}, Code::denied},
      {{.kind = "key", .name = "K", .what = "frozen", .reason = ""}, Code::usage},
      {{.kind = "key", .name = "", .what = "frozen", .reason = ""}, Code::usage},
      {{.kind = "all", .name = "k", .what = "frozen", .reason = ""}, Code::usage},
      {{.kind = "desk", .name = "k", .what = "frozen", .reason = ""}, Code::usage},
      {{.kind = "key", .name = "k", .what = "thawed", .reason = ""}, Code::usage},
      {{.kind = "key", .name = "k", .what = "", .reason = ""}, Code::usage},
      {{.kind = "key", .name = "k", .what = "frozen", .reason = "a\nb"}, Code::usage},
      {{.kind = "key", .name = "k", .what = "frozen", .reason = std::string(201, 'x')},
       Code::usage},
  };
  for (const auto& [ask, expected] : rows)
    EXPECT_THAT(set(ask), ErrorIs(expected)) << ask.kind << ask.name << ask.what;
  EXPECT_EQ(code(), Code{});
  EXPECT_THAT(recorded(), ElementsAre());
}

TEST_F(SwitchDeskTest, RefusesToLiftWhatIsNotSet) {
  ASSERT_THAT(set({.kind = "all", .name = "", .what = "frozen", .reason = ""}), Succeeds());
  EXPECT_THAT(thaw(thaw_), ErrorIs(Code::denied, HasSubstr("key:k")));
  EXPECT_THAT(lease({.kind = "all", .name = "", .seconds = 0, .statement = {}}),
              ErrorIs(Code::denied));
  EXPECT_EQ(code(), Code::frozen);
  EXPECT_THAT(recorded(), ElementsAre("freeze all"));
}

TEST_F(SwitchDeskTest, LiftsByTheWordOfOfficersWhereItIsDemanded) {
  demand_officers();
  ASSERT_THAT(set(freeze_), Succeeds()) << "who tightens needs nobody";
  wire::Thaw ask = thaw_;
  EXPECT_THAT(thaw(ask), ErrorIs(Code::approval_required, HasSubstr("thaw")));
  ask.statement = thaw_signed_by({"alice"}, "t-1", "k");
  EXPECT_THAT(thaw(ask), ErrorIs(Code::approval_required));
  ask.statement = thaw_signed_by({"alice", "bob"}, "t-2", "other");
  EXPECT_THAT(thaw(ask), ErrorIs(Code::denied));
  EXPECT_EQ(code(), Code::frozen);
  ask.statement = thaw_signed_by({"alice", "bob"}, "t-3", "k");
  ASSERT_THAT(thaw(ask), Succeeds());
  EXPECT_EQ(code(), Code{});
  ASSERT_THAT(set(freeze_), Succeeds());
  EXPECT_THAT(thaw(ask), ErrorIs(Code::denied, HasSubstr("used"))) << "once";
  EXPECT_EQ(code(), Code::frozen);
}

TEST_F(SwitchDeskTest, EndsALeaseByTheWordOfOfficersWhereItIsDemanded) {
  demand_officers();
  ASSERT_THAT(lease({.kind = "key", .name = "k", .seconds = 60, .statement = {}}), Succeeds());
  EXPECT_THAT(lease({.kind = "key", .name = "k", .seconds = 0, .statement = {}}),
              ErrorIs(Code::approval_required));
  EXPECT_THAT(lease({.kind = "key",
                     .name = "k",
                     .seconds = 0,
                     .statement = thaw_signed_by({"alice", "bob"}, "t-1", "k")}),
              Succeeds());
}

TEST_F(SwitchDeskTest, RefusesAStatementInsteadOfIgnoringIt) {
  ASSERT_THAT(set(freeze_), Succeeds());
  wire::Thaw stated = thaw_;
  stated.statement = "hsm-signer statement v1";
  EXPECT_THAT(thaw(stated), ErrorIs(Code::denied, HasSubstr("statement")));
  EXPECT_THAT(lease({.kind = "key", .name = "k", .seconds = 60, .statement = "x"}),
              ErrorIs(Code::denied));
  EXPECT_EQ(code(), Code::frozen);
}

TEST_F(SwitchDeskTest, LoosensNothingThatCannotBeRecorded) {
  ASSERT_THAT(set(freeze_), Succeeds());
  disk_.full = true;
  EXPECT_THAT(thaw(thaw_), ErrorIs(Code::audit_unavailable));
  EXPECT_EQ(code(), Code::frozen);
  restart();
  EXPECT_EQ(code(), Code::frozen);
}

TEST_F(SwitchDeskTest, AFreezeThatComesWhileAThawIsWrittenStays) {
  ASSERT_THAT(set(freeze_), Succeeds());
  hold_ = true;
  const Answer thawed = ask_thaw(thaw_);
  run_until([this] { return !held_.empty(); });  // The note is gone, nobody has heard of it.
  const Answer frozen = ask_set(freeze_);
  hold_ = false;
  for (const auto& work : std::exchange(held_, {})) work();
  EXPECT_THAT(wait(thawed), ErrorIs(Code::denied, HasSubstr("set again meanwhile")));
  EXPECT_THAT(wait(frozen), Succeeds());
  EXPECT_EQ(code(), Code::frozen);
  restart();
  EXPECT_EQ(code(), Code::frozen);
  EXPECT_THAT(recorded(),
              ElementsAre("freeze key:k", "thaw key:k", "freeze key:k", "thaw_failed key:k"));
}

TEST_F(SwitchDeskTest, ALeaseIsGrantedRenewedAndEnded) {
  const wire::SetLease ten{.kind = "key", .name = "k", .seconds = 600, .statement = {}};
  ASSERT_THAT(lease(ten), Succeeds());
  clock_.advance(minutes{9});
  EXPECT_EQ(lease(ten)->until, rfc3339(clock_.wall() + minutes{10}));
  clock_.advance(minutes{9});
  EXPECT_EQ(code(), Code{});
  clock_.advance(minutes{1});
  EXPECT_EQ(code(venue::Class::session), Code::cancel_only);
  EXPECT_EQ(code(venue::Class::read), Code::cancel_only);
  EXPECT_EQ(code(venue::Class::cancel), Code{});
  restart();
  EXPECT_EQ(code(), Code::cancel_only) << "a restart renews nothing";
  EXPECT_EQ(lease({.kind = "key", .name = "k", .seconds = 0, .statement = {}})->until, "");
  EXPECT_EQ(code(), Code{});
  restart();
  EXPECT_EQ(code(), Code{});
  EXPECT_THAT(recorded(), ElementsAre("lease key:k", "lease key:k", "lease_end key:k"));
}

TEST_F(SwitchDeskTest, RefusesALeaseOfMoreThanSevenDays) {
  EXPECT_THAT(lease({.kind = "all", .name = "", .seconds = 7 * 86400 + 1, .statement = {}}),
              ErrorIs(Code::usage));
  EXPECT_THAT(lease({.kind = "key", .name = "nobody", .seconds = 60, .statement = {}}),
              ErrorIs(Code::denied));
  EXPECT_THAT(lease({.kind = "all", .name = "", .seconds = 7 * 86400, .statement = {}}),
              Succeeds());
}

TEST_F(SwitchDeskTest, ListsInPages) {
  ASSERT_THAT(set(freeze_), Succeeds());
  ASSERT_THAT(lease({.kind = "all", .name = "", .seconds = 60, .statement = {}}), Succeeds());
  const wire::SwitchList all = desk_->list({.offset = 0});
  ASSERT_EQ(all.total, 2U);
  EXPECT_EQ(all.switches[0].kind, "key");
  EXPECT_EQ(all.switches[0].name, "k");
  EXPECT_EQ(all.switches[0].reason, "drill");
  EXPECT_EQ(all.switches[1].kind, "all");
  EXPECT_EQ(all.switches[1].what, "");
  EXPECT_EQ(desk_->list({.offset = 1}).switches.size(), 1U);
  EXPECT_TRUE(desk_->list({.offset = 2}).switches.empty());
}

TEST_F(SwitchDeskTest, RefusesToStartOnANoteThatItDidNotWrite) {
  const std::string good = "frozen 2026-11-25T19:00:00.000000Z 0 ";
  const auto restored = [&](std::vector<state::Note> switches, std::vector<state::Note> leases) {
    return SwitchDesk::restore(switches, leases, desk_->now());
  };
  EXPECT_THAT(restored({{"all", good}}, {}), Succeeds());
  EXPECT_THAT(restored({{"everybody", good}}, {}), ErrorIs(Code::state_unavailable));
  EXPECT_THAT(restored({{"all", "frozen"}}, {}), ErrorIs(Code::state_unavailable));
  EXPECT_THAT(restored({}, {{"all", good}}), ErrorIs(Code::state_unavailable));
}

}  // namespace
}  // namespace hsm::service
