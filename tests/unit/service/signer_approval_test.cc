// A request that officers have to approve, from the ask to the frame that its worker gets.
#include "tests/support/test_officers.h"
#include "tests/unit/service/signer_fixture.h"

namespace hsm::service {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kPolicy = R"(version = 1
serial = 4
[[client]]
name = "treasury"
uid = "treasury"
officer = "carol"
[[rule]]
name = "withdrawals"
client = "treasury"
key = "env:sandbox"
allow = ["/v2/withdraw/{network}/{ticker}"]
window = [ { per = "24h", max_count = 1 } ]
approvals = { group = "officers", need = 2, within = "15m" }
)";
const std::string kWithdrawal =
    R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1qtreasury","amount":"1.5"})";
const std::string kOther =
    R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1qtreasury","amount":"2"})";
constexpr Peer kAdmin{.uid = 0, .gid = 0, .pid = 1};
constexpr Peer kClient{.uid = 7, .gid = 7, .pid = 1};

// First among the bases: the officers are there before the signer is.
struct People {
  test::TestOfficers people_;
  OfficersDesk::Place place() {
    std::string file = people_.file({"alice", "bob", "carol", "dave"});
    const std::size_t of_dave = file.rfind("\"officers\"");
    file.replace(of_dave, 10, "\"clerks\"");
    return {"signer-1", *officers::AllowedOfficers::parse(file, "officers"), {"officers", 2}};
  }
};

class SignerApprovalTest : private People, public SignerTest {
 protected:
  SignerApprovalTest() : SignerTest{kPolicy, place()} {}

  // Refused until officers have signed; the id under which it waits.
  std::string ask(const std::string& payload = kWithdrawal) {
    const auto answer = sign(0, {}, payload);
    EXPECT_TRUE(answer->has_value());
    if (!answer->has_value()) return {};
    EXPECT_THAT(**answer, ErrorIs(Code::approval_required));
    return (**answer).has_value() ? std::string{} : (**answer).error().approval;
  }
  wire::ApprovalItem item(const std::string& id) {
    const auto list = approvals_.list({.id = id, .offset = 0});
    EXPECT_THAT(list, Succeeds());
    return list ? list->approvals.at(0) : wire::ApprovalItem{};
  }
  std::string bundle(const std::string& id, const std::vector<std::string>& names) {
    const auto statement = officers::Statement::parse(item(id).text);
    EXPECT_THAT(statement, Succeeds());
    return people_.signed_by(names, *statement);
  }
  Result<wire::ApprovalItem> submit(const std::string& id, const std::string& bundle) {
    std::optional<Result<wire::ApprovalItem>> came;
    approvals_.submit(kAdmin, {.id = id, .bundle = bundle}, [&](auto reply) { came = reply; });
    run_until([&] { return came.has_value(); });
    return *came;
  }
  std::string approved(const std::string& payload = kWithdrawal) {
    std::string id = ask(payload);
    EXPECT_THAT(submit(id, bundle(id, {"alice", "bob"})), Succeeds());
    return id;
  }
  std::vector<state::Note> notes(std::string_view kind) {
    std::optional<Result<std::vector<state::Note>>> came;
    state_->notes(std::string{kind}, [&](auto result) { came = std::move(result); });
    run_until([&] { return came.has_value(); });
    return **came;
  }
  std::string payload_of(const Answer& answer) {
    return *venue::decode_payload_base64((**answer).payload_base64);
  }
};

TEST_F(SignerApprovalTest, WaitsUnderOneIdAndSaysForWhom) {
  const auto first = sign(0, {}, kWithdrawal);
  ASSERT_TRUE(first->has_value());
  EXPECT_THAT(**first, ErrorIs(Code::approval_required,
                               AllOf(HasSubstr("\"withdrawals\" wants 2 of group \"officers\""),
                                     HasSubstr((**first).error().approval))));
  EXPECT_EQ(ask(), (**first).error().approval);
  EXPECT_NE(ask(kOther), (**first).error().approval);
  EXPECT_EQ(approvals_.waiting(), 2U);
}

