// What officers have to state before a policy comes into force, and that it is used once.
#include "hsm_signer/service/policy_gate.h"

#include <gmock/gmock.h>

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

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Names = std::vector<std::string>;

constexpr Peer kAdmin{.uid = 12, .gid = 13, .pid = 14};

class GateTest : public ::testing::Test {
 protected:
  void SetUp() override { restart(); }
  void TearDown() override {
    gate_.reset();
    desk_.reset();
    state_.reset();
    io_.restart();
    io_.poll();
  }
  // As a new start of the daemon on the same state.
  void restart() {
    OfficersDesk::Used used;
    ASSERT_THAT(
        used.read(notes(OfficersDesk::kNotes), notes(OfficersDesk::kForgotten), clock_.wall()),
        Succeeds());
    auto accepted = PolicyGate::restore(notes(kPolicyNotes));
    ASSERT_THAT(accepted, Succeeds());
    desk_.emplace(OfficersDesk::Parts{clock_, *state_, ledger_}, place_, std::move(used));
    gate_.emplace(*state_, *desk_, *std::move(accepted));
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  std::vector<state::Note> notes(std::string_view kind) {
    std::optional<std::vector<state::Note>> found;
    state_->notes(std::string{kind},
                  [&](Result<std::vector<state::Note>> got) { found = *std::move(got); });
    run_until([&] { return found.has_value(); });
    return *found;
  }
  officers::Statement statement(const std::string& id, std::uint64_t serial,
                                const std::string& sha256) const {
    officers::Statement made{.verb = officers::Verb::policy, .host = "signer-1", .id = id};
    made.policy_serial = serial;
    made.arguments = {{"sha256", sha256}};
    made.expires = clock_.wall() + minutes{15};
    return made;
  }
  PolicyFile policy(std::uint64_t serial, const std::string& more = {}) {
    std::ofstream{dir_ / "policy.toml"}
        << "version = 1\n"
        << (serial == 0 ? "" : "serial = " + std::to_string(serial) + "\n") << "# " << more << "\n";
    return *PolicyFile::load(dir_ / "policy.toml", policy::files_resolver());
  }
  Result<PolicyGate::Passed> pass(const PolicyFile& file, const std::string& bundle = {}) {
    std::optional<Result<PolicyGate::Passed>> answer;
    gate_->pass(kAdmin, file, bundle,
                [&](Result<PolicyGate::Passed> came) { answer = std::move(came); });
    run_until([&] { return answer.has_value(); });
    return *answer;
  }
  std::string bundle(const std::string& id, const PolicyFile& file,
                     const Names& names = {"alice", "bob"}) {
    return officers_.signed_by(names, statement(id, file.rules->serial(), file.sha256));
  }

  TempDir dir_;
  FakeClock clock_{hours{500'000}};
  boost::asio::io_context io_;
  test::TestOfficers officers_;
  std::optional<OfficersDesk::Place> place_ = OfficersDesk::Place{
      "signer-1",
      *officers::AllowedOfficers::parse(officers_.file({"alice", "bob", "carol"}), "officers"),
      {"officers", 2}};
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {});
  Ledger ledger_{io_, clock_, *log_};
  std::unique_ptr<state::State> state_ = *state::State::open(
      dir_ / "state/state.db",
      [this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); });
  std::optional<OfficersDesk> desk_;
  std::optional<PolicyGate> gate_;
};

TEST_F(GateTest, APolicyThatOfficersStatedPassesAndAgainAfterARestart) {
  const PolicyFile file = policy(1);
  const auto passed = pass(file, bundle("r-1", file));
  ASSERT_THAT(passed, Succeeds());
  EXPECT_EQ(passed->statement, "r-1");
  EXPECT_EQ(passed->officers, "alice,bob");
  const auto again = pass(file);
  ASSERT_THAT(again, Succeeds());
  EXPECT_EQ(again->statement, "");
  restart();
  EXPECT_THAT(pass(file), Succeeds());
}

TEST_F(GateTest, TheStatementMayLieBesideThePolicy) {
  const PolicyFile file = policy(1);
  std::ofstream{dir_ / "policy.toml.statement"} << bundle("r-1", file);
  EXPECT_THAT(pass(file), Succeeds());
  const PolicyFile next = policy(2);
  EXPECT_THAT(pass(next), ErrorIs(Code::denied)) << "that of the policy before";
}

TEST_F(GateTest, AnUnstatedPolicyIsToldWhatItNeeds) {
  const PolicyFile file = policy(1);
  EXPECT_THAT(pass(file),
              ErrorIs(Code::approval_required,
                      AllOf(HasSubstr("2 distinct officers of group \"officers\""),
                            HasSubstr("policy --host signer-1 --serial 1 --sha256 " + file.sha256),
                            HasSubstr("policy.toml.statement"))));
  EXPECT_THAT(pass(file, bundle("r-1", file, {"alice"})), ErrorIs(Code::approval_required));
}

TEST_F(GateTest, TheSerialRises) {
  const PolicyFile five = policy(5);
  ASSERT_THAT(pass(five, bundle("r-1", five)), Succeeds());
  for (const std::uint64_t serial : {0, 4, 5}) {
    const PolicyFile file = policy(serial, "other");
    const auto passed = pass(file, serial == 0 ? "x" : bundle("r-2", file));
    EXPECT_THAT(passed, ErrorIs(Code::denied, HasSubstr("serial that rises"))) << serial;
  }
  restart();
  const PolicyFile four = policy(4, "after a restart");
  EXPECT_THAT(pass(four, bundle("r-3", four)), ErrorIs(Code::denied));
  const PolicyFile six = policy(6);
  EXPECT_THAT(pass(six, bundle("r-4", six)), Succeeds());
  EXPECT_THAT(pass(five, bundle("r-5", five)), ErrorIs(Code::denied)) << "the old one is no more";
}

TEST_F(GateTest, AStatementOfAnotherFileOrUsedBeforeCountsForNothing) {
  const PolicyFile file = policy(1);
  const PolicyFile other = policy(1, "one letter more");
  EXPECT_THAT(pass(file, bundle("r-1", other)), ErrorIs(Code::denied));
  ASSERT_THAT(pass(file, bundle("r-1", file)), Succeeds());
  const PolicyFile next = policy(2);
  EXPECT_THAT(pass(next, bundle("r-1", next)), ErrorIs(Code::denied)) << "an id once";
}

TEST_F(GateTest, WithoutOfficersEveryPolicyPassesAndNoStatementDoes) {
  place_.reset();
  restart();
  EXPECT_THAT(pass(policy(0)), Succeeds());
  EXPECT_THAT(pass(policy(1), "x"), ErrorIs(Code::denied, HasSubstr("nobody would look at")));
}

TEST_F(GateTest, WhatWasAcceptedIsNotGuessedFromADamagedNote) {
  const std::string sha256(64, 'a');
  for (const std::string& value : {std::string{}, std::string{"aa 1"}, sha256, sha256 + " 1x"})
    EXPECT_THAT(PolicyGate::restore({{kAcceptedNote, value}}), ErrorIs(Code::state_unavailable))
        << value;
  EXPECT_THAT(PolicyGate::restore({{"else", sha256 + " 1"}}), ErrorIs(Code::state_unavailable));
  EXPECT_THAT(PolicyGate::restore({{kAcceptedNote, sha256 + " 18"}}), Succeeds());
}

TEST_F(GateTest, NeedsStatementsForThisHostAndInTime) {
  const PolicyFile file = policy(1);
  officers::Statement said = statement("r-1", 1, file.sha256);
  said.host = "another-host";
  EXPECT_THAT(pass(file, officers_.signed_by({"alice", "bob"}, said)), ErrorIs(Code::denied));
  said.host = "signer-1";
  said.policy_serial = 2;
  EXPECT_THAT(pass(file, officers_.signed_by({"alice", "bob"}, said)), ErrorIs(Code::denied));
  said.policy_serial = 1;
  const std::string right = officers_.signed_by({"alice", "bob"}, said);
  clock_.advance(minutes{15});
  EXPECT_THAT(pass(file, right), ErrorIs(Code::denied));
}

}  // namespace
}  // namespace hsm::service
