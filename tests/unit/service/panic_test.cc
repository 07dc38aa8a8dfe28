// A panic from its frame to its answer, with a worker that this test plays by hand.
#include "hsm_signer/service/panic.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class PanicTest : public ::testing::Test {
 protected:
  PanicTest() {
    add("k", nonce::Form::signer_ms, Scope::account, 1);
    add("c", nonce::Form::caller_ms, Scope::account, 2);
    add("m", nonce::Form::signer_ms, Scope::master, 3);
  }
  void add(const std::string& name, nonce::Form form, Scope scope, std::uint16_t cka_id,
           const std::string& api_key_id = "") {
    keystore::NewVersion wanted;
    wanted.key = {name};
    wanted.token = {"t"};
    wanted.api_key_id = {(scope == Scope::master ? "master-" : "account-") + name};
    if (!api_key_id.empty()) wanted.api_key_id = {api_key_id};
    wanted.environment = Environment::sandbox;
    wanted.scope = scope;
    wanted.roles = venue::kTrader;
    wanted.nonce_form = form;
    wanted.cka_id = cka_id;
    apply(registry_.register_version(wanted, clock_.wall()));
    apply(registry_.activate(name, 1, {}, clock_.wall()));
  }
  void apply(const Result<keystore::Change>& change) {
    ASSERT_THAT(change, Succeeds());
    ASSERT_THAT(registry_.apply(*change), Succeeds());
  }
  void meet_worker() {
    pool_.start();
    turn();
    worker_.accept();
    turn();
    worker_.greet(1);
    run_until([this] { return pool_.health(0).workers == 1; });
  }
  void TearDown() override {
    pool_.stop();
    state_.reset();
    io_.restart();
    io_.poll();
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void turn() {
    io_.restart();
    io_.run_for(milliseconds{30});
  }
  using Answer = std::shared_ptr<std::optional<Result<wire::Panicked>>>;
  Answer panic(const std::string& key, const std::string& account = "") {
    auto answer = std::make_shared<std::optional<Result<wire::Panicked>>>();
    panic_.run({.uid = 0, .gid = 0, .pid = 2},
               {.key = key, .account = account, .reason = "stolen laptop"},
               [answer](Result<wire::Panicked> came) { *answer = std::move(came); });
    return answer;
  }
  wire::Panicked wait(const Answer& answer) {
    run_until([&] { return answer->has_value(); });
    EXPECT_THAT(**answer, Succeeds());
    return ***answer;
  }
  // The payload that the worker is asked to sign, answered.
  std::string serve() {
    run_until([this] { return worker_.has_frame(); });
    EXPECT_EQ(worker_.read(), wire::Type::mac);
    const auto ask = worker_.last<wire::MacRequest>();
    EXPECT_THAT(ask, Succeeds());
    worker_.answer_mac(worker_.last_id(), 0x5a);
    return std::string{as_text(*base64_decode_canonical(as_text(ask->message)))};
  }
  static std::string codes(const wire::Panicked& answer) {
    std::string text;
    for (const wire::PanicStep& step : answer.steps)
      text += step.step + "=" + (step.code.empty() ? "done" : step.code) + " ";
    return text;
  }
  std::vector<audit::Record> records() {
    ledger_.flush();
    turn();
    std::vector<audit::Record> all;
    log_.reset();
    (void)audit::Log::open(dir_ / "audit",
                           [&](const audit::Record& record) { all.push_back(record); });
    return all;
  }

  TempDir dir_;
  SystemClock clock_;
  boost::asio::io_context io_;
  bool state_answers_ = true;
  test::FakeWorker worker_;
  keystore::Registry registry_ = *keystore::Registry::restore({});
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {});
  std::unique_ptr<state::State> state_ =
      *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
        boost::asio::post(io_, [this, work = std::move(work)] {
          if (state_answers_) work();
        });
      });
  Ledger ledger_{io_, clock_, *log_};
  NonceDesk nonces_{clock_, *state_};
  keystore::TokenPool pool_{io_, clock_, {{{"t"}, worker_.path()}}, [this] { ledger_.flush(); }};
  Deadlines deadlines_{io_, clock_};
  OfficersDesk officers_{{clock_, *state_, ledger_}, std::nullopt, {}};
  SwitchDesk switches_{{.clock = clock_,
                        .state = *state_,
                        .ledger = ledger_,
                        .officers = officers_,
                        .registry = registry_,
                        .is_client = [](std::string_view) { return true; }},
                       {}};
  Panic panic_{{.task = {.clock = clock_,
                         .registry = registry_,
                         .nonces = nonces_,
                         .pool = pool_,
                         .ledger = ledger_},
                .switches = switches_,
                .deadlines = deadlines_,
                .deadline = milliseconds{300}}};
};

