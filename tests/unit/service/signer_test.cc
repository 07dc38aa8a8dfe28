#include "hsm_signer/service/signer.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "hsm_signer/base/hash.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class FullDisk final : public audit::Disk {
 public:
  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    if (!full) return audit::Disk::write(fd, bytes, size);
    errno = ENOSPC;
    return -1;
  }
  bool full = false;
};

constexpr const char* kBuy =
    R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"1","side":"buy","type":"exchange limit"})";

policy::Rules everything_for_uid_7() {
  policy::Resolver users;
  users.user = [](const std::string&) -> std::optional<uid_t> { return 7; };
  users.group = [](const std::string&) -> std::optional<gid_t> { return std::nullopt; };
  return *policy::Rules::parse(R"(version = 1
[[client]]
name = "bot"
uid = "bot"
[[rule]]
name = "bot reads"
client = "bot"
key = "env:sandbox"
allow = ["class:read", "class:session"]
[[rule]]
name = "bot buys once an hour"
client = "bot"
key = "env:sandbox"
allow = ["/v1/order/new"]
window = [ { per = "1h", max_count = 1 } ]
)",
                               "policy.toml", users);
}

// The signer with all its parts real but the worker, which this test plays by hand: one connection,
// one frame at a time.
class SignerTest : public ::testing::Test {
 protected:
  SignerTest() {
    keystore::NewVersion wanted;
    wanted.key = {"k"};
    wanted.token = {"t"};
    wanted.api_key_id = {"account-k"};
    wanted.environment = Environment::sandbox;
    wanted.roles = venue::kTrader;
    wanted.nonce_form = nonce::Form::signer_ms;
    wanted.cka_id = 1;
    apply(registry_.register_version(wanted, clock_.wall()));
    apply(registry_.activate("k", 1, {}, clock_.wall()));
  }
  void SetUp() override {
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
  void apply(const Result<keystore::Change>& change) {
    ASSERT_THAT(change, Succeeds());
    ASSERT_THAT(registry_.apply(*change), Succeeds());
  }

  using Answer = std::optional<Result<wire::Signed>>;
  std::shared_ptr<Answer> sign(std::uint32_t deadline_ms = 0, std::function<bool()> wanted = {},
                               std::string payload = R"({"request":"/v1/balances"})") {
    auto answer = std::make_shared<Answer>();
    SignAsk ask;
    ask.deadline_ms = deadline_ms;
    ask.wanted = std::move(wanted);
    ask.who = {.uid = 7, .gid = 7, .pid = 1};
    ask.key = "k";
    ask.payload = std::move(payload);
    signer_.sign(std::move(ask),
                 [answer](Result<wire::Signed> came) { *answer = std::move(came); });
    return answer;
  }
  void throw_switch(const wire::SetSwitch& ask) {
    std::optional<Result<wire::Done>> done;
    switches_.set({.uid = 0, .gid = 0, .pid = 2}, ask,
                  [&](Result<wire::Done> came) { done = std::move(came); });
    run_until([&] { return done.has_value(); });
    ASSERT_THAT(*done, Succeeds());
  }
  void thaw(const wire::Thaw& ask) {
    std::optional<Result<wire::Done>> done;
    switches_.thaw({.uid = 0, .gid = 0, .pid = 2}, ask,
                   [&](Result<wire::Done> came) { done = std::move(came); });
    run_until([&] { return done.has_value(); });
    ASSERT_THAT(*done, Succeeds());
  }
  template <class Done>
  void run_until(Done done) {
    const auto other_threads_may_post = boost::asio::make_work_guard(io_);
    for (int i = 0; i < 2000 && !done(); ++i) {
      io_.restart();
      io_.run_for(milliseconds{5});
    }
    ASSERT_TRUE(done());
  }
  void turn() {
    io_.restart();
    io_.run_for(milliseconds{30});
  }
  // The frame that the worker has now; its answer comes with answer_mac().
  std::uint64_t asked() {
    run_until([this] { return worker_.has_frame(); });
    EXPECT_EQ(worker_.read(), wire::Type::mac);
    return worker_.last_id();
  }
  // Last of all: no ledger writes behind it.
  std::vector<audit::Record> records() {
    ledger_.flush();
    turn();  // The flush that was posted finds nothing to do, while there is a log to ask.
    std::vector<audit::Record> all;
    log_.reset();
    (void)audit::Log::open(dir_ / "audit",
                           [&](const audit::Record& record) { all.push_back(record); });
    return all;
  }
  // Kinds of the log's records, "allow" or a refusal's code.
  std::vector<std::string> recorded() {
    std::vector<std::string> kinds;
    for (const audit::Record& record : records())
      kinds.push_back(record.verdict == audit::Verdict::allow ? "allow" : record.code);
    return kinds;
  }

  TempDir dir_;
  SystemClock clock_;
  boost::asio::io_context io_;
  bool state_answers_ = true;
  FullDisk disk_;
  test::FakeWorker worker_;
  PolicyDesk policy_{clock_, std::make_shared<const policy::Rules>(everything_for_uid_7())};
  keystore::Registry registry_ = *keystore::Registry::restore({});
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {}, disk_);
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
  SwitchDesk switches_{{.clock = clock_,
                        .state = *state_,
                        .ledger = ledger_,
                        .registry = registry_,
                        .is_client = [](std::string_view name) { return name == "bot"; }},
                       {}};
  Signer signer_{{.clock = clock_,
                  .policy = policy_,
                  .switches = switches_,
                  .registry = registry_,
                  .nonces = nonces_,
                  .pool = pool_,
                  .ledger = ledger_,
                  .deadlines = deadlines_,
                  .deadline = std::chrono::seconds{30}}};
};

