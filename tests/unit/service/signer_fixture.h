// The signer with all its parts real but the worker, which the test plays by hand: one connection,
// one frame at a time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "hsm_signer/service/signer.h"
#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/full_disk.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {

inline constexpr std::string_view kReadsAndBuys = R"(version = 1
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
)";

inline policy::Rules rules_for_uid_7(std::string_view text) {
  policy::Resolver users;
  users.user = [](const std::string&) -> std::optional<uid_t> { return 7; };
  users.group = [](const std::string&) -> std::optional<gid_t> { return std::nullopt; };
  return *policy::Rules::parse(text, "policy.toml", users);
}

class SignerTest : public ::testing::Test {
 protected:
  // `policy` in TOML; its users all have uid 7.
  explicit SignerTest(std::string_view policy = kReadsAndBuys,
                      std::optional<OfficersDesk::Place> officers = {})
      : policy_{clock_, std::make_shared<const policy::Rules>(rules_for_uid_7(policy))},
        officers_{{clock_, *state_, ledger_}, std::move(officers), {}} {
    keystore::NewVersion wanted;
    wanted.key = {"k"};
    wanted.token = {"t"};
    wanted.api_key_id = {"account-k"};
    wanted.environment = Environment::sandbox;
    wanted.roles = static_cast<venue::Roles>(venue::kTrader | venue::kFundManager);
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
                               std::string payload = R"({"request":"/v1/balances"})",
                               std::string reference = {}) {
    auto answer = std::make_shared<Answer>();
    SignAsk ask;
    ask.deadline_ms = deadline_ms;
    ask.wanted = std::move(wanted);
    ask.who = {.uid = 7, .gid = 7, .pid = 1};
    ask.key = "k";
    ask.payload = std::move(payload);
    ask.reference = std::move(reference);
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
    test::run_until(io_, done);
  }
  void turn() {
    io_.restart();
    io_.run_for(std::chrono::milliseconds{30});
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
  // What a record or two of its reserve are written for makes it low.
  void lower_disk() {
    disk_.low = true;
    for (int i = 0; i < 100 && !log_->low(); ++i) {
      ledger_.event(audit::Record::stop("i", "fills the log"));
      ledger_.flush();
    }
    ASSERT_TRUE(log_->low().has_value());
  }

  test::FullDisk disk_;
  test::FakeWorker worker_;
  PolicyDesk policy_;
  keystore::Registry registry_ = *keystore::Registry::restore({});
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(dir_ / "audit", {}, disk_, {.reserve = 4096});
  std::unique_ptr<state::State> state_ =
      *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
        boost::asio::post(io_, [this, work = std::move(work)] {
          if (state_answers_) work();
        });
      });
  Ledger ledger_{io_, clock_, *log_};
  OfficersDesk officers_;
  ApprovalDesk approvals_{{clock_, *state_, ledger_, officers_}};
  NonceDesk nonces_{clock_, *state_};
  keystore::TokenPool pool_{io_, clock_, {{{"t"}, worker_.path()}}, [this] { ledger_.flush(); }};
  Deadlines deadlines_{io_, clock_};
  SwitchDesk switches_{{.clock = clock_,
                        .state = *state_,
                        .ledger = ledger_,
                        .officers = officers_,
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
                  .approvals = approvals_,
                  .deadline = std::chrono::seconds{30}}};
};

}  // namespace hsm::service
