// Whatever happens between them, two nonces of one API key never come equal or the wrong way round.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <random>

#include "hsm_signer/nonce/nonce.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/nonce/durable.h"

namespace hsm::nonce {
namespace {

using std::chrono::milliseconds;

// Reservations travel: asked now, durable at some step, known to the book at a later one, or lost
// with the process.
class World {
 public:
  World(Form form, std::uint32_t seed) : form_{form}, random_{seed} { start(); }

  void step() {
    const auto dice = random_() % 1000;
    if (dice < 700) return request();
    if (dice < 900) return clock_.advance(milliseconds{random_() % 200});
    if (dice < 960) return deliver();
    if (dice < 975)
      return clock_.step_wall(milliseconds{static_cast<std::int64_t>(random_() % 20'000) - 10'000});
    if (dice < 980) return stop_cleanly();
    if (dice < 993) return deliver();
    start();  // A crash: all in memory is lost, and with it answers that were under way.
  }
  int given() const { return given_; }
  int starts() const { return starts_; }

 private:
  void start() {
    ++starts_;
    under_way_.reset();
    durable_.start();
    book_.emplace(now_of(clock_));
    mark_ = book_->open(kId, form_).value();
  }
  void stop_cleanly() {
    for (const Settlement& settlement : book_->settle()) durable_.settle(settlement);
    start();
  }
  // Mostly a little above what was last given, as a client counts; else anywhere around the clock.
  std::string callers_nonce() {
    if (random_() % 10 < 8)
      return Value::whole(last_.units / Value::kScale + random_() % 60).text();
    const auto ms =
        std::chrono::duration_cast<milliseconds>(clock_.wall().time_since_epoch()).count();
    return std::to_string(ms + static_cast<std::int64_t>(random_() % 14'000) - 7'000);
  }
  void request() {
    const Now now = now_of(clock_);
    auto outcome =
        is_caller(form_) ? book_->admit(mark_, callers_nonce(), now) : book_->draw(mark_, now);
    if (!outcome) return;
    if (auto* needs = std::get_if<NeedsReserve>(&*outcome)) {
      if (!needs->asked) ask(needs->at_least_last);
      return;
    }
    const auto& drawn = std::get<Drawn>(*outcome);
    ASSERT_GT(drawn.value, last_) << drawn.value.text() << " after " << last_.text();
    last_ = drawn.value;
    ++given_;
    if (drawn.want_refill) ask(drawn.refill_to);
  }
  void ask(Value at_least) {
    ASSERT_FALSE(under_way_.has_value()) << "two reservations under way";
    under_way_ = durable_.reserve(kId, at_least);
  }
  void deliver() {
    if (!under_way_) return;
    if (random_() % 8 == 0) {
      book_->reserve_failed(mark_);  // Durable perhaps, but nobody told us so.
    } else {
      ASSERT_TRUE(book_->install(mark_, *under_way_));
    }
    under_way_.reset();
  }

  const ApiKeyId kId{"account-DDDDDDDDDDDDDDDDDDDD"};
  Form form_;
  std::mt19937 random_;
  FakeClock clock_;
  Durable durable_;
  std::optional<Book> book_;
  MarkIndex mark_ = 0;
  std::optional<Reservation> under_way_;
  Value last_{};
  int given_ = 0;
  int starts_ = 0;
};

class NonceProperty : public ::testing::TestWithParam<Form> {};

TEST_P(NonceProperty, RisesStrictlyOverCrashesStopsAndClockSteps) {
  int given = 0;
  int starts = 0;
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    World world{GetParam(), seed};
    for (int i = 0; i < 5'000; ++i) {
      world.step();
      if (HasFatalFailure()) return;
    }
    given += world.given();
    starts += world.starts();
  }
  EXPECT_GT(given, 5'000);  // Or nothing was shown.
  EXPECT_GT(starts, 1'000);
}

INSTANTIATE_TEST_SUITE_P(Forms, NonceProperty,
                         ::testing::Values(Form::signer_ms, Form::signer_us, Form::signer_s,
                                           Form::caller_ms),
                         [](const auto& row) {
                           std::string text{name(row.param)};
                           text.erase(text.find('-'), 1);
                           return text;
                         });

}  // namespace
}  // namespace hsm::nonce