TEST_F(SignerTest, AnswersWithWhatTheTokenMade) {
  const auto answer = sign();
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return answer->has_value(); });
  ASSERT_THAT(**answer, Succeeds());
  EXPECT_THAT((**answer)->signature, ::testing::StartsWith("5a5a"));
  EXPECT_EQ(signer_.unfinished(), 0U);
  EXPECT_THAT(recorded(), ::testing::ElementsAre("allow"));
}

TEST_F(SignerTest, SignsNothingThatStillWaitedWhenTheLogFailed) {
  const auto first = sign(), second = sign();
  const std::uint64_t id = asked();
  disk_.full = true;
  worker_.answer_mac(id, 0x5a);
  run_until([&] { return first->has_value() && second->has_value(); });
  EXPECT_THAT(**first, ErrorIs(Code::audit_unavailable));
  EXPECT_THAT(**second, ErrorIs(Code::audit_unavailable));
  pool_.stop();
  turn();
  EXPECT_EQ(worker_.read(), wire::Type::error) << "nothing more was asked of the worker";
}

TEST_F(SignerTest, SignsNothingThatStillWaitedWhenItsKeyWasRetired) {
  const auto first = sign(), second = sign();
  const std::uint64_t id = asked();
  apply(registry_.retire("k", 1, clock_.wall()));
  worker_.answer_mac(id, 0x5a);
  run_until([&] { return second->has_value(); });
  EXPECT_THAT(**first, Succeeds()) << "the worker had it already";
  EXPECT_THAT(**second, ErrorIs(Code::key_not_active));
}

TEST_F(SignerTest, SignsNothingThatStillWaitedWhenASwitchWasThrown) {
  for (const auto& [kind, name] :
       {std::pair{"key", "k"}, std::pair{"client", "bot"}, std::pair{"all", ""}}) {
    const auto first = sign(), second = sign();
    const std::uint64_t id = asked();
    throw_switch({.kind = kind, .name = name, .what = "frozen", .reason = "odd fills"});
    worker_.answer_mac(id, 0x5a);
    run_until([&] { return first->has_value() && second->has_value(); });
    EXPECT_THAT(**first, Succeeds()) << "the worker had it already";
    EXPECT_THAT(**second, ErrorIs(Code::frozen, HasSubstr("is frozen: odd fills")));
    EXPECT_THAT(**sign(), ErrorIs(Code::frozen)) << "the next one is not even queued";
    thaw({.kind = kind, .name = name, .reason = "", .statement = {}});
  }
}

