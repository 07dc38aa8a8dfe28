#include "hsm_signer/service/token_desk.h"

#include <boost/asio/io_context.hpp>
#include <sstream>

#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using audit::Kind;
using audit::Record;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Mac final : public keystore::Task {
 public:
  Result<Written> write(keystore::JobId id, Bytes& out) override {
    TRY_VOID(wire::encode(
        out, id,
        wire::MacRequest{
            .label = "k.v1", .cka_id = 1, .key_check = {}, .message = {}, .statements = {}}));
    return Written::yes;
  }
  void parked(std::unique_ptr<Task>) override {}
  void overdue() override {}
  void finished(Result<wire::FrameView>) override {}
  bool makes_mac() const override { return true; }
};

class TokenDeskTest : public ::testing::Test {
 protected:
  void TearDown() override {
    pool_.stop();
    io_.restart();
    io_.poll();
  }
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void connect() {
    pool_.start();
    io_.run_for(std::chrono::milliseconds{20});
    worker_.accept();
    io_.restart();
    io_.poll();
    worker_.greet(4, key_.spki());
    run_until([this] { return pool_.health(0).workers == 1; });
  }
  void submit_mac() {
    pool_.submit(std::make_unique<Mac>(), {.id = 0,
                                           .key = 1,
                                           .client = 1,
                                           .token = 0,
                                           .urgency = keystore::Urgency::trade,
                                           .deadline = clock_.steady() + std::chrono::seconds{30}});
    run_until([this] { return worker_.has_frame(); });
    ASSERT_EQ(worker_.read(), wire::Type::mac);
  }
  // Up to the question, where there is one.
  void collect() {
    collected_ = false;
    desk_.collect([this] { collected_ = true; });
    run_until([this] { return collected_ || worker_.has_frame(); });
    if (collected_) return;
    ASSERT_EQ(worker_.read(), wire::Type::usage);
  }
  void answer(std::uint64_t count, std::vector<wire::SignedUsage> ended = {}) {
    worker_.answer_usage(
        count, [this](const std::string& text) { return key_.sign(text); }, std::move(ended));
    run_until([this] { return collected_; });
  }
  std::vector<std::uint64_t> asked_to_forget() const {
    std::vector<std::uint64_t> ids;
    const auto query = worker_.last<wire::UsageQuery>();
    for (const auto& worker : query->recorded) ids.push_back(worker.worker_id);
    return ids;
  }
  std::vector<Record> written() {
    ledger_.flush();
    std::vector<Record> records;
    std::istringstream lines{audit::slurp(dir_ / "audit/audit-000001.jsonl")};
    for (std::string line; std::getline(lines, line);) records.push_back(*audit::parse_line(line));
    return records;
  }
  std::vector<Record> written(Kind kind) {
    std::vector<Record> records = written();
    std::erase_if(records, [kind](const Record& record) { return record.kind != kind; });
    return records;
  }

  TempDir dir_;
  SystemClock clock_;
  boost::asio::io_context io_;
  audit::TestKey key_;
  test::FakeWorker worker_;
  std::unique_ptr<audit::Log> log_ = *audit::Log::open(dir_ / "audit", {});
  Ledger ledger_{io_, clock_, *log_};
  keystore::TokenPool pool_{io_, clock_, {{{"t"}, worker_.path()}}, [] {}};
  TokenDesk desk_{ledger_, pool_};
  bool collected_ = false;
};

TEST_F(TokenDeskTest, TellsThatTokensAndWorkersComeAndGo) {
  connect();
  worker_.hang_up();
  run_until([this] { return pool_.health(0).workers == 0; });
  std::vector<std::string> events;
  for (const Record& record : written(Kind::token)) events.push_back(record.event);
  EXPECT_THAT(events, ElementsAre("up", "worker_up", "worker_lost", "down"));
  EXPECT_THAT(written(Kind::gap), IsEmpty()) << "nothing was in flight";
}

TEST_F(TokenDeskTest, AWorkerLostWithMacsInFlightLeavesAGap) {
  connect();
  submit_mac();
  worker_.hang_up();
  run_until([this] { return pool_.health(0).workers == 0; });
  const auto gaps = written(Kind::gap);
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].worker, 7U);
  EXPECT_EQ(gaps[0].from, 1U);
  EXPECT_EQ(gaps[0].to, 1U);
}

TEST_F(TokenDeskTest, AsksOnlyWhoHasSignedSinceItWasKept) {
  connect();
  collect();
  EXPECT_FALSE(collected_) << "a worker that came is asked for the last words of others";
  answer(0);
  desk_.kept();
  collect();
  EXPECT_TRUE(collected_) << "nobody has signed";
  submit_mac();
  worker_.answer_mac(worker_.last_id(), 0x11);
  run_until([this] { return pool_.unfinished() == 0; });
  collect();
  ASSERT_FALSE(collected_);
  answer(1);
  const auto usages = written(Kind::usage);
  ASSERT_THAT(usages, SizeIs(1));
  EXPECT_EQ(usages[0].worker_counter, 1U);
  EXPECT_EQ(usages[0].audit_key, hex_encode(sha256(key_.spki())));
  collect();
  EXPECT_FALSE(collected_) << "the last answers were not kept";
}

TEST_F(TokenDeskTest, LastWordsAreForgottenOnceTheyAreOnDisk) {
  connect();
  collect();
  EXPECT_THAT(asked_to_forget(), IsEmpty());
  const std::string text = usage_text("t", 99, 4, {});
  answer(0, {{.text = text, .signature = key_.sign(text)},
             {.text = "hsm-signer usage v1\nno such thing", .signature = {}}});
  const auto gaps = written(Kind::gap);
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].worker, 99U);
  EXPECT_EQ(gaps[0].to, 4U);
  EXPECT_THAT(written(Kind::usage), SizeIs(1));
  collect();
  EXPECT_THAT(asked_to_forget(), IsEmpty()) << "not known to be on disk";
  answer(0, {{.text = text, .signature = key_.sign(text)}});
  EXPECT_THAT(written(Kind::usage), SizeIs(1)) << "told already";
  desk_.kept();
  submit_mac();
  worker_.answer_mac(worker_.last_id(), 0x11);
  run_until([this] { return pool_.unfinished() == 0; });
  collect();
  EXPECT_THAT(asked_to_forget(), ElementsAre(99U));
}

TEST_F(TokenDeskTest, AsksAgainWhoDidNotSay) {
  connect();
  collect();
  answer(0);
  desk_.kept();
  submit_mac();
  worker_.answer_mac(worker_.last_id(), 0x11);
  run_until([this] { return pool_.unfinished() == 0; });
  collect();
  worker_.send(static_cast<wire::Type>(0x7f), worker_.last_id(),
               wire::Failure{.code = "token_unavailable", .sentence = "busy", .approval = {}});
  run_until([this] { return collected_; });
  desk_.kept();
  collect();
  ASSERT_FALSE(collected_) << "one MAC is confirmed by nobody";
  answer(1);
  EXPECT_THAT(written(Kind::usage), SizeIs(1));
}

TEST_F(TokenDeskTest, GoesOnWithoutAWorkerThatIsLostOrTalksNonsense) {
  connect();
  collect();
  worker_.send(wire::Type::usage, worker_.last_id(), wire::Usage{.text = "x", .signature = {1}});
  run_until([this] { return collected_; });
  EXPECT_THAT(written(Kind::usage), IsEmpty());
  collect();
  worker_.hang_up();
  run_until([this] { return collected_; });
  collect();
  EXPECT_TRUE(collected_) << "nobody is there";
}

}  // namespace
}  // namespace hsm::service
