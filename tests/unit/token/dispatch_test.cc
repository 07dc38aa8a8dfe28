#include "hsm_signer/token/dispatch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "hsm_signer/token/cryptoki.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_vault.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_officers.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;
using wire::Type;

class FakeServiceKeys final : public ServiceKeys {
 public:
  Result<Bytes> sign(ByteView text) override {
    signed_.emplace_back(as_text(text));
    return Bytes{1, 2, 3};
  }
  Result<void> ensure() override { return {}; }
  std::vector<std::string> signed_;
};

const ObjectName kKey{"desk.v1", 1};
const std::string kSecret(48, 's');
constexpr std::string_view kCeilings =
    "version = 1\n[[key]]\nlabel = \"desk\"\nenvironment = \"production\"\nclasses = "
    "[\"session\"]\nrate = 2\n";

class DispatchTest : public ::testing::Test {
 protected:
  DispatchTest() { vault_.plant(kKey, as_bytes(kSecret)); }

  Dispatcher dispatcher(Role role) {
    return Dispatcher{Host{.role = role,
                           .vault = vault_,
                           .service_keys = keys_,
                           .profile = profile_,
                           .accept_unfit_token = accept_unfit_,
                           .ceilings = ceilings_,
                           .approvals = approvals_,
                           .rates = rates_,
                           .last_words = last_words_,
                           .clock = clock_,
                           .info = {.token = "desk",
                                    .profile = "fake",
                                    .worker_id = 7,
                                    .payload_limit = 8'192,
                                    .audit_key = {}}}};
  }

  // Sends one message and returns the answer's frame body, or the error that closes the connection.
  template <class Message>
  static Result<Bytes> exchange(Dispatcher& to, Type type, const Message& message) {
    Bytes in, out;
    TRY_VOID(wire::encode(in, type, 5, message));
    TRY(const auto frame, wire::FrameView::parse(ByteView{in}.subspan(wire::kLengthSize)));
    TRY_VOID(to.answer(frame, out));
    return Bytes{out.begin() + wire::kLengthSize, out.end()};
  }
  template <class Answer, class Message>
  static Result<Answer> ask(Dispatcher& to, Type type, const Message& message) {
    TRY(const Bytes body, exchange(to, type, message));
    TRY(const auto frame, wire::FrameView::parse(body));
    EXPECT_EQ(frame.id(), 5U);
    if (frame.type() == Type::error) {
      TRY(const auto failure, wire::decode<wire::Failure>(frame));
      return fail(wire::to_error(failure));
    }
    EXPECT_EQ(frame.type(), wire::answer_to(type));
    return wire::decode<Answer>(frame);
  }
  Dispatcher greeted(Role role) {
    Dispatcher made = dispatcher(role);
    EXPECT_THAT(ask<wire::Hello>(made, Type::hello, wire::Hello{}), Succeeds());
    return made;
  }
  static wire::MacRequest mac(std::string_view json = R"({"request":"/v1/heartbeat","nonce":1})") {
    const std::string base64 = base64_encode(as_bytes(json));
    return {.label = kKey.label,
            .cka_id = kKey.cka_id,
            .key_check = wire::key_check_value(as_bytes(kSecret)),
            .message = {base64.begin(), base64.end()},
            .statements = {}};
  }

  TempDir dir_;
  Profile profile_ = **find_profile("softhsm");
  bool accept_unfit_ = false;
  test::FakeVault vault_;
  FakeServiceKeys keys_;
  Ceilings ceilings_ = *Ceilings::parse(kCeilings, "ceilings.toml", Mode::production);
  Approvals approvals_;
  Rates rates_ = *Rates::open(dir_ / "rates");
  LastWords last_words_{dir_.path()};
  FakeClock clock_;
};

constexpr Type kSigning[] = {
    Type::info, Type::mac, Type::key_check, Type::forget, Type::sign_checkpoint, Type::usage};
constexpr Type kAdmin[] = {Type::import, Type::destroy, Type::generate, Type::wrap_key};