TEST_F(PanicTest, FreezesThenSignsACancelAndAHeartbeatAboveIt) {
  meet_worker();
  const Answer answer = panic("k");
  EXPECT_FALSE(switches_.check("bot", "k", venue::Class::cancel)) << "before anything is signed";
  const std::string cancel = serve(), burn = serve();
  const wire::Panicked got = wait(answer);
  EXPECT_EQ(codes(got), "freeze=done cancel_all=done burn=done ");
  EXPECT_THAT(cancel, HasSubstr(R"("request":"/v1/order/cancel/all")"));
  EXPECT_THAT(burn, HasSubstr(R"("request":"/v1/heartbeat")"));
  EXPECT_THAT(cancel, HasSubstr(got.cancel_all.at(0).nonce));
  EXPECT_THAT(burn, HasSubstr(got.burn.at(0).nonce));
  EXPECT_GT(*audit::nonce_units(got.burn[0].nonce), *audit::nonce_units(got.cancel_all[0].nonce));
  EXPECT_TRUE(got.unspent.empty()) << "its own two are no danger";
  EXPECT_EQ(panic_.unfinished(), 0U);
  const std::vector<audit::Record> all = records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].action, "freeze");
  EXPECT_EQ(all[1].client + " " + all[1].op, "(admin) panic");
  EXPECT_EQ(all[2].endpoint, "/v1/heartbeat");
  EXPECT_EQ(all[2].durability, Durability::fsync);
  EXPECT_EQ(all[3].action, "panic");
  EXPECT_EQ(all[3].reason, "stolen laptop");
  EXPECT_EQ(all[3].detail, "freeze: done, cancel_all: done, burn: done");
}

// The exchange knows no names: under another one it would go on signing above the burnt nonce.
TEST_F(PanicTest, FreezesEveryNameOfTheApiKeyAndNoOther) {
  meet_worker();
  add("twin", nonce::Form::signer_ms, Scope::account, 21, "account-k");
  add("other", nonce::Form::signer_ms, Scope::account, 22);
  const Answer answer = panic("k");
  for (const char* name : {"k", "twin"})
    EXPECT_FALSE(switches_.check("bot", name, venue::Class::trade)) << name;
  EXPECT_THAT(switches_.check("bot", "other", venue::Class::trade), Succeeds());
  serve();
  serve();
  const wire::Panicked got = wait(answer);
  ASSERT_EQ(got.also_frozen.size(), 1U);
  EXPECT_EQ(got.also_frozen[0].key, "twin");
  EXPECT_EQ(records().back().detail,
            "freeze: done, cancel_all: done, burn: done, also frozen: twin");
}

TEST_F(PanicTest, OnACallersKeyDrawsNoncesOfItsOwnAboveTheMark) {
  meet_worker();
  const keystore::KeyVersion version = *registry_.active("c");
  const auto mark = nonces_.open(version);
  const std::string ahead = std::to_string(
      std::chrono::duration_cast<milliseconds>(clock_.wall().time_since_epoch()).count() + 4000);
  std::optional<Result<void>> reserved;
  ASSERT_FALSE(nonces_.admit(*mark, ahead)->has_value());
  nonces_.park(*mark, [&](const Result<void>& came) { reserved = came; });
  run_until([&] { return reserved.has_value(); });
  ASSERT_TRUE(nonces_.admit(*mark, ahead)->has_value());
  const Answer answer = panic("c");
  serve(), serve();
  const wire::Panicked got = wait(answer);
  EXPECT_EQ(got.cancel_all.at(0).nonce, std::to_string(std::stoll(ahead) + 1));
  EXPECT_EQ(got.burn.at(0).nonce, std::to_string(std::stoll(ahead) + 2));
  EXPECT_EQ(got.nonce_form, "caller-ms");
}

TEST_F(PanicTest, FreezesWhereTheTokenDoesNotAnswer) {
  meet_worker();
  const Answer answer = panic("k");
  run_until([this] { return worker_.has_frame(); });
  const wire::Panicked got = wait(answer);
  EXPECT_EQ(codes(got), "freeze=done cancel_all=deadline_exceeded burn=deadline_exceeded ");
  EXPECT_FALSE(switches_.check("bot", "k", venue::Class::cancel));
}

TEST_F(PanicTest, FreezesWhereThereIsNoToken) {
  const wire::Panicked got = wait(panic("k"));
  EXPECT_EQ(codes(got), "freeze=done cancel_all=token_unavailable burn=token_unavailable ");
  EXPECT_FALSE(switches_.check("bot", "k", venue::Class::cancel));
  EXPECT_EQ(records().back().detail,
            "freeze: done, cancel_all: token_unavailable, burn: token_unavailable");
}

TEST_F(PanicTest, FreezesAKeyThatIsRetired) {
  apply(registry_.retire("k", 1, clock_.wall()));
  EXPECT_EQ(codes(wait(panic("k"))), "freeze=done cancel_all=key_not_active burn=key_not_active ");
}

