// Switches and leases: who is stopped by what, for how long, and what is kept of it as text.
#include "hsm_signer/policy/switches.h"

#include "tests/support/error_is.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using venue::Class;

constexpr std::array kClasses{Class::read,  Class::cancel, Class::trade,  Class::move,
                              Class::widen, Class::admin,  Class::session};

class SwitchesTest : public ::testing::Test {
 protected:
  Switches::Now now() const { return {clock_.wall(), clock_.awake_or_not()}; }
  void set(const char* subject, Switch what, std::string reason = "") {
    ASSERT_THAT(switches_.set(*Subject::parse(subject),
                              {.what = what, .since = {}, .uid = 0, .reason = std::move(reason)}),
                Succeeds());
  }
  void grant(const char* subject, std::chrono::nanoseconds length) {
    switches_.grant(*Subject::parse(subject),
                    {.granted = clock_.wall(), .until = clock_.wall() + length, .uid = 0}, now());
  }
  // "frozen", "cancel_only" or "" for what passes.
  std::string code(Class cls, const char* client = "bot", const char* key = "desk") const {
    const auto refusal = switches_.check(client, key, cls, now());
    return refusal ? std::string{hsm::name(refusal->code)} : "";
  }
  std::string sentence(Class cls = Class::trade) const {
    const auto refusal = switches_.check("bot", "desk", cls, now());
    return refusal ? refusal->sentence : "";
  }
  // The classes that pass, by name.
  std::string passing() const {
    std::string names;
    for (const Class cls : kClasses) {
      if (code(cls).empty()) names.append(names.empty() ? "" : " ").append(venue::name(cls));
    }
    return names;
  }

  FakeClock clock_;
  Switches switches_;
};

TEST_F(SwitchesTest, NothingIsStoppedWhileNothingIsSet) {
  EXPECT_EQ(passing(), "read cancel trade move widen admin session");
  EXPECT_TRUE(switches_.rows(now()).empty());
}

TEST_F(SwitchesTest, FrozenStopsEveryClass) {
  for (const char* subject : {"client:bot", "key:desk", "all"}) {
    set(subject, Switch::frozen);
    EXPECT_EQ(passing(), "") << subject;
    EXPECT_EQ(code(Class::cancel), "frozen") << subject;
    switches_.lift(*Subject::parse(subject));
    EXPECT_EQ(code(Class::trade), "") << subject;
  }
}

TEST_F(SwitchesTest, CancelOnlyLetsCancelsReadsAndHeartbeatsPass) {
  for (const char* subject : {"client:bot", "key:desk", "all"}) {
    set(subject, Switch::cancel_only);
    EXPECT_EQ(passing(), "read cancel session") << subject;
    EXPECT_EQ(code(Class::move), "cancel_only") << subject;
    switches_.lift(*Subject::parse(subject));
  }
}

TEST_F(SwitchesTest, StopOnlyWhomTheyAreFor) {
  set("client:other", Switch::frozen);
  set("key:other", Switch::frozen);
  set("client:desk", Switch::frozen);  // The name of our key, and the other way round.
  set("key:bot", Switch::frozen);
  EXPECT_EQ(code(Class::trade), "");
  EXPECT_EQ(code(Class::trade, "other"), "frozen");
  EXPECT_EQ(code(Class::trade, "bot", "other"), "frozen");
}

TEST_F(SwitchesTest, TheStrictestSpeaksWithItsReason) {
  set("all", Switch::cancel_only, "maintenance");
  EXPECT_EQ(sentence(), "every key only cancels: maintenance");
  set("key:desk", Switch::cancel_only, "odd fills");
  EXPECT_EQ(sentence(), "key \"desk\" only cancels: odd fills");
  grant("all", seconds{1});
  clock_.advance(seconds{1});
  EXPECT_THAT(sentence(), HasSubstr("the lease of every key has lapsed"));
  set("all", Switch::frozen, "stolen laptop");
  EXPECT_EQ(sentence(), "every key is frozen: stolen laptop");
  set("client:bot", Switch::frozen);
  EXPECT_EQ(sentence(), "client \"bot\" is frozen");
}

TEST_F(SwitchesTest, CancelOnlyDoesNotLoosenAFreeze) {
  set("key:desk", Switch::frozen, "first");
  EXPECT_THAT(switches_.set({.kind = Subject::Kind::key, .name = "desk"},
                            {.what = Switch::cancel_only, .since = {}, .uid = 0, .reason = "no"}),
              ErrorIs(Code::denied, HasSubstr("thaw key:desk first")));
  EXPECT_EQ(sentence(), "key \"desk\" is frozen: first");
  set("key:desk", Switch::frozen, "second");
  EXPECT_EQ(sentence(), "key \"desk\" is frozen: second");
}

