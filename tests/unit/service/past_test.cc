// What a start makes of a log and a state that do not know the same.
#include "hsm_signer/service/past.h"

#include <boost/asio/post.hpp>

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PastTest : public ::testing::Test {
 protected:
  // A log sealed at each of these sizes.
  void seal_at(const std::vector<std::uint64_t>& sizes) {
    const auto log = *audit::Log::open(dir_ / "audit", {});
    for (const std::uint64_t size : sizes) {
      while (log->size() < size) audit::write_records(*log, {audit::start_record()});
      audit::seal_head(*log, key_);
    }
  }
  void know(std::uint64_t sealed) {
    ASSERT_THAT(wait_for_state<Uint128>(io_,
                                        [&](state::State::Done<Uint128> done) {
                                          state_->raise(std::string{kSealedScope}, sealed,
                                                        std::move(done));
                                        }),
                Succeeds());
  }
  std::vector<state::Note> switches() {
    return *wait_for_state<std::vector<state::Note>>(
        io_, [&](state::State::Done<std::vector<state::Note>> done) {
          state_->notes("switch", std::move(done));
        });
  }
  Result<Past> start() {
    TRY(const auto log, audit::Log::open(dir_ / "audit", {}));
    TRY(Past past, Past::of_state(io_, *state_, clock_));
    TRY_VOID(check_sealed(io_, *state_, *log, clock_, past));
    return past;
  }
  bool cancels_only(const Past& past) const {
    const policy::Switches::Now now{clock_.wall(), clock_.awake_or_not()};
    return past.switches.check("bot", "k", venue::Class::trade, now) &&
           !past.switches.check("bot", "k", venue::Class::cancel, now);
  }

  TempDir dir_;
  FakeClock clock_;
  boost::asio::io_context io_;
  const audit::TestKey key_;
  std::unique_ptr<state::State> state_ = *state::State::open(
      dir_ / "state.db",
      [this](std::function<void()> work) { boost::asio::post(io_, std::move(work)); });
};

void expect_trusted(const Result<Past>& past) {
  ASSERT_THAT(past, Succeeds());
  EXPECT_FALSE(past->approvals_void);
  EXPECT_THAT(past->events, IsEmpty());
}

TEST_F(PastTest, AStateThatKnowsTheLastSealIsTrusted) {
  expect_trusted(start());
  seal_at({1, 4, 6});
  know(6);
  expect_trusted(start());
}

// A crash between the seal and the note of it.
TEST_F(PastTest, AStateThatIsOneSealBehindIsTrustedAndCatchesUp) {
  seal_at({1, 4, 4, 6, 6});
  know(4);
  expect_trusted(start());
  seal_at({7});
  expect_trusted(start());
}

TEST_F(PastTest, TheFirstSealOfALogMayBeUnknown) {
  seal_at({3});
  expect_trusted(start());
}

TEST_F(PastTest, AnOldCopyOfTheStateSignsCancelsOnlyAndItsApprovalsAreVoid) {
  seal_at({1, 4, 6});
  know(1);
  const auto past = start();
  ASSERT_THAT(past, Succeeds());
  EXPECT_TRUE(past->approvals_void);
  EXPECT_TRUE(cancels_only(*past));
  ASSERT_THAT(past->events, SizeIs(1));
  EXPECT_EQ(past->events[0].action, "cancel_only");
  EXPECT_EQ(past->events[0].subject, "all");
  EXPECT_THAT(past->events[0].detail, HasSubstr("remembers 1 sealed records, the log has 6"));
  EXPECT_THAT(switches(), SizeIs(1)) << "it outlives the next start";
  const auto next = start();
  ASSERT_THAT(next, Succeeds());
  EXPECT_TRUE(cancels_only(*next));
  EXPECT_THAT(next->events, IsEmpty()) << "the state knows of the last seal now";
}

// Or the start after next, without this log, would begin below nonces that have left.
TEST_F(PastTest, AStateIsToldOfTheNoncesThatOnlyTheLogKnows) {
  const ApiKeyId id{"account-AbC123"};
  const auto mark = [&] {
    return *wait_for_state<Uint128>(io_, [&](state::State::Done<Uint128> done) {
      state_->raise(nonce_scope(id), 0, std::move(done));
    });
  };
  const auto start_behind = [&](const std::string& nonce) {
    const auto log = *audit::Log::open(dir_ / "audit", {});
    Past past = *Past::of_state(io_, *state_, clock_);
    past.marks[id] = nonce;
    EXPECT_THAT(check_sealed(io_, *state_, *log, clock_, past), Succeeds());
  };
  EXPECT_EQ(mark(), 0U);
  start_behind("1800000000123");
  EXPECT_EQ(mark(), nonce::Value::parse("1800000000123")->units);
  start_behind("1800000000122");
  EXPECT_EQ(mark(), nonce::Value::parse("1800000000123")->units) << "it never falls";
  start_behind("1800000000123.5");
  EXPECT_EQ(mark(), nonce::Value::parse("1800000000123.5")->units);
}

TEST_F(PastTest, AStateThatWasLostIsAnOldCopyToo) {
  seal_at({1, 4});
  EXPECT_TRUE(cancels_only(*start()));
}

TEST_F(PastTest, AnOldCopyLoosensNothing) {
  seal_at({1, 4, 6});
  const policy::Thrown frozen{.what = policy::Switch::frozen, .since = clock_.wall(), .reason = {}};
  ASSERT_THAT(wait_for_state<void>(io_,
                                   [&](state::State::Done<void> done) {
                                     state_->put_note("switch", "all", frozen.to_text(),
                                                      std::move(done));
                                   }),
              Succeeds());
  const auto past = start();
  ASSERT_THAT(past, Succeeds());
  EXPECT_TRUE(past->switches.check("bot", "k", venue::Class::cancel,
                                   {clock_.wall(), clock_.awake_or_not()}));
}

TEST_F(PastTest, ALogThatIsSealedLessFarIsRefused) {
  seal_at({1, 4});
  know(6);
  EXPECT_THAT(start(), ErrorIs(Code::audit_unavailable, HasSubstr("remembers 6 sealed records")));
  EXPECT_THAT(start(), ErrorIs(Code::audit_unavailable)) << "and stays so";
}

}  // namespace
}  // namespace hsm::service