TEST_F(SignerTest, SignsTheWaitingReadAndNotTheWaitingOrderOfAKeyThatOnlyCancels) {
  const auto first = sign();
  const std::uint64_t id = asked();
  const auto read = sign(), order = sign(0, {}, kBuy);
  throw_switch({.kind = "key", .name = "k", .what = "cancel_only", .reason = ""});
  worker_.answer_mac(id, 0x5a);
  run_until([&] { return order->has_value(); });
  EXPECT_THAT(**order, ErrorIs(Code::cancel_only, HasSubstr("key \"k\" only cancels")));
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return read->has_value(); });
  EXPECT_THAT(**read, Succeeds());
}

TEST_F(SignerTest, ExplainsASwitchToWhoMayUseTheKeyAndToNobodyElse) {
  throw_switch({.kind = "all", .name = "", .what = "frozen", .reason = "drill"});
  const std::string read = R"({"request":"/v1/balances"})";
  const auto told = signer_.explain({.uid = 7, .gid = 7, .pid = 1}, {.key = "k", .payload = read});
  ASSERT_THAT(told, Succeeds());
  EXPECT_EQ(told->code, "frozen");
  EXPECT_EQ(told->sentence, "every key is frozen: drill");
  const auto stranger =
      signer_.explain({.uid = 8, .gid = 8, .pid = 1}, {.key = "k", .payload = read});
  ASSERT_THAT(stranger, Succeeds());
  EXPECT_EQ(stranger->code, "unauthorized");
  const auto no_key =
      signer_.explain({.uid = 7, .gid = 7, .pid = 1}, {.key = "other", .payload = read});
  ASSERT_THAT(no_key, Succeeds());
  EXPECT_EQ(no_key->code, "denied");
}

TEST_F(SignerTest, SpendsNothingOnAClientThatHasGone) {
  bool there = true;
  const auto first = sign(), second = sign(0, [&] { return there; });
  const std::uint64_t id = asked();
  there = false;
  worker_.answer_mac(id, 0x5a);
  run_until([&] { return second->has_value(); });
  EXPECT_THAT(**second, ErrorIs(Code::deadline_exceeded, HasSubstr("client has gone")));
}

TEST_F(SignerTest, RecordsALateMacThatNobodyGets) {
  const auto answer = sign(50);
  const std::uint64_t id = asked();
  run_until([&] { return answer->has_value(); });
  EXPECT_THAT(**answer, ErrorIs(Code::deadline_exceeded));
  EXPECT_EQ(signer_.unfinished(), 1U) << "a stop waits for its record";
  worker_.answer_mac(id, 0x5a);
  run_until([this] { return signer_.unfinished() == 0; });
  EXPECT_THAT(recorded(), ::testing::ElementsAre("allow"));
}

TEST_F(SignerTest, RecordsAnOverdueRequestWhoseWorkerWasLost) {
  const auto answer = sign(50);
  asked();
  run_until([&] { return answer->has_value(); });
  worker_.hang_up();
  run_until([this] { return signer_.unfinished() == 0; });
  EXPECT_THAT(recorded(), ::testing::ElementsAre("token_unavailable"));
}

TEST_F(SignerTest, AWindowThatIsFullRefusesAtOnce) {
  const auto first = sign(0, {}, kBuy), second = sign(0, {}, kBuy);
  ASSERT_TRUE(second->has_value()) << "judged when asked, not when its turn comes";
  EXPECT_THAT(**second, ErrorIs(Code::rate_limited, HasSubstr("bot buys once an hour")));
  EXPECT_GT((**second).error().retry_after_ms, 3'500'000U);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return first->has_value(); });
  EXPECT_THAT(**first, Succeeds());
}

