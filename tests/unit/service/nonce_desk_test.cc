#include "hsm_signer/service/nonce_desk.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace hsm::service {
namespace {

keystore::KeyVersion a_version(const std::string& api_key_id, nonce::Form form) {
  keystore::KeyVersion version;
  version.key = {"k"};
  version.version = 1;
  version.api_key_id = {api_key_id};
  version.nonce_form = form;
  return version;
}

class NonceDeskTest : public ::testing::Test {
 protected:
  // As a new start of the daemon on the same state.
  void start(NonceDesk::LoggedMarks logged = {}) {
    desk_.reset();
    state_.reset();
    state_ = *state::State::open(dir_ / "state/state.db", [this](std::function<void()> work) {
      boost::asio::post(io_, std::move(work));
    });
    desk_ = std::make_unique<NonceDesk>(clock_, *state_, std::move(logged));
  }
  void SetUp() override { start(); }
  void TearDown() override {
    state_.reset();  // Its last callbacks are posted, and dropped with the loop.
  }

  // Draws as the signer does: parks until the reservation is there.
  Result<std::string> draw(nonce::MarkIndex mark) {
    for (;;) {
      TRY(const auto drawn, desk_->draw(mark));
      if (drawn) return drawn->text;
      TRY_VOID(wait(mark));
    }
  }
  Result<void> admit(nonce::MarkIndex mark, const std::string& text) {
    for (;;) {
      TRY(const auto drawn, desk_->admit(mark, text));
      if (drawn) return {};
      TRY_VOID(wait(mark));
    }
  }
  Result<void> wait(nonce::MarkIndex mark) {
    std::optional<Result<void>> resumed;
    desk_->park(mark, [&](const Result<void>& outcome) { resumed = outcome; });
    for (int i = 0; i < 1000 && !resumed; ++i) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds{2});
    }
    return resumed.value_or(fail(Code::internal, "nobody resumed"));
  }
  std::string now_ms() const {
    return std::to_string(
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.wall().time_since_epoch())
            .count());
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  // Without it the loop ends while an answer is still on another thread.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::unique_ptr<state::State> state_;
  std::unique_ptr<NonceDesk> desk_;
};

TEST_F(NonceDeskTest, DrawsTheClockAndThenRises) {
  const auto mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  ASSERT_THAT(mark, Succeeds());
  EXPECT_EQ(draw(*mark).value(), now_ms());
  EXPECT_EQ(draw(*mark).value(), std::to_string(std::stoull(now_ms()) + 1));
}

TEST_F(NonceDeskTest, AfterACrashBeginsBehindTheReservation) {
  auto mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  const std::string before = draw(*mark).value();
  start();
  mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  EXPECT_GT(std::stoull(draw(*mark).value()), std::stoull(before) + 1)
      << "what was reserved is lost, not reused";
}

TEST_F(NonceDeskTest, AfterACleanStopLosesNothing) {
  auto mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  const std::string before = draw(*mark).value();
  bool settled = false;
  desk_->settle([&] { settled = true; });
  for (int i = 0; i < 1000 && !settled; ++i) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds{2});
  }
  ASSERT_TRUE(settled);
  start();
  mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  EXPECT_EQ(std::stoull(draw(*mark).value()), std::stoull(before) + 1);
}