TEST_F(SignerApprovalTest, ShowsOfficersAllThatWillBeSigned) {
  const auto statement = officers::Statement::parse(item(ask()).text);
  ASSERT_THAT(statement, Succeeds());
  EXPECT_EQ(statement->host, "signer-1");
  EXPECT_EQ(statement->client, "treasury");
  EXPECT_EQ(statement->requester, "carol");
  EXPECT_EQ(statement->policy_serial, 4U);
  EXPECT_EQ(statement->arguments.at("token"), "t");
  EXPECT_THAT(statement->payload, HasSubstr("\"clientTransferId\":\""));
}

TEST_F(SignerApprovalTest, SignsWhatTwoOfficersHaveSignedAndOnce) {
  const std::string id = ask();
  ASSERT_THAT(submit(id, bundle(id, {"alice"})), Succeeds());
  EXPECT_EQ(ask(), id) << "one is not two";
  ASSERT_THAT(submit(id, bundle(id, {"bob"})), Succeeds());
  EXPECT_EQ(item(id).state, "approved");
  const std::string payload = officers::Statement::parse(item(id).text)->payload;
  const auto answer = sign(0, {}, kWithdrawal);
  const std::uint64_t frame = asked();
  EXPECT_THAT(notes(OfficersDesk::kNotes), ::testing::SizeIs(1)) << "durable before the frame";
  const auto request = worker_.last<wire::MacRequest>();
  ASSERT_THAT(request, Succeeds());
  EXPECT_THAT(request->statements, HasSubstr("id: " + id));
  EXPECT_EQ(item(id).state, "releasing");
  worker_.answer_mac(frame, 0x5a);
  run_until([&] { return answer->has_value(); });
  ASSERT_THAT(**answer, Succeeds());
  std::string shown;
  venue::Payload::parse_verbatim(payload_of(*answer))->build_without_nonce(shown);
  EXPECT_EQ(shown, payload) << "what was signed is what officers saw";
  EXPECT_EQ(approvals_.waiting(), 0U);
  EXPECT_THAT(**sign(0, {}, kWithdrawal), ErrorIs(Code::rate_limited)) << "its window is used up";
}

TEST_F(SignerApprovalTest, TakesNoSignatureThatWouldNotCount) {
  const std::string id = ask();
  const std::string text = item(id).text;
  const std::string other = bundle(ask(kOther), {"alice"});
  const std::tuple<std::string, Code, const char*> rows[] = {
      {bundle(id, {"carol"}), Code::denied, "cannot approve"},
      {bundle(id, {"dave"}), Code::denied, "dave is not in"},
      {bundle(id, {"mallory"}), Code::denied, "no officer's key"},
      {bundle(id, {"alice", "mallory"}), Code::denied, "no officer's key"},
      {other, Code::denied, "another text"},
      {text + other.substr(other.find("-----BEGIN")), Code::denied, ""},
      {text, Code::invalid_payload, "nobody has signed"},
      {"", Code::invalid_payload, ""},
  };
  for (const auto& [given, code, says] : rows)
    EXPECT_THAT(submit(id, given), ErrorIs(code, HasSubstr(says)));
  ASSERT_THAT(submit(id, bundle(id, {"alice"})), Succeeds());
  ASSERT_THAT(submit(id, bundle(id, {"alice"})), Succeeds()) << "she may say it twice";
  EXPECT_EQ(item(id).officers, "alice");
  EXPECT_EQ(ask(), id) << "and counts once";
  EXPECT_THAT(submit("a-0", other), ErrorIs(Code::denied, HasSubstr("no such")));
}

TEST_F(SignerApprovalTest, AnotherAmountIsAnotherRequest) {
  const std::string id = approved();
  EXPECT_NE(ask(kOther), id);
  EXPECT_FALSE(worker_.has_frame());
}

