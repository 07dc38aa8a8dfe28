// Marks and key rows: what is promised while the disk works.
#include "hsm_signer/state/store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::state {
namespace {

using ::testing::HasSubstr;

class Stores : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open() {
    auto store = Store::open(path_);
    EXPECT_THAT(store, Succeeds());
    return store ? *std::move(store) : nullptr;
  }
  const TempDir dir_;
  const std::string path_ = dir_ / "state.db";
};

KeyRow row(std::uint32_t version = 1, std::uint16_t cka_id = 1) {
  return {.key = "desk-a.trade",
          .version = version,
          .token = "desk",
          .cka_id = cka_id,
          .api_key_id = "account-AbC123",
          .environment = "sandbox",
          .scope = "account",
          .roles = "trader",
          .nonce_form = "signer-ms",
          .kcv = "0011223344556677",
          .state = "staged",
          .owner = "desk a",
          .created = "2026-11-23T19:15:02.123456Z",
          .activated = {},
          .ended = {}};
}

TEST_F(Stores, ReservationsFollowEachOtherWithoutOverlap) {
  const auto store = open();
  EXPECT_EQ(*store->reserve("a", 100), (Reservation{.first = 1, .last = 100, .epoch = 1}));
  EXPECT_EQ(*store->reserve("a", 250), (Reservation{.first = 101, .last = 250, .epoch = 1}));
  EXPECT_EQ(*store->reserve("b", 7), (Reservation{.first = 1, .last = 7, .epoch = 1}));
}

TEST_F(Stores, AMarkAlreadyThereReservesNothing) {
  const auto store = open();
  ASSERT_THAT(store->reserve("a", 100), Succeeds());
  for (const int wanted : {0, 99, 100}) {
    const auto reservation = store->reserve("a", static_cast<Uint128>(wanted));
    ASSERT_THAT(reservation, Succeeds());
    EXPECT_GT(reservation->first, reservation->last);
    EXPECT_EQ(reservation->last, 100U);
  }
}

TEST_F(Stores, MarksAreWiderThan64Bits) {
  const Uint128 wide = Uint128{1} << 96;
  ASSERT_THAT(open()->reserve("a", wide + 5), Succeeds());
  const auto next = open()->reserve("a", wide + 9);
  ASSERT_THAT(next, Succeeds());
  EXPECT_TRUE(next->first == wide + 6 && next->last == wide + 9);
}

TEST_F(Stores, AMarkAtItsEndIsRefused) {
  const auto store = open();
  ASSERT_THAT(store->reserve("a", ~Uint128{0}), Succeeds());
  EXPECT_THAT(store->reserve("a", 1), ErrorIs(Code::internal));
}

TEST_F(Stores, EachOpeningHasAHigherEpoch) {
  EXPECT_EQ(open()->epoch(), 1U);
  EXPECT_EQ(open()->epoch(), 2U);
  EXPECT_EQ(open()->reserve("a", 1)->epoch, 3U);
}

TEST_F(Stores, SettlingGivesBackWhatWasNotUsed) {
  {
    const auto store = open();
    const auto reserved = store->reserve("a", 100);
    ASSERT_THAT(store->settle("a", 17, reserved->epoch), Succeeds());
  }
  EXPECT_EQ(open()->reserve("a", 20)->first, 18U);
}

TEST_F(Stores, SettlingAStaleEpochIsRefused) {
  const std::uint64_t stale = open()->reserve("a", 100)->epoch;
  const auto store = open();
  EXPECT_THAT(store->settle("a", 17, stale), ErrorIs(Code::internal, HasSubstr("another run")));
  // This run has not reserved anything of it either.
  EXPECT_THAT(store->settle("a", 17, store->epoch()), ErrorIs(Code::internal));
  ASSERT_THAT(store->reserve("a", 200), Succeeds());
  EXPECT_THAT(store->settle("a", 17, stale), ErrorIs(Code::internal));
  EXPECT_THAT(store->settle("a", 17, store->epoch() + 1), ErrorIs(Code::internal));
  EXPECT_EQ(store->reserve("a", 0)->last, 200U);
}

TEST_F(Stores, SettlingNeverGoesBelowEarlierRunsOrARaise) {
  ASSERT_THAT(open()->reserve("a", 100), Succeeds());
  const auto store = open();
  ASSERT_THAT(store->reserve("a", 200), Succeeds());
  ASSERT_THAT(store->settle("a", 3, store->epoch()), Succeeds());
  EXPECT_EQ(store->reserve("a", 0)->last, 100U);

  ASSERT_THAT(store->reserve("a", 300), Succeeds());
  ASSERT_THAT(store->raise("a", 250), Succeeds());
  ASSERT_THAT(store->settle("a", 120, store->epoch()), Succeeds());
  EXPECT_EQ(store->reserve("a", 0)->last, 250U);
}

