// What is remembered of signatures that left.
#include "hsm_signer/service/released.h"

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"

namespace hsm::service {
namespace {

using nonce::Form;
using std::chrono::seconds;

const ApiKeyId kId{"account-a"};

class ReleasedTest : public ::testing::Test {
 protected:
  void add(std::uint64_t number, const ApiKeyId& id = kId) {
    released_.add(id, {.sequence = number,
                       .endpoint = "/v1/order/new",
                       .nonce = std::to_string(number),
                       .time = clock_.wall()});
  }
  // "3 4 +0": the nonces, and how many more.
  std::string unspent(Form form = Form::signer_ms, const ApiKeyId& id = kId) const {
    const Released::Unspent found = released_.unspent(id, form, clock_.wall());
    std::string text;
    for (const Released::Item& item : found.items) text += item.nonce + " ";
    return text + "+" + std::to_string(found.more);
  }
  audit::Record record(const char* op, const char* endpoint, std::uint64_t number) const {
    audit::Record made = audit::Record::sign(0, 0, 0);
    made.verdict = audit::Verdict::allow;
    made.seq = number;
    made.op = op;
    made.endpoint = endpoint;
    made.nonce = std::to_string(number);
    made.api_key_id = kId.value;
    made.time = clock_.wall();
    return made;
  }

  FakeClock clock_;
  Released released_;
};

TEST_F(ReleasedTest, ListsAllThatNoBurnCovers) {
  EXPECT_EQ(unspent(), "+0");
  add(1);
  add(2);
  clock_.advance(std::chrono::hours{1000});
  EXPECT_EQ(unspent(), "1 2 +0") << "on an incrementing key time spends nothing";
  released_.burnt(kId, "2");
  EXPECT_EQ(unspent(), "+0");
  add(3);
  EXPECT_EQ(unspent(), "3 +0");
}

TEST_F(ReleasedTest, KeepsOneKeyApartFromAnother) {
  const ApiKeyId other{"account-b"};
  add(1);
  add(7, other);
  released_.burnt(other, "9");
  EXPECT_EQ(unspent(), "1 +0");
  EXPECT_EQ(unspent(Form::signer_ms, other), "+0");
}

TEST_F(ReleasedTest, KeepsTheNewestAndCountsTheRest) {
  for (std::uint64_t i = 1; i <= Released::kKept + 3; ++i) add(i);
  const Released::Unspent found = released_.unspent(kId, Form::signer_ms, clock_.wall());
  ASSERT_EQ(found.items.size(), Released::kKept);
  EXPECT_EQ(found.items.front().sequence, 4U);
  EXPECT_EQ(found.more, 3U);
  released_.burnt(kId, std::to_string(Released::kKept));
  EXPECT_EQ(unspent(), "257 258 259 +0");
  for (std::uint64_t i = 1; i <= Released::kKept; ++i) add(1000 + i);
  EXPECT_EQ(released_.unspent(kId, Form::signer_ms, clock_.wall()).more, 3U)
      << "those below the burn are spent, those above it are not";
}

TEST_F(ReleasedTest, OfATimeBasedKeyListsTheLastMinuteWhateverWasBurnt) {
  add(1);
  clock_.advance(seconds{59});
  add(2);
  released_.burnt(kId, "2");
  EXPECT_EQ(unspent(Form::signer_s), "1 2 +0");
  EXPECT_EQ(unspent(Form::caller_s), "1 2 +0");
  EXPECT_EQ(unspent(Form::caller_ms), "+0");
  clock_.advance(seconds{1});
  EXPECT_EQ(unspent(Form::signer_s), "2 +0");
  add(3);
  clock_.advance(seconds{60});
  EXPECT_EQ(unspent(Form::signer_s), "+0");
  EXPECT_EQ(unspent(Form::caller_s), "3 +0") << "it may be an incrementing key after all";
}

TEST_F(ReleasedTest, LearnsFromTheLogWhatLeftAndWhatBurnt) {
  released_.replay(record("sign_request", "/v1/order/new", 1));
  released_.replay(record("panic", "/v1/order/cancel/all", 2));
  EXPECT_EQ(unspent(), "1 2 +0") << "a cancel burns nothing that is above it";
  released_.replay(record("panic", "/v1/heartbeat", 3));
  EXPECT_EQ(unspent(), "+0");
  released_.replay(record("sign_request", "/v1/heartbeat", 4));
  EXPECT_EQ(unspent(), "4 +0") << "a client's heartbeat is no burn";
  audit::Record refused = record("sign_request", "/v1/order/new", 5);
  refused.verdict = audit::Verdict::refuse;
  released_.replay(refused);
  released_.replay(audit::Record::admin_event({.uid = 0, .gid = 0, .pid = 1}, "freeze", "all"));
  EXPECT_EQ(unspent(), "4 +0");
}

}  // namespace
}  // namespace hsm::service