TEST_F(SignerApprovalTest, WhatIsRejectedIsGone) {
  const std::string id = approved();
  EXPECT_THAT(approvals_.list({.id = "a-none", .offset = 0}), ErrorIs(Code::denied));
  std::optional<Result<wire::Done>> came;
  approvals_.reject(kAdmin, {.id = id, .reason = "no\nway"}, [&](auto reply) { came = reply; });
  ASSERT_TRUE(came.has_value());
  EXPECT_THAT(*came, ErrorIs(Code::invalid_payload));
  came.reset();
  approvals_.reject(kAdmin, {.id = id, .reason = "not asked for"}, [&](auto r) { came = r; });
  run_until([&] { return came.has_value(); });
  EXPECT_THAT(*came, Succeeds());
  EXPECT_THAT(notes(ApprovalDesk::kNotes), IsEmpty());
  EXPECT_NE(ask(), id);
}

TEST_F(SignerApprovalTest, IsJudgedAgainWhenItIsReleased) {
  approved();
  approved(kOther);
  const auto first = sign(0, {}, kWithdrawal);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return first->has_value(); });
  ASSERT_THAT(**first, Succeeds());
  const auto second = sign(0, {}, kOther);
  ASSERT_TRUE(second->has_value());
  EXPECT_THAT(**second, ErrorIs(Code::rate_limited)) << "the window is full meanwhile";
}

TEST_F(SignerApprovalTest, ARetiredKeySignsNothingThatWasApproved) {
  approved();
  apply(registry_.retire("k", 1, clock_.wall()));
  const auto answer = sign(0, {}, kWithdrawal);
  ASSERT_TRUE(answer->has_value());
  EXPECT_THAT(**answer, ErrorIs(Code::key_not_active));
}

TEST_F(SignerApprovalTest, AnotherVersionOfTheKeyNeedsAnotherApproval) {
  const std::string id = approved();
  keystore::NewVersion next;
  next.key = {"k"};
  next.token = {"t"};
  next.api_key_id = {"account-next"};
  next.environment = Environment::sandbox;
  next.roles = venue::kFundManager;
  next.nonce_form = nonce::Form::signer_ms;
  next.cka_id = 2;
  apply(registry_.register_version(next, clock_.wall()));
  apply(registry_.activate("k", 2, {}, clock_.wall()));
  EXPECT_NE(ask(), id);
  EXPECT_THAT(approvals_.list({.id = id, .offset = 0}), ErrorIs(Code::denied));
}

TEST_F(SignerApprovalTest, WaitsAgainWithWhatTheTokenHostSaid) {
  const std::string id = approved();
  const auto first = sign(0, {}, kWithdrawal);
  worker_.send(
      wire::Type{0x7f}, asked(),
      wire::Failure{
          .code = "approval_required", .sentence = "3 officers are needed", .approval = {}});
  run_until([&] { return first->has_value(); });
  EXPECT_THAT(**first, ErrorIs(Code::approval_required, HasSubstr("3 officers")));
  EXPECT_THAT(item(id).remark, HasSubstr("3 officers are needed"));
  turn();
  EXPECT_THAT(notes(OfficersDesk::kNotes), IsEmpty()) << "it may be used again";
}

TEST_F(SignerApprovalTest, KeepsItsApprovalIfNoWorkerEverHadIt) {
  const std::string id = approved();
  bool there = true;
  const auto gone = sign(
      0, [&] { return there; }, kWithdrawal);
  there = false;
  run_until([&] { return gone->has_value(); });
  EXPECT_THAT(**gone, ErrorIs(Code::deadline_exceeded));
  EXPECT_EQ(item(id).state, "approved");
  const auto again = sign(0, {}, kWithdrawal);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return again->has_value(); });
  EXPECT_THAT(**again, Succeeds()) << "the window was given back too";
}

TEST_F(SignerApprovalTest, AWorkerThatDiesWithTheFrameTakesTheApprovalAlong) {
  const std::string id = approved();
  const auto lost = sign(0, {}, kWithdrawal);
  asked();
  worker_.hang_up();
  run_until([&] { return lost->has_value(); });
  EXPECT_THAT(**lost, Not(Succeeds()));
  EXPECT_THAT(approvals_.list({.id = id, .offset = 0}), ErrorIs(Code::denied));
}