TEST_F(SwitchesTest, AFreezeTightensCancelOnly) {
  set("key:desk", Switch::cancel_only);
  set("key:desk", Switch::frozen);
  EXPECT_EQ(code(Class::cancel), "frozen");
  switches_.lift(*Subject::parse("key:desk"));
  EXPECT_EQ(code(Class::trade), "") << "nothing is left behind it";
}

TEST_F(SwitchesTest, LiftingOneLeavesTheOthers) {
  set("key:desk", Switch::frozen);
  set("all", Switch::cancel_only);
  grant("key:desk", minutes{1});
  switches_.lift(*Subject::parse("key:desk"));
  switches_.lift(*Subject::parse("client:nobody-set-it"));
  EXPECT_EQ(code(Class::trade), "cancel_only");
  switches_.lift(*Subject::parse("all"));
  EXPECT_EQ(code(Class::trade), "");
  clock_.advance(minutes{1});
  EXPECT_EQ(code(Class::trade), "cancel_only") << "a thaw ends no lease";
}

TEST_F(SwitchesTest, AFrozenKeyIsFrozenWhateverLeaseItHas) {
  set("key:desk", Switch::frozen);
  grant("key:desk", minutes{1});
  EXPECT_EQ(code(Class::cancel), "frozen");
  switches_.end_lease(*Subject::parse("key:desk"));
  EXPECT_EQ(code(Class::cancel), "frozen") << "ending a lease thaws nothing";
}

TEST_F(SwitchesTest, ALeaseLapsesAtItsEndAndThenOnlyCancelsPass) {
  grant("key:desk", minutes{10});
  clock_.advance(minutes{10} - std::chrono::nanoseconds{1});
  EXPECT_EQ(passing(), "read cancel trade move widen admin session");
  clock_.advance(std::chrono::nanoseconds{1});
  EXPECT_EQ(passing(), "cancel") << "a heartbeat or a read would keep stale orders alive";
  EXPECT_EQ(code(Class::session), "cancel_only");
  EXPECT_EQ(sentence(),
            "the lease of key \"desk\" has lapsed: it only cancels until it is renewed");
  clock_.advance(hours{24 * 400});
  EXPECT_EQ(passing(), "cancel");
}

TEST_F(SwitchesTest, ARenewedLeaseGoesOnAndAnEndedOneIsForgotten) {
  grant("client:bot", minutes{10});
  clock_.advance(minutes{9});
  grant("client:bot", minutes{10});
  clock_.advance(minutes{9});
  EXPECT_EQ(code(Class::trade), "");
  clock_.advance(minutes{2});
  EXPECT_EQ(code(Class::trade), "cancel_only");
  grant("client:bot", minutes{10});
  EXPECT_EQ(code(Class::trade), "") << "renewed late is renewed";
  clock_.advance(minutes{11});
  switches_.end_lease(*Subject::parse("client:bot"));
  EXPECT_EQ(code(Class::trade), "");
  EXPECT_TRUE(switches_.rows(now()).empty());
}

TEST_F(SwitchesTest, AShorterLeaseTakesThePlaceOfALongerOne) {
  grant("all", hours{10});
  grant("all", minutes{1});
  clock_.advance(minutes{1});
  EXPECT_EQ(code(Class::read), "cancel_only");
}

TEST_F(SwitchesTest, TheWallClockSetBackProlongsNoLease) {
  grant("all", minutes{10});
  clock_.step_wall(-hours{5});
  clock_.advance(minutes{10});
  EXPECT_EQ(code(Class::trade), "cancel_only");
}

TEST_F(SwitchesTest, TheWallClockSetForwardShortensALease) {
  grant("all", minutes{10});
  clock_.step_wall(minutes{10});
  EXPECT_EQ(code(Class::trade), "cancel_only");
}

TEST_F(SwitchesTest, ALeaseLapsesWhileTheMachineSleeps) {
  grant("all", minutes{10});
  clock_.suspend(minutes{10});
  clock_.step_wall(-minutes{10});
  EXPECT_EQ(code(Class::trade), "cancel_only");
}

struct Restart {
  std::chrono::nanoseconds wall_since_grant;
  std::chrono::nanoseconds then;
  const char* code;
};