TEST_F(SignerTest, AWindowIsGivenBackByWhatNeverReachedAWorker) {
  bool there = true;
  const auto read = sign();
  const std::uint64_t id = asked();
  const auto gone = sign(
      0, [&] { return there; }, kBuy);
  there = false;
  worker_.answer_mac(id, 0x5a);
  run_until([&] { return gone->has_value(); });
  EXPECT_FALSE((*gone)->has_value());
  const auto buy = sign(0, {}, kBuy);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return buy->has_value(); });
  EXPECT_THAT(**buy, Succeeds());
}

TEST_F(SignerTest, AWindowIsNotGivenBackOnceAWorkerHasHadTheFrame) {
  const auto lost = sign(50, {}, kBuy);
  asked();
  worker_.hang_up();
  run_until([&] { return lost->has_value(); });
  EXPECT_FALSE((*lost)->has_value());
  const auto again = sign(0, {}, kBuy);
  ASSERT_TRUE(again->has_value());
  EXPECT_THAT(**again, ErrorIs(Code::rate_limited));
}

TEST_F(SignerTest, RecordsWhatItsWindowsCount) {
  const auto answer = sign(0, {}, kBuy);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return answer->has_value(); });
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0].fields, ::testing::Contains(audit::Field{"window_asset", "btcusd"}));
  EXPECT_THAT(all[0].fields, ::testing::Contains(audit::Field{"window_amount", "1"}));
}

TEST_F(SignerTest, KeepsItsDeadlineWhenTheStateHangs) {
  state_answers_ = false;
  const auto answer = sign(50);
  run_until([&] { return answer->has_value(); });
  EXPECT_THAT(**answer, ErrorIs(Code::deadline_exceeded));
}

TEST_F(SignerTest, ExplainsByTheRuleThatDecides) {
  const Peer bot{.uid = 7, .gid = 7, .pid = 1};
  const auto allowed =
      signer_.explain(bot, {.key = "k", .payload = R"({"request":"/v1/balances"})"});
  ASSERT_THAT(allowed, Succeeds());
  EXPECT_TRUE(allowed->allowed);
  EXPECT_EQ(allowed->rule, "bot reads");
  const auto refused =
      signer_.explain(bot, {.key = "k", .payload = R"({"request":"/v1/order/cancel/all"})"});
  ASSERT_THAT(refused, Succeeds());
  EXPECT_FALSE(refused->allowed);
}

TEST_F(SignerTest, AtTheEndOfATurnWorkersHaveWhatWasAskedAndTheLogWhatWasRefused) {
  (void)sign();  // Draws the first nonces, which the state reserves in its own time.
  worker_.answer_mac(asked(), 0x5a);
  turn();
  const auto asked_for = sign();
  const auto refused = sign(0, {}, R"({"request":"/v1/no/such/thing"})");
  ASSERT_TRUE(refused->has_value());
  EXPECT_TRUE(log_->has_unflushed());
  EXPECT_FALSE(worker_.has_frame());
  signer_.turn_over();
  EXPECT_FALSE(log_->has_unflushed()) << "the answer would be there before its record";
  EXPECT_TRUE(worker_.has_frame()) << "it would wait for all else that is ready";
}

TEST_F(SignerTest, RefusesWhileItDrains) {
  signer_.drain();
  const auto answer = sign();
  ASSERT_TRUE(answer->has_value());
  EXPECT_THAT(**answer, ErrorIs(Code::overloaded));
}

TEST_F(SignerTest, ARefusalIsRecordedWithTheHashOfThePayloadUnlessThatIsNone) {
  const std::string denied = R"({"request":"/v1/order/cancel/all"})";
  ASSERT_THAT(**sign(0, {}, denied), ErrorIs(Code::denied));
  ASSERT_THAT(**sign(0, {}, "no JSON"), ErrorIs(Code::invalid_payload));
  const std::vector<audit::Record> refusals = records();
  ASSERT_EQ(refusals.size(), 2U);
  EXPECT_EQ(refusals[0].endpoint, "/v1/order/cancel/all");
  EXPECT_EQ(refusals[0].payload_sha256, hex_encode(sha256(as_bytes(denied))));
  EXPECT_EQ(refusals[1].endpoint, "");
  EXPECT_EQ(refusals[1].payload_sha256, "");
}

}  // namespace
}  // namespace hsm::service