TEST_F(DispatchTest, ClosesOnEveryOperationThatTheSocketDoesNotHave) {
  for (unsigned type = 0; type < 256; ++type) {
    const Type asked = static_cast<Type>(type);
    const bool listing =
        asked == Type::list;  // On both: `key check` compares objects with the registry.
    const bool signing =
        listing || std::find(std::begin(kSigning), std::end(kSigning), asked) != std::end(kSigning);
    const bool admin =
        listing || std::find(std::begin(kAdmin), std::end(kAdmin), asked) != std::end(kAdmin);
    for (const auto& [role, has] :
         {std::pair{Role::signing, signing}, std::pair{Role::admin, admin}}) {
      Dispatcher to = greeted(role);
      const auto closed = exchange(to, asked, wire::Done{});
      if (!has) {
        EXPECT_THAT(closed, ErrorIs(Code::protocol_error, HasSubstr("does not have"))) << type;
      } else if (!closed) {
        EXPECT_THAT(closed.error().sentence(), ::testing::Not(HasSubstr("does not have"))) << type;
      }
    }
  }
}

TEST_F(DispatchTest, ClosesWithoutAHelloFirst) {
  for (const Type type : {Type::info, Type::mac, Type::list, Type::usage}) {
    Dispatcher to = dispatcher(Role::signing);
    EXPECT_THAT(exchange(to, type, wire::Done{}),
                ErrorIs(Code::protocol_error, HasSubstr("hello")));
  }
  Dispatcher to = dispatcher(Role::signing);
  EXPECT_THAT(exchange(to, Type::hello, wire::Hello{.version = 2, .program = {}}),
              ErrorIs(Code::protocol_error, HasSubstr("version")));
}

TEST_F(DispatchTest, ClosesOnASecondHello) {
  Dispatcher to = greeted(Role::signing);
  EXPECT_THAT(exchange(to, Type::hello, wire::Hello{}), ErrorIs(Code::protocol_error));
}

TEST_F(DispatchTest, ClosesOnAMessageThatDoesNotDecode) {
  Dispatcher to = greeted(Role::signing);
  EXPECT_THAT(exchange(to, Type::mac, wire::Done{}), ErrorIs(Code::protocol_error));
  EXPECT_THAT(exchange(to, Type::info, wire::SignCheckpoint{"x"}), ErrorIs(Code::protocol_error));
}

TEST_F(DispatchTest, SignsAndCounts) {
  Dispatcher to = greeted(Role::signing);
  const auto answer = ask<wire::MacAnswer>(to, Type::mac, mac());
  ASSERT_THAT(answer, Succeeds());
  EXPECT_TRUE(answer->mac == hmac_sha384(as_bytes(kSecret), mac().message));
  EXPECT_EQ(answer->worker_id, 7U);
  EXPECT_EQ(answer->counter, 1U);
}

TEST_F(DispatchTest, JudgesBeforeTheTokenIsAsked) {
  Dispatcher to = greeted(Role::signing);
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac(R"({"request":"/v1/balances","nonce":1})")),
              ErrorIs(Code::denied));
  wire::MacRequest unknown = mac();
  unknown.label = "desk.v2";
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, unknown), ErrorIs(Code::key_not_active));
  wire::MacRequest reserved = mac();
  reserved.cka_id = 0xff02;
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, reserved), ErrorIs(Code::usage));
  const auto answer = ask<wire::MacAnswer>(to, Type::mac, mac());
  ASSERT_THAT(answer, Succeeds());
  EXPECT_EQ(answer->counter, 1U);
}

TEST_F(DispatchTest, ChargesTheRateOnlyForWhatItWouldSign) {
  Dispatcher to = greeted(Role::signing);
  for (int i = 0; i < 10; ++i)
    EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac(R"({"request":"/v1/balances","nonce":1})")),
                ErrorIs(Code::denied));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
  const auto refused = ask<wire::MacAnswer>(to, Type::mac, mac());
  ASSERT_THAT(refused, ErrorIs(Code::rate_limited));
  EXPECT_EQ(refused.error().retry_after_ms, 500U);
  clock_.advance(std::chrono::milliseconds{500});
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
}

TEST_F(DispatchTest, WantsAReplacementAfterALostDeviceOnly) {
  Dispatcher to = greeted(Role::signing);
  vault_.fail_next(ck_error("the token does not sign", CKR_KEY_FUNCTION_NOT_PERMITTED));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), ErrorIs(Code::token_unavailable));
  EXPECT_FALSE(to.wants_replacement());
  vault_.fail_next(ck_error("the token does not sign", CKR_DEVICE_ERROR));
  const auto lost = ask<wire::MacAnswer>(to, Type::mac, mac());
  ASSERT_THAT(lost, ErrorIs(Code::token_unavailable, HasSubstr("CKR_DEVICE_ERROR")));
  EXPECT_EQ(lost.error().ck_rv, CKR_DEVICE_ERROR);
  EXPECT_TRUE(to.wants_replacement());
}