TEST_F(SignerApprovalTest, IsReleasedToOneAskerAtATime) {
  const std::string id = approved();
  const auto first = sign(0, {}, kWithdrawal);
  const auto second = sign(0, {}, kWithdrawal);
  ASSERT_TRUE(second->has_value());
  EXPECT_FALSE((*second)->has_value());
  std::optional<Result<wire::Done>> came;
  approvals_.reject(kAdmin, {.id = id, .reason = "stop"}, [&](auto reply) { came = reply; });
  ASSERT_TRUE(came.has_value());
  EXPECT_THAT(*came, ErrorIs(Code::denied, HasSubstr("too late")));
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return first->has_value(); });
  EXPECT_THAT(**first, Succeeds());
}

TEST_F(SignerApprovalTest, OutlivesTheSignerUnlessItsStatementWasUsed) {
  const std::string id = approved();
  const std::string other = approved(kOther);
  const auto answer = sign(0, {}, kOther);
  asked();  // Killed here, the statement is used and the frame may be with the worker.
  const auto kept = notes(ApprovalDesk::kNotes);
  ApprovalDesk next{{clock_, *state_, ledger_, officers_}};
  next.load(kept);
  EXPECT_EQ(next.waiting(), 1U);
  const auto list = next.list({.id = id, .offset = 0});
  ASSERT_THAT(list, Succeeds());
  EXPECT_EQ(list->approvals[0].state, "approved");
  EXPECT_EQ(list->approvals[0].officers, "alice,bob");
  next.load({{"a-damaged", "AAAA"}});
  EXPECT_EQ(next.waiting(), 1U);
  const audit::Record said = records().back();
  EXPECT_EQ(said.action, "approval_void");
  EXPECT_EQ(said.officers, "alice,bob");
  EXPECT_THAT(said.reason, HasSubstr("there may be a signature, look at the exchange"));
}

TEST_F(SignerApprovalTest, SaysThatNobodyCanApproveWhereThereAreNoOfficers) {
  OfficersDesk off{{clock_, *state_, ledger_}, {}, {}};
  ApprovalDesk desk{{clock_, *state_, ledger_, off}};
  Signer signer{{.clock = clock_,
                 .policy = policy_,
                 .switches = switches_,
                 .registry = registry_,
                 .nonces = nonces_,
                 .pool = pool_,
                 .ledger = ledger_,
                 .deadlines = deadlines_,
                 .approvals = desk,
                 .deadline = std::chrono::seconds{30}}};
  Answer answer;
  signer.sign({.who = kClient, .key = "k", .payload = kWithdrawal, .reference = {}},
              [&](auto came) { answer = std::move(came); });
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(*answer, ErrorIs(Code::approval_required, HasSubstr("no [officers]")));
  EXPECT_EQ((*answer).error().approval, "");
}

TEST_F(SignerApprovalTest, RecordsWhatBecameOfIt) {
  const std::string id = approved();
  const auto answer = sign(0, {}, kWithdrawal);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return answer->has_value(); });
  std::vector<std::string> actions;
  for (const audit::Record& record : records())
    if (record.kind == audit::Kind::admin) {
      actions.push_back(record.action);
      EXPECT_EQ(record.statement, id);
    }
  EXPECT_THAT(actions,
              ::testing::ElementsAre("approval_asked", "approval_signed", "approval_signed",
                                     "statement_used", "approval_released"));
}

// ---- Idempotency ----

