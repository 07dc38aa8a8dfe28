#include "hsm_signer/service/deadlines.h"

#include <boost/asio/io_context.hpp>

#include "tests/support/error_is.h"

namespace hsm::service {
namespace {

using std::chrono::milliseconds;

class DeadlinesTest : public ::testing::Test {
 protected:
  SignReply watch(milliseconds patience) {
    return deadlines_.watch(
        [this](Result<wire::Signed> answer) { heard_.push_back(std::move(answer)); },
        clock_.steady() + patience);
  }
  // The loop ends by itself once no timer is armed.
  void run() {
    io_.restart();
    io_.run_for(std::chrono::seconds{10});
  }

  boost::asio::io_context io_;
  SystemClock clock_;
  Deadlines deadlines_{io_, clock_};
  std::vector<Result<wire::Signed>> heard_;
};

TEST_F(DeadlinesTest, AnswersWhatNobodyAnswered) {
  watch(milliseconds{10});
  run();
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_THAT(heard_[0], ErrorIs(Code::deadline_exceeded));
  EXPECT_EQ(deadlines_.open(), 0U);
}

TEST_F(DeadlinesTest, PassesOnAnAnswerInTimeAndSaysNothingLater) {
  const SignReply reply = watch(milliseconds{10});
  reply(wire::Signed{});
  run();
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_THAT(heard_[0], Succeeds());
}

TEST_F(DeadlinesTest, SwallowsAnAnswerThatComesTooLate) {
  const SignReply reply = watch(milliseconds{10});
  run();
  reply(wire::Signed{});
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_THAT(heard_[0], ErrorIs(Code::deadline_exceeded));
}

TEST_F(DeadlinesTest, DoesNotMakeAShortDeadlineWaitForALongOne) {
  const SignReply patient = watch(std::chrono::hours{1});
  watch(milliseconds{10});
  io_.restart();
  while (heard_.empty()) io_.run_one();
  EXPECT_THAT(heard_[0], ErrorIs(Code::deadline_exceeded));
  EXPECT_EQ(deadlines_.open(), 1U);
  patient(wire::Signed{});
  EXPECT_EQ(deadlines_.open(), 0U);
}

TEST_F(DeadlinesTest, BearsARequestMadeFromWithinAnAnswer) {
  deadlines_.watch([this](const Result<wire::Signed>&) { watch(milliseconds{10}); },
                   clock_.steady() + milliseconds{10});
  run();
  EXPECT_EQ(heard_.size(), 1U);
}

}  // namespace
}  // namespace hsm::service