TEST_F(DispatchTest, DoesNotCountAFailedMac) {
  Dispatcher to = greeted(Role::signing);
  vault_.fail_next(ck_error("the token does not sign", CKR_DEVICE_ERROR));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), ErrorIs(Code::token_unavailable));
  const auto usage = ask<wire::Usage>(to, Type::usage, wire::UsageQuery{});
  ASSERT_THAT(usage, Succeeds());
  EXPECT_EQ(usage->text, usage_text("desk", 7, 0, {}));
}

TEST_F(DispatchTest, KeepsItsLastWordsUntilASignerHasRecordedThem) {
  Dispatcher silent = greeted(Role::signing);
  EXPECT_THAT(silent.say_last_words(), Succeeds());
  EXPECT_THAT(last_words_.kept(), ::testing::SizeIs(0)) << "it has signed nothing";
  Dispatcher to = greeted(Role::signing);
  ASSERT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
  const auto live = ask<wire::Usage>(to, Type::usage, wire::UsageQuery{});
  ASSERT_THAT(live, Succeeds());
  EXPECT_EQ(
      live->text,
      usage_text("desk", 7, 1,
                 usage_digest({}, 1, sha256(as_bytes(R"({"request":"/v1/heartbeat","nonce":1})")),
                              "desk.v1")));
  EXPECT_THAT(live->ended, ::testing::SizeIs(0));
  ASSERT_THAT(to.say_last_words(), Succeeds());

  Dispatcher next = greeted(Role::signing);
  const auto told = ask<wire::Usage>(next, Type::usage, wire::UsageQuery{});
  ASSERT_THAT(told, Succeeds());
  ASSERT_THAT(told->ended, ::testing::SizeIs(1));
  EXPECT_EQ(told->ended[0].text, live->text);
  EXPECT_EQ(keys_.signed_.back(), told->text);
  EXPECT_THAT(ask<wire::Usage>(next, Type::usage, wire::UsageQuery{})->ended, ::testing::SizeIs(1));
  EXPECT_THAT(ask<wire::Usage>(next, Type::usage, wire::UsageQuery{{{7}}})->ended,
              ::testing::SizeIs(0));
}

TEST_F(DispatchTest, GivesTheAuditKeyNothingButCheckpointsAndUsage) {
  Dispatcher to = greeted(Role::signing);
  for (const std::string& text : {std::string{}, std::string{"x"}, usage_text("desk", 9, 0, {})})
    EXPECT_THAT(
        ask<wire::CheckpointSignature>(to, Type::sign_checkpoint, wire::SignCheckpoint{text}),
        ErrorIs(Code::invalid_payload));
  EXPECT_TRUE(keys_.signed_.empty());
}