TEST_F(SwitchesTest, OverARestartALeaseHasWhatTheWallClockLeavesIt) {
  const Lease lease{.granted = clock_.wall(), .until = clock_.wall() + minutes{10}, .uid = 0};
  for (const Restart& row :
       {Restart{minutes{4}, minutes{5}, ""}, Restart{minutes{4}, minutes{6}, "cancel_only"},
        Restart{minutes{10}, seconds{0}, "cancel_only"},
        Restart{hours{30}, seconds{0}, "cancel_only"},
        // Set back meanwhile: as long as it was granted for, and no longer.
        Restart{-hours{3}, minutes{10} - seconds{1}, ""},
        Restart{-hours{3}, minutes{10}, "cancel_only"}}) {
    FakeClock clock{lease.granted.time_since_epoch() + row.wall_since_grant};
    Switches switches;
    switches.grant(*Subject::parse("all"), lease, {clock.wall(), clock.awake_or_not()});
    clock.advance(row.then);
    const auto refusal =
        switches.check("bot", "desk", Class::trade, {clock.wall(), clock.awake_or_not()});
    EXPECT_EQ(refusal ? hsm::name(refusal->code) : "", row.code) << row.wall_since_grant.count();
  }
}

TEST_F(SwitchesTest, TellEverythingThatIsSetByKindAndName) {
  set("all", Switch::cancel_only, "x");
  set("key:b", Switch::frozen);
  set("client:z", Switch::frozen);
  grant("key:a", minutes{1});
  clock_.advance(minutes{1});
  std::string told;
  for (const Switches::Row& row : switches_.rows(now()))
    told += row.subject.text() + (row.thrown ? "=" + std::string{name(row.thrown->what)} : "") +
            (row.lapsed ? "(lapsed)" : "") + " ";
  EXPECT_EQ(told, "client:z=frozen key:a(lapsed) key:b=frozen all=cancel_only ");
  EXPECT_FALSE(switches_.of(*Subject::parse("key:c"), now()).has_value());
  EXPECT_TRUE(switches_.of(*Subject::parse("key:a"), now())->lapsed);
}

// In a decision.
class SwitchedDecision : public SwitchesTest {
 protected:
  Decision decide_for(uid_t uid, std::string_view json, const KeyFacts* key) {
    payload_ = payload_of(json);
    Scene scene{.rules = rules_};
    scene.switches = &switches_;
    scene.now = clock_.wall();
    scene.awake_or_not = clock_.awake_or_not();
    return decide(scene, {.uid = uid, .gid = 1}, key, *payload_);
  }
  const Rules rules_ = rules_of(R"(version = 1
[[client]]
name = "mm"
uid = "mmbot"
[[client]]
name = "treasury"
uid = "treasury"
[[rule]]
name = "trades"
client = "mm"
key = "desk-a.trade"
allow = ["class:read", "class:trade", "class:cancel"]
[[rule]]
name = "no orders"
client = "mm"
key = "desk-a.trade"
deny = ["/v1/order/new"]
[[rule]]
name = "other"
client = "treasury"
key = "desk-a.funds"
allow = ["class:read"]
)");
  const KeyFacts key_ = production_trader();
  std::optional<venue::Payload> payload_;
};

TEST_F(SwitchedDecision, IsRefusedForTheSwitchBeforeAnyRuleSpeaks) {
  set("key:desk-a.trade", Switch::frozen, "drill");
  const Decision order = decide_for(1001, kOrder, &key_);
  EXPECT_EQ(order.code, Code::frozen);
  EXPECT_EQ(order.rule, "");
  EXPECT_EQ(order.sentence, "key \"desk-a.trade\" is frozen: drill");
  EXPECT_EQ(decide_for(1001, kCancel, &key_).code, Code::frozen);
  KeyFacts retired = key_;
  retired.state = VersionState::retired;
  EXPECT_EQ(decide_for(1001, kCancel, &retired).code, Code::frozen);
}

TEST_F(SwitchedDecision, StillHasItsRulesBehindASwitchThatLetsItPass) {
  set("all", Switch::cancel_only);
  EXPECT_TRUE(decide_for(1001, kCancel, &key_).allowed());
  EXPECT_EQ(decide_for(1001, R"({"request":"/v1/heartbeat"})", &key_).code, Code::denied);
  EXPECT_EQ(decide_for(1001, kOrder, &key_).code, Code::cancel_only);
  switches_.lift(*Subject::parse("all"));
  EXPECT_EQ(decide_for(1001, kOrder, &key_).rule, "no orders");
}

TEST_F(SwitchedDecision, TellsNobodyOfAKeyThatTheyMayNotUse) {
  const std::string read = R"({"request":"/v1/balances"})";
  const std::string before = decide_for(1002, read, &key_).sentence;
  set("key:desk-a.trade", Switch::frozen);
  set("client:mm", Switch::frozen);
  set("all", Switch::frozen);
  EXPECT_EQ(decide_for(1002, read, &key_).sentence, before);
  EXPECT_EQ(decide_for(1002, read, nullptr).sentence, before);
  EXPECT_EQ(decide_for(4711, read, &key_).code, Code::unauthorized);
}