TEST_F(Stores, SettlingMoreThanWasReservedIsRefused) {
  const auto store = open();
  ASSERT_THAT(store->reserve("a", 100), Succeeds());
  EXPECT_THAT(store->settle("a", 101, store->epoch()), ErrorIs(Code::internal, HasSubstr("more")));
  EXPECT_THAT(store->settle("unknown", 0, store->epoch()), ErrorIs(Code::internal));
  EXPECT_EQ(store->reserve("a", 0)->last, 100U);
}

TEST_F(Stores, RaisingTellsTheMarkBeforeAndNeverLowersIt) {
  const auto store = open();
  EXPECT_EQ(*store->raise("a", 50), 0U);
  EXPECT_EQ(*store->raise("a", 40), 50U);
  EXPECT_EQ(*store->raise("a", 60), 50U);
  EXPECT_EQ(store->reserve("a", 0)->last, 60U);
  EXPECT_EQ(store->reserve("a", 70)->first, 61U);
}

// Promise 4: what a process said it had reserved is never given to another, however it ended.
TEST_F(Stores, AKilledProcessNeverLeadsToAReuse) {
  Uint128 highest = 0;
  for (int round = 0; round < 20; ++round) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::open(path_);
      for (Uint128 want = highest + 10; store; want += 10) {
        const auto reserved = (*store)->reserve("a", want);
        if (!reserved || ::write(told[1], &*reserved, sizeof *reserved) < 0) ::_exit(1);
      }
      ::_exit(2);
    }
    ::close(told[1]);
    Reservation got;
    const Uint128 before = highest;
    // Killed at a different place each time, while it goes on reserving.
    for (int i = 0; i <= round % 5; ++i) {
      ASSERT_EQ(::read(told[0], &got, sizeof got), static_cast<ssize_t>(sizeof got));
      EXPECT_GT(got.first, highest);
      highest = got.last;
    }
    ::kill(child, SIGKILL);
    while (::read(told[0], &got, sizeof got) == static_cast<ssize_t>(sizeof got)) {
      EXPECT_GT(got.first, highest);
      highest = got.last;
    }
    ::close(told[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_GT(highest, before);
    EXPECT_GE(open()->reserve("a", 0)->last, highest);
  }
}

TEST_F(Stores, KeysComeBackAsTheyWerePut) {
  KeyRow second = row(2, 2);
  second.activated = second.ended = "2026-11-24T00:00:00.000000Z";
  ASSERT_THAT(open()->put_keys({second, row()}), Succeeds());
  const auto keys = open()->keys();
  ASSERT_THAT(keys, Succeeds());
  EXPECT_EQ(*keys, (std::vector<KeyRow>{row(), second}));
}

TEST_F(Stores, AVersionGoesForwardThroughItsStates) {
  const auto store = open();
  for (const char* state : {"staged", "active", "active", "draining", "retired", "destroyed"}) {
    KeyRow changed = row();
    changed.state = state;
    ASSERT_THAT(store->put_keys({changed}), Succeeds()) << state;
  }
  for (const char* state : {"retired", "active", "staged"}) {
    KeyRow back = row();
    back.state = state;
    EXPECT_THAT(store->put_keys({back}), ErrorIs(Code::internal, HasSubstr("cannot go back")));
  }
}

TEST_F(Stores, WhatAVersionIsCannotChange) {
  const auto store = open();
  ASSERT_THAT(store->put_keys({row()}), Succeeds());
  const std::vector<std::function<void(KeyRow&)>> changes{
      [](KeyRow& r) { r.token = "other"; },
      [](KeyRow& r) { r.cka_id = 9; },
      [](KeyRow& r) { r.api_key_id = "account-Other"; },
      [](KeyRow& r) { r.environment = "production"; },
      [](KeyRow& r) { r.scope = "master"; },
      [](KeyRow& r) { r.nonce_form = "caller-ms"; },
      [](KeyRow& r) { r.created = "2026-11-23T19:15:02.123457Z"; },
      [](KeyRow& r) { r.kcv = "8899aabbccddeeff"; },
      [](KeyRow& r) { r.kcv.clear(); },
  };
  for (const auto& change : changes) {
    KeyRow changed = row();
    change(changed);
    EXPECT_THAT(store->put_keys({changed}), ErrorIs(Code::internal, HasSubstr("cannot change")));
  }
  EXPECT_EQ(*store->keys(), std::vector<KeyRow>{row()});
}

