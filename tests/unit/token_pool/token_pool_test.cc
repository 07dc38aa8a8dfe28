#include "hsm_signer/keystore/token_pool.h"

#include <boost/asio/io_context.hpp>

#include "tests/support/error_is.h"
#include "tests/support/fake_worker.h"
#include "tests/support/run_until.h"

namespace hsm::keystore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What became of a task, told to the test.
struct Story {
  bool overdue = false;
  int finished = 0;
  Result<Mac> answer = fail(Code::internal, "nothing yet");
};

class MacTask final : public Task {
 public:
  explicit MacTask(std::shared_ptr<Story> story) : story_{std::move(story)} {}
  Result<Written> write(JobId id, Bytes& out) override {
    TRY_VOID(wire::encode(
        out, id,
        wire::MacRequest{
            .label = "k.v1", .cka_id = 1, .key_check = {}, .message = {}, .statements = {}}));
    return Written::yes;
  }
  void parked(std::unique_ptr<Task>) override {}
  void overdue() override { story_->overdue = true; }
  void finished(Result<wire::FrameView> frame) override {
    ++story_->finished;
    if (!frame) {
      story_->answer = fail(frame.error());
      return;
    }
    const auto mac = wire::decode<wire::MacAnswer>(*frame);
    story_->answer = mac ? Result<Mac>{mac->mac} : Result<Mac>{fail(mac.error())};
  }

 private:
  std::shared_ptr<Story> story_;
};

class TokenPoolTest : public ::testing::Test {
 protected:
  TokenPoolTest() : pool_{io_, clock_, {{{"t"}, host_.path()}}, [this] { ++turns_; }} {}

  // Runs the loop until `done` holds; the deadline is for a broken test only.
  template <class Done>
  void run_until(Done done) {
    test::run_until(io_, done);
  }
  void connect(std::uint32_t depth = 4) {
    pool_.start();
    io_.run_for(std::chrono::milliseconds{5});
    host_.accept();
    io_.restart();
    io_.poll();
    host_.greet(depth);
    run_until([this] { return pool_.health(0).workers == 1; });
  }
  std::shared_ptr<Story> submit(KeyIndex key = 1,
                                std::chrono::milliseconds patience = std::chrono::seconds{30}) {
    auto story = std::make_shared<Story>();
    pool_.submit(std::make_unique<MacTask>(story), {.id = 0,
                                                    .key = key,
                                                    .client = 1,
                                                    .token = 0,
                                                    .urgency = Urgency::trade,
                                                    .deadline = clock_.steady() + patience,
                                                    .in_order = false});
    return story;
  }
  void TearDown() override {
    pool_.stop();
    io_.restart();
    io_.poll();
  }

  test::FakeWorker host_;
  SystemClock clock_;
  boost::asio::io_context io_;
  int turns_ = 0;
  TokenPool pool_;
};

TEST_F(TokenPoolTest, SaysAtOnceThatNoWorkerIsUp) {
  const auto story = submit();
  EXPECT_EQ(story->finished, 1);
  EXPECT_THAT(story->answer, ErrorIs(Code::token_unavailable, HasSubstr("no worker")));
}

TEST_F(TokenPoolTest, BringsEachAnswerBackToItsTask) {
  connect();
  const auto first = submit(1), second = submit(2);
  run_until([this] { return pool_.unfinished() == 2; });
  io_.restart();
  io_.poll();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  const std::uint64_t one = host_.last_id();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  host_.answer_mac(one, 0x11);
  host_.answer_mac(host_.last_id(), 0x22);
  run_until([&] { return first->finished == 1 && second->finished == 1; });
  ASSERT_THAT(first->answer, Succeeds());
  EXPECT_EQ((*first->answer)[0], 0x11);
  EXPECT_EQ((*second->answer)[0], 0x22);
  EXPECT_GT(turns_, 0);
}

TEST_F(TokenPoolTest, PassesTheWorkersErrorOn) {
  connect();
  const auto story = submit();
  io_.restart();
  io_.poll();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  Bytes out;
  host_.send(
      static_cast<wire::Type>(0x7f), host_.last_id(),
      wire::Failure{.code = "approval_required", .sentence = "two officers", .approval = {}});
  run_until([&] { return story->finished == 1; });
  EXPECT_THAT(story->answer, ErrorIs(Code::approval_required, HasSubstr("two officers")));
}