TEST_F(SwitchedDecision, EndsWithItsLease) {
  grant("client:mm", minutes{1});
  EXPECT_TRUE(decide_for(1001, R"({"request":"/v1/balances"})", &key_).allowed());
  clock_.suspend(minutes{1});
  EXPECT_EQ(decide_for(1001, R"({"request":"/v1/balances"})", &key_).code, Code::cancel_only);
  EXPECT_TRUE(decide_for(1001, kCancel, &key_).allowed());
}

TEST(SwitchSubject, IsReadAsItIsWritten) {
  for (const char* text : {"all", "key:desk-a.trade", "client:mm-bot", "key:all"})
    EXPECT_EQ(Subject::parse(text)->text(), text);
  for (const char* text :
       {"", "everybody", "key", "key:", "client:", "all:", "all:x", "key:Desk", "key:a b", "Key:a",
        "key:-a", "key:a:b", " all", "key:a2345678901234567890123456789012x"})
    EXPECT_THAT(Subject::parse(text), ErrorIs(Code::usage)) << text;
  EXPECT_THAT(Subject::make("all", "x"), ErrorIs(Code::usage));
  EXPECT_THAT(Subject::make("key", ""), ErrorIs(Code::usage));
}

TEST(SwitchReason, IsPrintableAsciiOfALimitedLength) {
  EXPECT_TRUE(is_reason(""));
  EXPECT_TRUE(is_reason("fat finger; see #17 ~"));
  EXPECT_TRUE(is_reason(std::string(kReasonLimit, 'x')));
  EXPECT_FALSE(is_reason(std::string(kReasonLimit + 1, 'x')));
  for (const char* text : {"a\nb", "\x1b[2J", "caf\xc3\xa9", "\x7f", "\t"})
    EXPECT_FALSE(is_reason(text)) << text;
  EXPECT_FALSE(is_reason(std::string(1, '\0')));
}

TEST(SwitchText, IsReadAsItIsWrittenAndNoOtherWay) {
  const std::string good = "frozen 2026-11-25T19:00:00.000000Z 1000 fat  finger ";
  ASSERT_THAT(Thrown::parse(good), Succeeds());
  EXPECT_EQ(Thrown::parse(good)->to_text(), good);
  EXPECT_EQ(Thrown::parse(good)->reason, "fat  finger ");
  EXPECT_EQ(Thrown::parse("cancel_only 2026-11-25T19:00:00.000000Z 0 ")->reason, "");
  for (const char* text :
       {"", "frozen", "frozen 2026-11-25T19:00:00.000000Z 0",
        "Frozen 2026-11-25T19:00:00.000000Z 0 ", "thawed 2026-11-25T19:00:00.000000Z 0 ",
        "frozen 2026-11-25T19:00:00Z 0 ", "frozen 2026-11-25T19:00:00.000000Z 00 ",
        "frozen 2026-11-25T19:00:00.000000Z -1 ", "frozen 2026-11-25T19:00:00.000000Z 4294967296 ",
        "frozen 2026-11-25T19:00:00.000000Z  x", "frozen  2026-11-25T19:00:00.000000Z 0 ",
        "frozen 2026-11-25T19:00:00.000000Z 0 a\nb"})
    EXPECT_THAT(Thrown::parse(text), ErrorIs(Code::state_unavailable)) << text;
}

TEST(LeaseText, IsReadAsItIsWrittenAndNoOtherWay) {
  const std::string good = "2026-11-25T19:00:00.000000Z 2026-11-25T19:10:00.000000Z 1000";
  ASSERT_THAT(Lease::parse(good), Succeeds());
  EXPECT_EQ(Lease::parse(good)->to_text(), good);
  for (const char* text : {"", "2026-11-25T19:00:00.000000Z",
                           "2026-11-25T19:00:00.000000Z 2026-11-25T19:10:00.000000Z",
                           "2026-11-25T19:00:00.000000Z 2026-11-25T18:59:59.999999Z 0",
                           "2026-11-25T19:00:00.000000Z 2026-11-25T19:10:00.000000Z 0 ",
                           "2026-11-25T19:00:00.000000Z 2026-11-25T19:10:00.000000Z x",
                           "2026-11-25T19:00:00.000000Z  2026-11-25T19:10:00.000000Z 0"})
    EXPECT_THAT(Lease::parse(text), ErrorIs(Code::state_unavailable)) << text;
}

}  // namespace
}  // namespace hsm::policy