TEST_F(SignerApprovalTest, TellsARepetitionByItsReference) {
  const auto first = sign(0, {}, kWithdrawal, "payroll-1");
  const auto again = sign(0, {}, kWithdrawal, "payroll-1");
  const auto other = sign(0, {}, kWithdrawal, "payroll-2");
  ASSERT_TRUE(other->has_value());
  EXPECT_EQ((**first).error().approval, (**again).error().approval);
  EXPECT_NE((**first).error().approval, (**other).error().approval);
  const auto id_in = [&](const Answer& answer) {
    const std::string text = item((*answer).error().approval).text;
    return text.substr(text.find("clientTransferId") + 19, 36);
  };
  EXPECT_NE(id_in(*first), id_in(*other));
  EXPECT_THAT(id_in(*first), ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                                                     "[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
}

TEST_F(SignerApprovalTest, RefusesAReferenceThatIsNoneOrMeansNothing) {
  EXPECT_THAT(**sign(0, {}, kWithdrawal, "a b"), ErrorIs(Code::invalid_payload));
  EXPECT_THAT(**sign(0, {}, R"({"request":"/v1/balances"})", "r-1"),
              ErrorIs(Code::denied, HasSubstr("not supported yet")));
}

TEST_F(SignerApprovalTest, KeepsTheIdempotencyMemberOfTheClient) {
  const std::string own = R"({"request":"/v2/withdraw/bitcoin/btc","address":"bc1q","amount":"1",)"
                          R"("clientTransferId":"7d1f0d5e-95e5-4b53-8d5f-fd0f06c0c2b1"})";
  EXPECT_THAT(item(ask(own)).text, HasSubstr("7d1f0d5e-95e5-4b53-8d5f-fd0f06c0c2b1"));
}

TEST_F(SignerApprovalTest, RefusesAVerbatimMoveThatCouldBeRepeated) {
  Answer answer;
  signer_.sign({.who = kClient,
                .key = "k",
                .payload = R"({"request":"/v2/withdraw/bitcoin/btc","nonce":1,"amount":"1"})",
                .form = Form::verbatim,
                .reference = {}},
               [&](auto came) { answer = std::move(came); });
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(*answer, ErrorIs(Code::invalid_payload, HasSubstr("clientTransferId")));
}

// ---- Bounds ----

Pending one(const std::string& client, int number) {
  Pending pending;
  pending.client = client;
  pending.id = client + std::to_string(number);
  pending.asked = pending.id;
  pending.created = static_cast<std::uint64_t>(number);
  pending.expires = 1000;
  return pending;
}

TEST(PendingApprovals, AreBoundedForEachClientAndInAll) {
  PendingApprovals pending{{.most = 3, .of_client = 2}};
  EXPECT_THAT(pending.add(one("a", 1)), Succeeds());
  EXPECT_THAT(pending.add(one("a", 2)), Succeeds());
  EXPECT_THAT(pending.add(one("a", 3)), ErrorIs(Code::overloaded, HasSubstr("client \"a\"")));
  EXPECT_THAT(pending.add(one("b", 1)), Succeeds());
  EXPECT_THAT(pending.add(one("b", 2)), ErrorIs(Code::overloaded, HasSubstr("limit is 3")));
  pending.erase("a1");
  EXPECT_EQ(pending.asked_for("a1"), nullptr);
  EXPECT_THAT(pending.add(one("b", 2)), Succeeds());
}

TEST(PendingApprovals, VanishAtTheirEndButForWhatIsOnItsWay) {
  PendingApprovals pending;
  ASSERT_THAT(pending.add(one("a", 1)), Succeeds());
  (*pending.add(one("a", 2)))->releasing = true;
  EXPECT_THAT(pending.expire(Clock::Wall{std::chrono::microseconds{999}}), IsEmpty());
  EXPECT_THAT(pending.expire(Clock::Wall{std::chrono::microseconds{1000}}),
              ::testing::ElementsAre("a1"));
  EXPECT_NE(pending.find("a2"), nullptr);
}

TEST(PendingApprovals, ComeBackFromTheirNote) {
  Pending pending = one("a", 1);
  pending.signatures = "-----BEGIN";
  pending.need = 2;
  const auto back = Pending::from_note(pending.to_note());
  ASSERT_THAT(back, Succeeds());
  EXPECT_EQ(back->id, "a1");
  EXPECT_EQ(back->signatures, pending.signatures);
  const std::string note = pending.to_note();
  EXPECT_THAT(Pending::from_note(note.substr(4)), ErrorIs(Code::state_unavailable));
  EXPECT_THAT(Pending::from_note(""), ErrorIs(Code::state_unavailable));
}

}  // namespace
}  // namespace hsm::service