TEST_F(NonceDeskTest, TakesNothingAtOrBelowWhatTheLogHolds) {
  start({{{"account-a"}, "5000"}});
  const auto mark = desk_->open(a_version("account-a", nonce::Form::caller_ms));
  EXPECT_THAT(admit(*mark, "5000"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(admit(*mark, "4999"), ErrorIs(Code::nonce_conflict));
  EXPECT_THAT(admit(*mark, "5001"), Succeeds());
  EXPECT_THAT(admit(*mark, "5001"), ErrorIs(Code::nonce_conflict));
}

TEST_F(NonceDeskTest, TakesASleepOfTheMachineForNoStepOfItsClock) {
  const auto mark = desk_->open(a_version("account-a", nonce::Form::signer_ms));
  EXPECT_THAT(draw(*mark), Succeeds());
  clock_.suspend(std::chrono::hours{8});
  EXPECT_THAT(draw(*mark), Succeeds());
  clock_.step_wall(std::chrono::hours{8});
  EXPECT_THAT(draw(*mark), ErrorIs(Code::clock_skew));
}

TEST_F(NonceDeskTest, GivesOneAlarmForAClockThatIsFiveSecondsOffUntilItIsRightAgain) {
  using std::chrono::milliseconds;
  const auto said = [this](milliseconds ahead) {
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(
        (clock_.wall() + ahead).time_since_epoch());
    const auto alarming = desk_->exchange_said(static_cast<std::uint64_t>(time.count()));
    EXPECT_THAT(alarming, Succeeds());
    return alarming.value_or(std::nullopt);
  };
  EXPECT_EQ(said(milliseconds{4'999}), std::nullopt);
  EXPECT_EQ(said(milliseconds{-4'999}), std::nullopt);
  EXPECT_EQ(said(milliseconds{5'000}), milliseconds{5'000});
  EXPECT_EQ(said(milliseconds{20'000}), std::nullopt) << "said already";
  for (int flips = 0; flips < 100; ++flips) {
    EXPECT_EQ(said(milliseconds{0}), std::nullopt);
    EXPECT_EQ(said(milliseconds{-5'000}), std::nullopt) << "one a minute, whatever a client says";
  }
  clock_.advance(std::chrono::minutes{1});
  EXPECT_EQ(said(milliseconds{-5'000}), milliseconds{-5'000}) << "it is so still";
  EXPECT_EQ(said(milliseconds{-5'000}), std::nullopt);
  for (const std::uint64_t absurd : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}})
    EXPECT_THAT(desk_->exchange_said(absurd), ErrorIs(Code::invalid_payload));
}

TEST_F(NonceDeskTest, RefusesOneApiKeyIdInTwoForms) {
  ASSERT_THAT(desk_->open(a_version("account-a", nonce::Form::signer_ms)), Succeeds());
  EXPECT_FALSE(desk_->open(a_version("account-a", nonce::Form::caller_ms)).has_value());
}

TEST_F(NonceDeskTest, LetsLaterCallersStandBehindThoseWhoWait) {
  const auto mark = desk_->open(a_version("account-a", nonce::Form::caller_ms));
  const auto first = desk_->admit(*mark, "1000");
  ASSERT_THAT(first, Succeeds());
  ASSERT_FALSE(first->has_value());
  std::vector<int> order;
  desk_->park(*mark, [&](const Result<void>&) { order.push_back(1); });
  const auto second = desk_->admit(*mark, "1001");
  ASSERT_THAT(second, Succeeds());
  EXPECT_FALSE(second->has_value()) << "1001 must not pass 1000";
  desk_->park(*mark, [&](const Result<void>&) { order.push_back(2); });
  for (int i = 0; i < 1000 && order.size() < 2; ++i) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds{2});
  }
  EXPECT_THAT(order, ::testing::ElementsAre(1, 2));
}

// A request that outlasts the patience of a stop waits for its reservation; the stop gives that
// back, and a panic asks for another. Then the signer is killed and its log is lost.
TEST_F(NonceDeskTest, WhatAStopGaveBackIsNotUsedByWhoeverAsksBehindIt) {
  const keystore::KeyVersion version = a_version("account-a", nonce::Form::caller_ms);
  auto mark = desk_->open(version);
  ASSERT_THAT(admit(*mark, now_ms()), Succeeds());
  const std::string ahead = std::to_string(std::stoull(now_ms()) + 4000);
  ASSERT_FALSE(desk_->admit(*mark, ahead).value().has_value());
  int resumed = 0;
  bool given = false;
  desk_->park(*mark, [&](const Result<void>& reserved) {
    ++resumed;
    given = reserved && desk_->admit(*mark, ahead).value().has_value();
  });
  desk_->settle([] {});
  ASSERT_FALSE(desk_->overtake(*mark).value().has_value());
  desk_->park(*mark, [&](const Result<void>&) { ++resumed; });
  bool all_answered = false;
  state_->raise("another", 1, [&](const Result<Uint128>&) { all_answered = true; });
  for (int i = 0; i < 1000 && !all_answered; ++i) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds{2});
  }
  ASSERT_EQ(resumed, 2);
  start();
  mark = desk_->open(version);
  EXPECT_FALSE(given && admit(*mark, ahead).has_value()) << ahead << " was given out twice";
}

}  // namespace
}  // namespace hsm::service