TEST_F(Stores, ACkaIdIsNeverGivenTwiceInAToken) {
  const auto store = open();
  KeyRow destroyed = row();
  destroyed.state = "destroyed";
  ASSERT_THAT(store->put_keys({destroyed}), Succeeds());
  EXPECT_THAT(store->put_keys({row(2, 1)}),
              ErrorIs(Code::internal, HasSubstr("CKA_ID 1 was given to desk-a.trade")));
  KeyRow elsewhere = row(2, 1);
  elsewhere.token = "other";
  EXPECT_THAT(store->put_keys({elsewhere}), Succeeds());
}

TEST_F(Stores, MalformedRowsAreRefusedAndRowsBesideThemNotWritten) {
  const auto store = open();
  const std::vector<std::function<void(KeyRow&)>> changes{
      [](KeyRow& r) { r.key.clear(); },      [](KeyRow& r) { r.version = 0; },
      [](KeyRow& r) { r.token.clear(); },    [](KeyRow& r) { r.cka_id = 0; },
      [](KeyRow& r) { r.state.clear(); },    [](KeyRow& r) { r.state = "gone"; },
      [](KeyRow& r) { r.state = "Active"; },
  };
  for (const auto& change : changes) {
    KeyRow malformed = row(2, 2);
    change(malformed);
    EXPECT_THAT(store->put_keys({row(), malformed}), ErrorIs(Code::internal));
  }
  EXPECT_TRUE(store->keys()->empty());
  EXPECT_THAT(store->put_keys({row()}), Succeeds());
}

TEST_F(Stores, ForgetsWhatItIsToldToAndNeverANonce) {
  const auto store = open();
  ASSERT_THAT(store->raise("audit/sealed", 7), Succeeds());
  ASSERT_THAT(store->raise("nonce/account-a", 7), Succeeds());
  EXPECT_THAT(store->forget("audit/sealed"), Succeeds());
  EXPECT_THAT(store->forget("nonce/account-a"), ErrorIs(Code::internal));
  EXPECT_EQ(*store->raise("audit/sealed", 1), 0U);
  EXPECT_EQ(*store->raise("nonce/account-a", 1), 7U);
}

TEST_F(Stores, NotesComeBackByKindAndInOrderOfTheirNames) {
  {
    const auto store = open();
    ASSERT_THAT(store->put_note("switch", "key:b", "frozen"), Succeeds());
    ASSERT_THAT(store->put_note("switch", "all", "cancel_only"), Succeeds());
    ASSERT_THAT(store->put_note("statement", "all", "spent"), Succeeds());
    ASSERT_THAT(store->put_note("switch", "key:b", "later"), Succeeds());
    ASSERT_THAT(store->put_note("switch", "key:c", "x"), Succeeds());
    ASSERT_THAT(store->erase_note("switch", "key:c"), Succeeds());
  }
  const auto store = open();
  EXPECT_EQ(*store->notes("switch"),
            (std::vector<Note>{{"all", "cancel_only"}, {"key:b", "later"}}));
  EXPECT_EQ(*store->notes("statement"), (std::vector<Note>{{"all", "spent"}}));
  EXPECT_TRUE(store->notes("other")->empty());
}

TEST_F(Stores, ErasingANoteLeavesThoseOfOtherKindsAndNames) {
  const auto store = open();
  ASSERT_THAT(store->put_note("a", "x", "1"), Succeeds());
  ASSERT_THAT(store->put_note("b", "x", "2"), Succeeds());
  for (const auto& [kind, name] : {std::pair{"a", "y"}, {"c", "x"}, {"", ""}, {"a", "X"}})
    EXPECT_THAT(store->erase_note(kind, name), Succeeds());
  EXPECT_EQ(store->notes("a")->size(), 1U);
  ASSERT_THAT(store->erase_note("a", "x"), Succeeds());
  EXPECT_TRUE(store->notes("a")->empty());
  EXPECT_EQ(store->notes("b")->size(), 1U);
}

TEST_F(Stores, NotesHoldAnyTextUpToTheirLimits) {
  const auto store = open();
  const std::string value(kNoteValueLimit, '\'');
  const std::string name(kNoteNameLimit, '"');
  ASSERT_THAT(store->put_note("k", name, value), Succeeds());
  EXPECT_EQ(*store->notes("k"), (std::vector<Note>{{name, value}}));
  EXPECT_THAT(store->put_note("k", name + "x", ""), ErrorIs(Code::internal));
  EXPECT_THAT(store->put_note("k", "n", value + "x"), ErrorIs(Code::internal));
  EXPECT_THAT(store->put_note(name + "x", "n", ""), ErrorIs(Code::internal));
  EXPECT_THAT(store->put_note("", "n", ""), ErrorIs(Code::internal));
  EXPECT_EQ(store->notes("k")->size(), 1U);
}

}  // namespace
}  // namespace hsm::state