TEST_F(PanicTest, SignsTheSecondStepWhereTheFirstWasRefused) {
  meet_worker();
  const Answer answer = panic("k");
  run_until([this] { return worker_.has_frame(); });
  EXPECT_EQ(worker_.read(), wire::Type::mac);
  Bytes refusal;
  ASSERT_THAT(wire::encode(
                  refusal, wire::Type::error, worker_.last_id(),
                  wire::Failure{.code = "denied", .sentence = "above the ceiling", .approval = {}}),
              Succeeds());
  worker_.send_bytes(refusal);
  serve();
  const wire::Panicked got = wait(answer);
  EXPECT_EQ(codes(got), "freeze=done cancel_all=denied burn=done ");
  EXPECT_TRUE(got.cancel_all.empty());
  EXPECT_EQ(got.burn.size(), 1U);
}

TEST_F(PanicTest, SignsWhateverIsFrozenAlreadyAndAgain) {
  meet_worker();
  for (const char* kind : {"all", "key"}) {
    std::optional<Result<wire::Done>> done;
    switches_.set({.uid = 0, .gid = 0, .pid = 2},
                  {.kind = kind,
                   .name = kind == std::string{"key"} ? "k" : "",
                   .what = "frozen",
                   .reason = ""},
                  [&](Result<wire::Done> came) { done = std::move(came); });
    run_until([&] { return done.has_value(); });
  }
  for (int round = 0; round < 2; ++round) {
    const Answer answer = panic("k");
    serve(), serve();
    EXPECT_EQ(codes(wait(answer)), "freeze=done cancel_all=done burn=done ");
  }
}

TEST_F(PanicTest, ListsWhatWasReleasedBeforeAndBurnsIt) {
  meet_worker();
  ledger_.released().add(
      {"account-k"},
      {.sequence = 17, .endpoint = "/v1/order/new", .nonce = "1000", .time = clock_.wall()});
  Answer answer = panic("k");
  serve(), serve();
  const wire::Panicked got = wait(answer);
  ASSERT_EQ(got.unspent.size(), 1U);
  EXPECT_EQ(got.unspent[0].nonce, "1000");
  EXPECT_EQ(got.unspent[0].audit_sequence, 17U);
  answer = panic("k");
  serve(), serve();
  EXPECT_TRUE(wait(answer).unspent.empty());
}

TEST_F(PanicTest, BurnsNothingWhereTheBurnWasNotSigned) {
  ledger_.released().add(
      {"account-k"},
      {.sequence = 17, .endpoint = "/v1/order/new", .nonce = "1000", .time = clock_.wall()});
  EXPECT_EQ(wait(panic("k")).unspent.size(), 1U);
  EXPECT_EQ(wait(panic("k")).unspent.size(), 1U);
}

TEST_F(PanicTest, OfAMasterKeyNeedsTheAccountAndSignsForIt) {
  meet_worker();
  EXPECT_EQ(codes(wait(panic("m"))), "freeze=done cancel_all=usage burn=usage ");
  const Answer answer = panic("m", "primary");
  EXPECT_THAT(serve(), HasSubstr(R"("account":"primary")"));
  EXPECT_THAT(serve(), HasSubstr(R"("account":"primary")"));
  EXPECT_EQ(codes(wait(answer)), "freeze=done cancel_all=done burn=done ");
}

TEST_F(PanicTest, RefusesAKeyThatIsNotThereAndWordsThatCannotBe) {
  const auto refused = [this](const wire::Panic& ask) {
    std::optional<Result<wire::Panicked>> answer;
    panic_.run({.uid = 0, .gid = 0, .pid = 2}, ask,
               [&](Result<wire::Panicked> came) { answer = std::move(came); });
    return *answer;
  };
  EXPECT_THAT(refused({.key = "nobody", .account = "", .reason = ""}), ErrorIs(Code::denied));
  EXPECT_THAT(refused({.key = "k", .account = "a\"b", .reason = ""}), ErrorIs(Code::usage));
  EXPECT_THAT(refused({.key = "k", .account = "", .reason = "a\nb"}), ErrorIs(Code::usage));
  EXPECT_TRUE(switches_.check("bot", "k", venue::Class::trade));
  EXPECT_TRUE(records().empty());
}

TEST_F(PanicTest, AnswersWithWhatItHasWhereALateMacIsStillToCome) {
  meet_worker();
  const Answer answer = panic("k");
  run_until([this] { return worker_.has_frame(); });
  EXPECT_EQ(worker_.read(), wire::Type::mac);
  const std::uint64_t late = worker_.last_id();
  wait(answer);
  turn();  // The second step, which no worker has, falls out of the queue.
  EXPECT_EQ(panic_.unfinished(), 1U) << "a stop waits for the record";
  worker_.answer_mac(late, 0x5a);
  run_until([this] { return panic_.unfinished() == 0; });
  std::size_t allowed = 0;
  for (const audit::Record& record : records())
    allowed += record.kind == audit::Kind::sign && record.verdict == audit::Verdict::allow ? 1 : 0;
  EXPECT_EQ(allowed, 1U);
}

}  // namespace
}  // namespace hsm::service
