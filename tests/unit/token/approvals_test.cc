// What officers have to have said, word for word, before the token host signs above the ceiling.
#include "hsm_signer/token/approvals.h"

#include <functional>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_officers.h"

namespace hsm::token {
namespace {

using namespace std::chrono_literals;
using officers::Statement;
using officers::Verb;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kPayload =
    R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1q","amount":"1"})";

class ApprovalsTest : public ::testing::Test {
 protected:
  ApprovalsTest() {
    ceiling_.environment = Environment::production;
    ceiling_.officers = demanded_.quorum;
  }
  Statement approval(const std::string& id = "r-17") const {
    return test::approval(id, std::string{kPayload}, clock_.wall());
  }
  Result<officers::Stated> judge(const std::string& bundle) {
    return approvals_.judge(demanded_, ceiling_, "desk", bundle, clock_.wall());
  }

  TempDir dir_;
  FakeClock clock_;
  test::TestOfficers people_;
  Ceiling ceiling_;
  Demanded demanded_{{"officers", 2}, venue::Class::move, std::string{kPayload}};
  Approvals approvals_{{.host = "signer-1",
                        .token = "desk",
                        .officers = *officers::AllowedOfficers::parse(
                            people_.file({"alice", "bob", "carol"}), "allowed_officers")},
                       *SpentStatements::open(dir_.path())};
};

TEST_F(ApprovalsTest, TakeWhatTwoHaveSaidOnce) {
  const std::string bundle = people_.signed_by({"bob", "alice"}, approval());
  const auto stated = judge(bundle);
  ASSERT_THAT(stated, Succeeds());
  EXPECT_THAT(stated->officers, ElementsAre("alice", "bob"));
  EXPECT_THAT(approvals_.spend(stated->statement, clock_.wall()), Succeeds());
  EXPECT_THAT(judge(bundle), Succeeds()) << "judging alone spends nothing, nor does it look";
  EXPECT_THAT(approvals_.spend(stated->statement, clock_.wall()),
              ErrorIs(Code::denied, HasSubstr("used before")));
}

TEST_F(ApprovalsTest, SayWhoIsNeededWhereNobodyHasSpoken) {
  EXPECT_THAT(judge(""), ErrorIs(Code::approval_required,
                                 AllOf(HasSubstr("class move"),
                                       HasSubstr("2 distinct officers of group \"officers\""))));
}

TEST_F(ApprovalsTest, RefuseWhatIsAboutAnythingElse) {
  struct Row {
    const char* says;
    std::function<void(Statement&)> change;
  };
  const auto payload = [](const char* from, const char* to) {
    return [=](Statement& s) {
      s.payload.replace(s.payload.find(from), std::string_view{from}.size(), to);
    };
  };
  const Row rows[] = {
      {"another host than signer-1", [](Statement& s) { s.host = "signer-2"; }},
      {"another token than desk", [](Statement& s) { s.arguments["token"] = "spare"; }},
      {"another key than desk", [](Statement& s) { s.key = "desk-b"; }},
      {"another environment than production", [](Statement& s) { s.environment = "sandbox"; }},
      {"another payload", payload("\"1\"", "\"2\"")},
      {"another payload", payload("\"1\"", "1")},
      {"another payload", payload("\"1\"", "\"1.0\"")},
      {"another payload", payload("bc1q", "bc1p")},
      {"another payload", payload("bitcoin/btc", "ethereum/eth")},
      {"another payload", payload(",\"amount\"", ",\"memo\":\"1\",\"amount\"")},
      {"another payload",
       payload("\"address\":\"bc1q\",\"amount\":\"1\"", "\"amount\":\"1\",\"address\":\"bc1q\"")},
      {"another payload", payload("\"}", "\"} }")},
  };
  for (const Row& row : rows) {
    Statement statement = approval();
    row.change(statement);
    EXPECT_THAT(judge(people_.signed_by({"alice", "bob"}, statement)),
                ErrorIs(Code::denied, HasSubstr(row.says)))
        << row.says;
  }
}

TEST_F(ApprovalsTest, RefuseEveryOtherVerb) {
  Statement destroy = approval();
  destroy.verb = Verb::destroy;
  destroy.client.clear();
  destroy.payload.clear();
  destroy.policy_serial = 0;
  destroy.arguments = {{"version", "1"}};
  EXPECT_THAT(judge(people_.signed_by({"alice", "bob"}, destroy)),
              ErrorIs(Code::denied, HasSubstr("another verb than approve")));
}

TEST_F(ApprovalsTest, RefuseWhatTooFewHaveSaid) {
  EXPECT_THAT(judge(people_.signed_by({}, approval())), ErrorIs(Code::invalid_payload));
  EXPECT_THAT(judge(people_.signed_by({"alice"}, approval())), ErrorIs(Code::approval_required));
  EXPECT_THAT(judge(people_.signed_by({"alice", "alice"}, approval())),
              ErrorIs(Code::approval_required));
  EXPECT_THAT(judge(people_.signed_by({"alice", "mallory"}, approval())),
              ErrorIs(Code::approval_required, HasSubstr("nobody's key")));
  Statement asked_by_bob = approval();
  asked_by_bob.requester = "bob";
  EXPECT_THAT(judge(people_.signed_by({"alice", "bob"}, asked_by_bob)),
              ErrorIs(Code::approval_required, HasSubstr("bob is the requester")));
  EXPECT_THAT(judge("approved by both officers"), ErrorIs(Code::invalid_payload));
}

TEST_F(ApprovalsTest, EndWithTheStatementBeforeJudgingAndBeforeSpending) {
  const Statement statement = approval();
  const std::string bundle = people_.signed_by({"alice", "bob"}, statement);
  clock_.advance(15min - 1us);
  EXPECT_THAT(judge(bundle), Succeeds());
  clock_.advance(1us);
  EXPECT_THAT(judge(bundle), ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_THAT(approvals_.spend(statement, clock_.wall()),
              ErrorIs(Code::denied, HasSubstr("expired")));
}

TEST_F(ApprovalsTest, SpendNoStatementThatLivesLongerThanADay) {
  Statement statement = approval();
  statement.expires = clock_.wall() + 24h + 1us;
  EXPECT_THAT(approvals_.spend(statement, clock_.wall()),
              ErrorIs(Code::denied, HasSubstr("lives too long")));
}

TEST_F(ApprovalsTest, TakeNobodysWordWhereNoCeilingDemandsOfficers) {
  Approvals nobody;
  EXPECT_THAT(nobody.judge(demanded_, ceiling_, "desk",
                           people_.signed_by({"alice", "bob"}, approval()), clock_.wall()),
              ErrorIs(Code::approval_required));
  EXPECT_THAT(nobody.spend(approval(), clock_.wall()), ErrorIs(Code::internal));
}

class OfficersFile : public ::testing::Test {
 protected:
  OfficersFile() {
    config_.mode = Mode::development;
    config_.file = "desk.toml";
    config_.state_dir = dir_.path();
    config_.token = "desk";
  }
  void write(const std::string& text, mode_t mode) const {
    EXPECT_THAT(write_file_atomic(config_.allowed_officers, as_bytes(text), mode), Succeeds());
  }
  TempDir dir_;
  Config config_;
  Ceilings demanding_ = *Ceilings::parse(
      "version = 1\n[[key]]\nlabel = \"desk\"\nenvironment = \"production\"\nclasses = "
      "[\"move\"]\nofficers = { group = \"officers\", need = 2 }\n",
      "ceilings.toml", Mode::production);
  Ceilings content_ = *Ceilings::parse("version = 1\n", "ceilings.toml", Mode::production);
};

TEST_F(OfficersFile, IsNeededWhereACeilingDemandsOfficersAndElseNotLookedAt) {
  EXPECT_THAT(load_officers(config_, content_), Succeeds());
  EXPECT_THAT(load_officers(config_, demanding_),
              ErrorIs(Code::usage, HasSubstr("desk.toml needs a line as allowed_officers = ")));
  EXPECT_THAT(Approvals::open(config_, demanding_), ErrorIs(Code::usage));
  config_.allowed_officers = dir_ / "absent";
  EXPECT_THAT(load_officers(config_, content_), Succeeds());
  EXPECT_THAT(load_officers(config_, demanding_), ErrorIs(Code::usage, HasSubstr("absent")));
}

TEST_F(OfficersFile, IsReadAsStrictlyAsTheCeilings) {
  config_.allowed_officers = dir_ / "allowed_officers";
  test::TestOfficers people;
  write(people.file({"alice", "bob"}), 0644);
  const auto read = load_officers(config_, demanding_);
  ASSERT_THAT(read, Succeeds());
  EXPECT_EQ(read->all().size(), 2U);
  EXPECT_THAT(Approvals::open(config_, demanding_), Succeeds());
  for (const mode_t mode : {mode_t{0664}, mode_t{0666}}) {
    write(people.file({"alice"}), mode);
    EXPECT_THAT(load_officers(config_, demanding_),
                ErrorIs(Code::usage, HasSubstr("others than its owner can write")));
  }
  write("version = 1\nofficer = 1\n", 0644);
  EXPECT_THAT(load_officers(config_, demanding_),
              ErrorIs(Code::usage, HasSubstr("allowed_officers:2")));
}

}  // namespace
}  // namespace hsm::token
