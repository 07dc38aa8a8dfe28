#include "hsm_signer/service/sealer.h"

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using ::testing::SizeIs;

class SealerTest : public ::testing::Test {
 protected:
  SealerTest() : log_{*audit::Log::open(dir_ / "audit", {})}, ledger_{io_, clock_, *log_} {
    audit::spit(dir_ / "audit.pub.pem", key_.public_pem());
  }
  void TearDown() override {
    pool_.stop();
    io_.restart();
    io_.poll();
  }

  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void turn() {
    io_.restart();
    io_.run_for(std::chrono::milliseconds{20});
  }
  void connect(const audit::TestKey& key) {
    pool_.start();
    turn();
    worker_.accept();
    turn();
    worker_.greet(4, key.spki());
    run_until([this] { return pool_.health(0).workers == 1; });
  }
  // The next question, past those for usage.
  void read_checkpoint_question() {
    for (;;) {
      run_until([this] { return worker_.has_frame(); });
      if (worker_.read() == wire::Type::sign_checkpoint) return;
      worker_.answer_usage(0, [this](const std::string& text) { return key_.sign(text); });
    }
  }
  // One record, and a seal of it up to the token's answer.
  void seal_up_to_the_answer() {
    ledger_.event(audit::start_record());
    sealer_.seal_now([this] { ended_ = true; });
    read_checkpoint_question();
    const auto asked = worker_.last<wire::SignCheckpoint>();
    ASSERT_THAT(asked, Succeeds());
    worker_.send(wire::Type::sign_checkpoint, worker_.last_id(),
                 wire::CheckpointSignature{.signature = key_.sign(asked->text)});
  }

  TempDir dir_;
  SystemClock clock_;
  boost::asio::io_context io_;
  audit::TestKey key_;
  test::FakeWorker worker_;
  std::unique_ptr<audit::Log> log_;
  Ledger ledger_;
  keystore::TokenPool pool_{io_, clock_, {{{"t"}, worker_.path()}}, [] {}};
  TokenDesk tokens_{ledger_, pool_};
  std::vector<std::pair<std::uint64_t, Sealer::Done>> remembering_;
  bool ended_ = false;
  AnchorDesk anchors_{
      {.io = io_,
       .clock = clock_,
       .every = std::chrono::hours{1},
       .remember = [](std::uint64_t) {}},
      {.file = *audit::Anchor::open(dir_ / "anchor", audit::AnchorFile::Absent::will_be_made,
                                    std::chrono::seconds{20}),
       .problem = {},
       .heads = {}}};
  Sealer sealer_{io_,
                 clock_,
                 ledger_,
                 pool_,
                 tokens_,
                 anchors_,
                 dir_ / "audit.pub.pem",
                 [this](std::uint64_t sealed, Sealer::Done done) {
                   remembering_.emplace_back(sealed, std::move(done));
                 }};
};

// A daemon that stops right after its first signature: the state has to know before it is closed.
TEST_F(SealerTest, IsNotOverBeforeTheSealIsRemembered) {
  connect(key_);
  seal_up_to_the_answer();
  run_until([this] { return !remembering_.empty(); });
  turn();
  EXPECT_FALSE(ended_);
  EXPECT_EQ(remembering_.front().first, 3U) << "the token and its worker came";
  remembering_.front().second({});
  EXPECT_TRUE(ended_);
}

TEST_F(SealerTest, EndsAStopThatTheStateCannotRemember) {
  connect(key_);
  seal_up_to_the_answer();
  run_until([this] { return !remembering_.empty(); });
  remembering_.front().second(fail(Code::state_unavailable, "disk full"));
  EXPECT_TRUE(ended_);
  turn();
  EXPECT_FALSE(std::filesystem::exists(dir_ / "anchor"));
}

// After the log and the state: an anchor that knows more than they do would refuse the next start.
TEST_F(SealerTest, AnchorsWhatIsSealedAndRememberedAndNothingBefore) {
  connect(key_);
  seal_up_to_the_answer();
  run_until([this] { return !remembering_.empty(); });
  turn();
  EXPECT_FALSE(std::filesystem::exists(dir_ / "anchor"));
  remembering_.front().second({});
  bool anchored = false;
  anchors_.finish([&] { anchored = true; });
  run_until([&] { return anchored; });
  EXPECT_EQ(audit::slurp(dir_ / "anchor"), audit::slurp(dir_ / "audit/checkpoints"));
}

// A state that is two seals behind would be taken for an old copy at the next start.
TEST_F(SealerTest, MakesNoFurtherSealBeforeTheStateKnowsOfTheLast) {
  connect(key_);
  seal_up_to_the_answer();
  run_until([this] { return !remembering_.empty(); });
  remembering_.back().second(fail(Code::state_unavailable, "disk full"));
  ledger_.event(audit::start_record());
  ended_ = false;
  sealer_.seal_now([this] { ended_ = true; });
  run_until([this] { return remembering_.size() == 2; });
  EXPECT_EQ(remembering_.back().first, 3U);
  EXPECT_FALSE(worker_.has_frame());
  remembering_.back().second(fail(Code::state_unavailable, "disk full"));
  EXPECT_TRUE(ended_);
  ended_ = false;
  sealer_.seal_now([this] { ended_ = true; });
  run_until([this] { return remembering_.size() == 3; });
  remembering_.back().second({});
  read_checkpoint_question();
}

// The stop's own record must not be left out because a seal of each second was just under way.
TEST_F(SealerTest, SealsAgainForWhoAskedDuringASeal) {
  connect(key_);
  seal_up_to_the_answer();
  ledger_.event(audit::start_record());
  bool second_ended = false;
  sealer_.seal_now([&] { second_ended = true; });
  run_until([this] { return remembering_.size() == 1; });
  remembering_.back().second({});
  EXPECT_TRUE(ended_);
  EXPECT_FALSE(second_ended);
  read_checkpoint_question();
  const auto asked = worker_.last<wire::SignCheckpoint>();
  worker_.send(wire::Type::sign_checkpoint, worker_.last_id(),
               wire::CheckpointSignature{.signature = key_.sign(asked->text)});
  run_until([this] { return remembering_.size() == 2; });
  EXPECT_EQ(remembering_.back().first, 4U);
  remembering_.back().second({});
  EXPECT_TRUE(second_ended);
}

TEST_F(SealerTest, SealsNothingWithAKeyThatIsNotPinned) {
  connect(audit::TestKey{});
  ledger_.event(audit::start_record());
  sealer_.seal_now([this] { ended_ = true; });
  run_until([this] { return ended_; });
  EXPECT_THAT(remembering_, SizeIs(0));
}

TEST_F(SealerTest, ForgetsASignatureThatDoesNotVerify) {
  connect(key_);
  ledger_.event(audit::start_record());
  sealer_.seal_now([this] { ended_ = true; });
  read_checkpoint_question();
  worker_.send(wire::Type::sign_checkpoint, worker_.last_id(),
               wire::CheckpointSignature{.signature = key_.sign("another text")});
  run_until([this] { return ended_; });
  EXPECT_THAT(remembering_, SizeIs(0));
  EXPECT_EQ(log_->recovered().checkpoints, 0U);
}

TEST_F(SealerTest, EndsAStopWithoutAToken) {
  ledger_.event(audit::start_record());
  sealer_.seal_now([this] { ended_ = true; });
  run_until([this] { return ended_; });
}

}  // namespace
}  // namespace hsm::service