TEST_F(DispatchTest, PagesAListOfObjects) {
  for (std::uint16_t id = 2; id <= 300; ++id)
    vault_.plant({"k" + std::to_string(id) + ".v1", id}, as_bytes(kSecret));
  Dispatcher to = greeted(Role::signing);
  const auto first = ask<wire::ObjectList>(to, Type::list, wire::ListObjects{});
  ASSERT_THAT(first, Succeeds());
  EXPECT_EQ(first->total, 300U);
  EXPECT_EQ(first->objects.size(), 256U);
  const auto rest = ask<wire::ObjectList>(to, Type::list, wire::ListObjects{256});
  EXPECT_EQ(rest->objects.size(), 44U);
  EXPECT_TRUE(
      ask<wire::ObjectList>(to, Type::list, wire::ListObjects{4'000'000'000})->objects.empty());
}

TEST_F(DispatchTest, RefusesADamagedBlobWithoutTouchingTheToken) {
  Dispatcher to = greeted(Role::admin);
  EXPECT_THAT(ask<wire::Imported>(to, Type::import,
                                  wire::Import{.label = "x.v1", .cka_id = 2, .blob = Bytes(10, 0)}),
              ErrorIs(Code::usage, HasSubstr("HSMWRAP1")));
  EXPECT_EQ(vault_.list()->size(), 1U);
}

TEST_F(DispatchTest, TakesTheTokenOutAtTheFirstCanaryAfterItBeganToSignWrongly) {
  profile_.canary_every = 3;
  Dispatcher to = greeted(Role::signing);
  const auto ask_mac = [&] {
    clock_.advance(std::chrono::seconds{1});
    return ask<wire::MacAnswer>(to, Type::mac, mac());
  };
  for (int i = 0; i < 4; ++i) ASSERT_THAT(ask_mac(), Succeeds());
  vault_.lie();
  ASSERT_THAT(ask_mac(), Succeeds()) << "what comes before the next canary has left";
  EXPECT_EQ(to.health(), Dispatcher::Health::sound);
  EXPECT_THAT(ask_mac(), ErrorIs(Code::token_unavailable, HasSubstr("signs wrongly")));
  EXPECT_EQ(to.health(), Dispatcher::Health::wrong_macs);
  EXPECT_TRUE(to.wants_replacement());
}

TEST_F(DispatchTest, TellsALostLoginFromALostModule) {
  for (const auto& [rv, health] :
       {std::pair{CKR_USER_NOT_LOGGED_IN, Dispatcher::Health::lost_login},
        {CKR_DEVICE_ERROR, Dispatcher::Health::lost_module},
        {CKR_GENERAL_ERROR, Dispatcher::Health::sound}}) {
    Dispatcher to = greeted(Role::signing);
    clock_.advance(std::chrono::seconds{1});
    vault_.fail_next(ck_error("the token does not sign", rv));
    EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), ErrorIs(Code::token_unavailable));
    EXPECT_EQ(to.health(), health) << ckr_name(rv);
  }
}

TEST_F(DispatchTest, KeepsAWorkerWhoseProfileSaysThatTheDeviceComesBack) {
  profile_.exceptions = (*find_profile("yubihsm"))->exceptions;
  Dispatcher to = greeted(Role::signing);
  vault_.fail_next(ck_error("the token does not sign", CKR_DEVICE_REMOVED));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), ErrorIs(Code::token_unavailable));
  EXPECT_FALSE(to.wants_replacement());
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
}

TEST_F(DispatchTest, SignsWithNoProductionKeyOfATokenThatIsNotFitForIt) {
  profile_.unfit = "it gives secrets away";
  Dispatcher to = greeted(Role::signing);
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()),
              ErrorIs(Code::denied, HasSubstr("it gives secrets away")));
  accept_unfit_ = true;
  Dispatcher accepting = greeted(Role::signing);
  EXPECT_THAT(ask<wire::MacAnswer>(accepting, Type::mac, mac()), Succeeds());
}

// Else a file that says nothing of officers would decide over a key that needs them.
TEST_F(DispatchTest, SignsWithNoProductionKeyUnderACeilingForSandboxKeys) {
  ceilings_ = *Ceilings::parse(
      "version = 1\n[[key]]\nlabel = \"*\"\nenvironment = \"sandbox\"\nclasses = "
      "[\"session\"]\nrate = 100\n",
      "ceilings.toml", Mode::development);
  Dispatcher to = greeted(Role::signing);
  wire::MacRequest request = mac();
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request), Succeeds());
  request.production = true;
  EXPECT_THAT(
      ask<wire::MacAnswer>(to, Type::mac, request),
      ErrorIs(Code::denied, AllOf(HasSubstr("desk.v1"), HasSubstr("ceiling for sandbox keys"))));
  Dispatcher admin = greeted(Role::admin);
  const auto blob = *wire::wrap(SecretBytes::copy_of(as_bytes(kSecret)), *vault_.wrap_key_pem());
  const wire::Import import{
      .label = "x.v1", .cka_id = 2, .blob = blob.encode(), .production = true};
  EXPECT_THAT(ask<wire::Imported>(admin, Type::import, import),
              ErrorIs(Code::denied, HasSubstr("ceiling for sandbox keys")));
  EXPECT_EQ(vault_.list()->size(), 1U);
}

TEST_F(DispatchTest, ImportsNoProductionKeyIntoATokenThatIsNotFitForIt) {
  profile_.unfit = "it gives secrets away";
  const auto blob = *wire::wrap(SecretBytes::copy_of(as_bytes(kSecret)), *vault_.wrap_key_pem());
  const wire::Import other{.label = "other.v1", .cka_id = 2, .blob = blob.encode()};
  Dispatcher to = greeted(Role::admin);
  EXPECT_THAT(ask<wire::Imported>(to, Type::import, other),
              ErrorIs(Code::denied, HasSubstr("accept_unfit_token")));
  EXPECT_EQ(vault_.list()->size(), 1U);
  accept_unfit_ = true;
  Dispatcher accepting = greeted(Role::admin);
  const auto imported = ask<wire::Imported>(accepting, Type::import, other);
  ASSERT_THAT(imported, Succeeds());
  EXPECT_EQ(imported->decrypted_by, "token");
}

