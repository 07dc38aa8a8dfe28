#include "hsm_signer/base/hash.h"
#include "tests/unit/service/signer_fixture.h"

namespace hsm::service {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBuy =
    R"({"request":"/v1/order/new","symbol":"btcusd","amount":"1","price":"1","side":"buy","type":"exchange limit"})";

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

constexpr const char* kCancelAll = R"({"request":"/v1/order/cancel/all"})";

class SignerOnALowDisk : public SignerTest {
 protected:
  SignerOnALowDisk()
      : SignerTest{std::string{kReadsAndBuys} + R"(
[[rule]]
name = "bot cancels"
client = "bot"
key = "env:sandbox"
allow = ["class:cancel"]
)"} {}
};

TEST_F(SignerOnALowDisk, SignsCancelsAndHeartbeatsAlone) {
  lower_disk();
  EXPECT_THAT(**sign(0, {}, kBuy), ErrorIs(Code::audit_unavailable, HasSubstr("cancels")));
  EXPECT_THAT(**sign(), ErrorIs(Code::audit_unavailable)) << "a read";
  for (const char* request : {kCancelAll, R"({"request":"/v1/heartbeat"})"}) {
    const auto answer = sign(0, {}, request);
    worker_.answer_mac(asked(), 0x5a);
    run_until([&] { return answer->has_value(); });
    EXPECT_THAT(**answer, Succeeds()) << request;
  }
}

TEST_F(SignerOnALowDisk, SignsNoOrderThatStillWaited) {
  const auto first = sign();
  const std::uint64_t id = asked();
  const auto order = sign(0, {}, kBuy), cancel = sign(0, {}, kCancelAll);
  lower_disk();
  worker_.answer_mac(id, 0x5a);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return cancel->has_value() && order->has_value(); });
  EXPECT_THAT(**first, Succeeds()) << "the worker had it already";
  EXPECT_THAT(**cancel, Succeeds());
  EXPECT_THAT(**order, ErrorIs(Code::audit_unavailable));
}

TEST_F(SignerOnALowDisk, SignsOrdersAgainWhenThereIsSpace) {
  lower_disk();
  EXPECT_THAT(**sign(0, {}, kBuy), ErrorIs(Code::audit_unavailable));
  disk_.low = false;
  run_until([&] { return !ledger_.closed_to(venue::Class::trade); });
  const auto order = sign(0, {}, kBuy);
  worker_.answer_mac(asked(), 0x5a);
  run_until([&] { return order->has_value(); });
  EXPECT_THAT(**order, Succeeds());
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