TEST_F(TokenPoolTest, FinishesWhatALostWorkerHadAndComesBack) {
  connect();
  const auto in_flight = submit();
  io_.restart();
  io_.poll();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  host_.hang_up();
  run_until([&] { return in_flight->finished == 1; });
  EXPECT_THAT(in_flight->answer, ErrorIs(Code::token_unavailable));
  EXPECT_EQ(pool_.health(0).workers, 0U);
  io_.restart();
  io_.run_for(std::chrono::milliseconds{100});  // It comes back by itself and waits in the queue.
  host_.accept();
  host_.greet();
  run_until([this] { return pool_.health(0).workers == 1; });
}

TEST_F(TokenPoolTest, DropsAWorkerThatAnswersWhatNobodyAsked) {
  connect();
  const auto story = submit();
  io_.restart();
  io_.poll();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  host_.answer_mac(host_.last_id() + 1, 0x11);
  run_until([&] { return story->finished == 1; });
  EXPECT_THAT(story->answer, ErrorIs(Code::token_unavailable));
}

TEST_F(TokenPoolTest, TellsATaskInTheWorkerThatItIsOverdueAndStillBringsTheAnswer) {
  connect();
  const auto story = submit(1, std::chrono::milliseconds{20});
  io_.restart();
  io_.poll();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  run_until([&] { return story->overdue; });
  EXPECT_EQ(story->finished, 0);
  host_.answer_mac(host_.last_id(), 0x33);
  run_until([&] { return story->finished == 1; });
  EXPECT_THAT(story->answer, Succeeds());
}

TEST_F(TokenPoolTest, EndsATaskInTheQueueAtItsDeadline) {
  connect(1);
  const auto holds_the_worker = submit(1);
  const auto waits = submit(2, std::chrono::milliseconds{20});
  run_until([&] { return waits->finished == 1; });
  EXPECT_THAT(waits->answer, ErrorIs(Code::deadline_exceeded));
  EXPECT_EQ(holds_the_worker->finished, 0);
}

TEST_F(TokenPoolTest, NeverHasMoreInAWorkerThanItsDepth) {
  connect(2);
  for (KeyIndex key = 0; key < 5; ++key) submit(key);
  io_.restart();
  io_.run_for(std::chrono::milliseconds{20});
  ASSERT_EQ(host_.read(), wire::Type::mac);
  const std::uint64_t first = host_.last_id();
  ASSERT_EQ(host_.read(), wire::Type::mac);
  host_.answer_mac(first, 1);
  run_until([this] { return pool_.unfinished() == 4; });
  io_.restart();
  io_.run_for(std::chrono::milliseconds{20});
  ASSERT_EQ(host_.read(), wire::Type::mac) << "the freed place is used";
}

// The key was bound to the lost worker; nobody submits anything more.
TEST_F(TokenPoolTest, HandsWhatWaitedForALostWorkerToAnother) {
  pool_.start();
  io_.run_for(std::chrono::milliseconds{5});
  host_.accept();
  io_.restart();
  io_.poll();
  host_.greet(1, {}, 2);
  test::FakeWorker second;
  run_until([this] { return pool_.health(0).workers == 1; });
  io_.restart();
  io_.run_for(std::chrono::milliseconds{20});
  host_.accept_for(second);
  second.greet(1, {}, 2);
  run_until([this] { return pool_.health(0).workers == 2; });
  const auto in_flight = submit(1), waits = submit(1);
  io_.restart();
  io_.run_for(std::chrono::milliseconds{20});
  const bool first_has_it = host_.has_frame();
  test::FakeWorker& busy = first_has_it ? host_ : second;
  test::FakeWorker& idle = first_has_it ? second : host_;
  ASSERT_EQ(busy.read(), wire::Type::mac);
  busy.hang_up();
  run_until([&] { return in_flight->finished == 1; });
  io_.restart();
  io_.run_for(std::chrono::milliseconds{20});
  ASSERT_TRUE(idle.has_frame());
  ASSERT_EQ(idle.read(), wire::Type::mac);
  idle.answer_mac(idle.last_id(), 0x44);
  run_until([&] { return waits->finished == 1; });
  EXPECT_THAT(waits->answer, Succeeds());
}

}  // namespace
}  // namespace hsm::keystore