class DispatchOfMovesTest : public DispatchTest {
 protected:
  DispatchOfMovesTest() {
    ceilings_ = *Ceilings::parse(
        "version = 1\n[[key]]\nlabel = \"desk\"\nenvironment = \"production\"\nclasses = "
        "[\"session\", \"move\"]\nrate = 2\nofficers = { group = \"officers\", need = 2 }\n",
        "ceilings.toml", Mode::production);
    approvals_ = Approvals{{.host = "signer-1",
                            .token = "desk",
                            .officers = *officers::AllowedOfficers::parse(
                                people_.file({"alice", "bob"}), "allowed_officers")},
                           *SpentStatements::open(dir_.path())};
  }

  // A withdrawal as signed with nonce 7, and what both officers have said of it.
  wire::MacRequest approved(const std::string& id) {
    auto request = mac(R"({"request":"/v1/withdraw/btc","nonce":7,"address":"bc1q","amount":"1"})");
    request.statements = people_.signed_by(
        {"alice", "bob"},
        test::approval(id, R"({"request":"/v1/withdraw/btc","address":"bc1q","amount":"1"})",
                       clock_.wall()));
    return request;
  }

  test::TestOfficers people_;
};

TEST_F(DispatchOfMovesTest, SignsWhatTwoOfficersHaveStatedAndOnce) {
  Dispatcher to = greeted(Role::signing);
  const auto request = approved("r-1");
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request), Succeeds());
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request),
              ErrorIs(Code::denied, HasSubstr("used before: r-1")));
  // Another worker of the same token.
  Dispatcher other = greeted(Role::signing);
  clock_.advance(std::chrono::seconds{1});
  EXPECT_THAT(ask<wire::MacAnswer>(other, Type::mac, request), ErrorIs(Code::denied));
  EXPECT_THAT(ask<wire::MacAnswer>(other, Type::mac, approved("r-2")), Succeeds());
}

TEST_F(DispatchOfMovesTest, SignsNoMoveWithoutAStatement) {
  Dispatcher to = greeted(Role::signing);
  auto request = approved("r-1");
  request.statements.clear();
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request),
              ErrorIs(Code::approval_required, HasSubstr("2 distinct officers of group")));
}

TEST_F(DispatchOfMovesTest, LooksAtNoStatementWhereNoneIsDemandedAndSpendsNone) {
  Dispatcher to = greeted(Role::signing);
  auto request = mac();
  request.statements = approved("r-1").statements;
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request), Succeeds());
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, approved("r-1")), Succeeds());
}

TEST_F(DispatchOfMovesTest, SpendsNothingOnWhatIsRefusedBeforeTheToken) {
  Dispatcher to = greeted(Role::signing);
  const auto good = approved("r-1");
  auto unknown = good;
  unknown.cka_id = 9;
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, unknown), ErrorIs(Code::key_not_active));
  for (int i = 0; i < 2; ++i) EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, mac()), Succeeds());
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, good), ErrorIs(Code::rate_limited));
  clock_.advance(std::chrono::seconds{1});
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, good), Succeeds());
}

TEST_F(DispatchOfMovesTest, HasSpentTheStatementThoughTheTokenFailed) {
  Dispatcher to = greeted(Role::signing);
  const auto request = approved("r-1");
  vault_.fail_next(ck_error("the token does not sign", CKR_FUNCTION_FAILED));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request), ErrorIs(Code::token_unavailable));
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, request),
              ErrorIs(Code::denied, HasSubstr("used before")));
}

TEST_F(DispatchOfMovesTest, SignsNothingWhereItCannotBeSpent) {
  ASSERT_EQ(::mkdir((dir_ / "spent").c_str(), 0700), 0);
  Dispatcher to = greeted(Role::signing);
  EXPECT_THAT(ask<wire::MacAnswer>(to, Type::mac, approved("r-1")),
              ErrorIs(Code::state_unavailable));
  const auto usage = ask<wire::Usage>(to, Type::usage, wire::UsageQuery{});
  ASSERT_THAT(usage, Succeeds());
  EXPECT_EQ(usage->text, usage_text("desk", 7, 0, {})) << "nothing was signed";
}

}  // namespace
}  // namespace hsm::token
