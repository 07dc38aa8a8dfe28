// Who counts towards a statement, who does not and why, and that it is used once.
#include "hsm_signer/officers/quorum.h"

#include <random>

#include "tests/support/error_is.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kText = "verb: approve\nrequest: r-17\n";
constexpr Clock::Wall kNow{std::chrono::seconds{1'800'000'000}};

// Keys by whose they are: "alice", "alice 2", …
const TestSigner& key_of(const std::string& whose) {
  static std::map<std::string, TestSigner> made;
  auto found = made.find(whose);
  if (found == made.end()) {
    const KeyType type = whose == "dora" ? KeyType::sk_ed25519 : KeyType::ed25519;
    found = made.emplace(whose, TestSigner{type}).first;
  }
  return found->second;
}

Verified signed_by(const std::string& whose, std::string_view text = kText, Byte flags = 0x01) {
  auto result = verify(key_of(whose).sign(text, {.flags = flags}), as_bytes(text), kNamespace);
  EXPECT_THAT(result, Succeeds());
  return std::move(result).value();  // Throws rather than make one of nothing.
}

std::string entry(const std::string& name, const std::vector<std::string>& keys,
                  const std::string& groups) {
  std::string list;
  for (const std::string& key : keys) list += "\"" + key_of(key).line() + "\", ";
  return "[[officer]]\nname = \"" + name + "\"\nkeys = [" + list + "]\ngroups = [" + groups + "]\n";
}

const AllowedOfficers& desk() {
  static const auto allowed = AllowedOfficers::parse(
      "version = 1\n" + entry("alice", {"alice", "alice 2"}, "\"officers\"") +
          entry("bob", {"bob"}, "\"officers\", \"treasury\"") +
          entry("carol", {"carol"}, "\"treasury\"") + entry("dora", {"dora"}, "\"officers\""),
      "allowed_officers");
  EXPECT_THAT(allowed, Succeeds());
  return allowed.value();
}

Demand demand(std::uint32_t need = 2, std::string requester = {}) {
  return {.text = sha256(as_bytes(kText)),
          .group = "officers",
          .need = need,
          .requester = std::move(requester),
          .expires = kNow + 15min};
}

Result<std::vector<std::string>> judge(const std::vector<Verified>& signatures,
                                       const Demand& asked = demand(), Clock::Wall now = kNow) {
  return quorum(desk(), signatures, asked, now);
}

TEST(Quorum, IsMetByAsManyPersonsAsAreNeeded) {
  const auto two = judge({signed_by("bob"), signed_by("alice")});
  ASSERT_THAT(two, Succeeds());
  EXPECT_THAT(*two, ElementsAre("alice", "bob"));
  const auto three = judge({signed_by("dora"), signed_by("bob"), signed_by("alice 2")});
  ASSERT_THAT(three, Succeeds());
  EXPECT_THAT(*three, ElementsAre("alice", "bob", "dora"));
  EXPECT_THAT(judge({signed_by("bob")}, demand(1)), Succeeds());
}

TEST(Quorum, SaysWhoIsMissing) {
  EXPECT_THAT(judge({signed_by("alice")}),
              ErrorIs(Code::approval_required,
                      AllOf(HasSubstr("2 distinct officers of group \"officers\" are needed, 1 has "
                                      "signed: alice"),
                            HasSubstr("who still may: bob, dora"), Not(HasSubstr("carol")),
                            Not(HasSubstr("too few officers")), Not(HasSubstr("not counted")))));
  EXPECT_THAT(judge({signed_by("alice"), signed_by("bob")}, demand(3)),
              ErrorIs(Code::approval_required,
                      AllOf(HasSubstr("2 have signed: alice, bob; who still may: dora"),
                            Not(HasSubstr("too few officers")))));
  EXPECT_THAT(judge({}),
              ErrorIs(Code::approval_required, HasSubstr("are needed, 0 have signed: nobody")));
  EXPECT_THAT(judge({}, demand(1)),
              ErrorIs(Code::approval_required,
                      HasSubstr("1 officer of group \"officers\" is needed, 0 have signed")));
}

TEST(Quorum, CountsAPersonOnceWhateverTheyHaveSigned) {
  for (const std::vector<Verified>& signatures :
       {std::vector{signed_by("alice"), signed_by("alice")},
        std::vector{signed_by("alice"), signed_by("alice 2")},
        std::vector{signed_by("alice 2"), signed_by("alice"), signed_by("alice 2")}})
    EXPECT_THAT(judge(signatures),
                ErrorIs(Code::approval_required, HasSubstr("1 has signed: alice;")));
}

TEST(Quorum, NeverCountsTheRequesterByAnyKey) {
  EXPECT_THAT(
      judge({signed_by("alice"), signed_by("bob")}, demand(2, "alice")),
      ErrorIs(Code::approval_required, AllOf(HasSubstr("1 has signed: bob; who still may: dora"),
                                             HasSubstr("not counted: alice is the requester"))));
  EXPECT_THAT(judge({signed_by("alice 2"), signed_by("bob")}, demand(2, "alice")),
              ErrorIs(Code::approval_required, HasSubstr("alice is the requester")));
  EXPECT_THAT(judge({signed_by("alice")}, demand(1, "alice")), ErrorIs(Code::approval_required));
  EXPECT_THAT(judge({signed_by("dora"), signed_by("bob"), signed_by("alice")}, demand(2, "alice")),
              Succeeds());
  // Nobody of that name is an officer, so nobody is left out.
  EXPECT_THAT(judge({signed_by("alice"), signed_by("bob")}, demand(2, "ali")), Succeeds());
}

TEST(Quorum, CountsNobodyOfAnotherGroup) {
  EXPECT_THAT(
      judge({signed_by("alice"), signed_by("carol")}),
      ErrorIs(Code::approval_required, HasSubstr("not counted: carol is not in the group")));
  Demand asked = demand(1);
  for (const char* group : {"officer", "Officers", "treasury ", "nobody"}) {
    asked.group = group;
    EXPECT_THAT(judge({signed_by("alice"), signed_by("bob"), signed_by("carol")}, asked),
                ErrorIs(Code::approval_required))
        << group;
  }
  asked.group = "treasury";
  EXPECT_THAT(judge({signed_by("carol")}, asked), Succeeds());
}

TEST(Quorum, CountsNoSignatureOverAnotherText) {
  EXPECT_THAT(judge({signed_by("alice"), signed_by("bob", "verb: approve\nrequest: r-18\n")}),
              ErrorIs(Code::approval_required,
                      AllOf(HasSubstr("1 has signed: alice"), HasSubstr("signed another text"))));
}

TEST(Quorum, CountsNobodyWhoIsNotInTheFile) {
  EXPECT_THAT(judge({signed_by("alice"), signed_by("mallory")}),
              ErrorIs(Code::approval_required, HasSubstr("no officer's key: SHA256:")));
}

TEST(Quorum, CountsNoSecurityKeyThatWasNotTouched) {
  EXPECT_THAT(judge({signed_by("alice"), signed_by("dora", kText, 0x04)}),
              ErrorIs(Code::approval_required, HasSubstr("was not touched: dora")));
  EXPECT_THAT(judge({signed_by("alice"), signed_by("dora", kText, 0x04), signed_by("dora")}),
              Succeeds());
}

TEST(Quorum, IsNotSpoiledByWhatDoesNotCount) {
  EXPECT_THAT(judge({signed_by("mallory"), signed_by("carol"), signed_by("bob", "other"),
                     signed_by("alice"), signed_by("bob")}),
              Succeeds());
}

TEST(Quorum, SaysThatItCanNeverBeMet) {
  EXPECT_THAT(judge({signed_by("alice"), signed_by("bob"), signed_by("dora")}, demand(4)),
              ErrorIs(Code::approval_required, HasSubstr("too few officers who may sign this")));
  EXPECT_THAT(judge({signed_by("bob"), signed_by("dora")}, demand(3, "alice")),
              ErrorIs(Code::approval_required, HasSubstr("too few officers who may sign this")));
}

TEST(Quorum, KeepsItsRefusalShort) {
  const std::vector<Verified> many(1000, signed_by("mallory"));
  const auto refused = judge(many);
  EXPECT_THAT(refused, ErrorIs(Code::approval_required, HasSubstr("and 992 more")));
  EXPECT_LT(refused.error().sentence().size(), 1500u);
}

TEST(Quorum, EndsWithTheStatement) {
  const std::vector<Verified> both{signed_by("alice"), signed_by("bob")};
  const Demand asked = demand();
  EXPECT_THAT(judge(both, asked, asked.expires - 1ns), Succeeds());
  for (const auto late : {0ns, 1ns, std::chrono::nanoseconds{24h}})
    EXPECT_THAT(judge(both, asked, asked.expires + late),
                ErrorIs(Code::denied, HasSubstr("the statement has expired: at 2027-01-15T08:15")));
}

TEST(Quorum, IsNeverMetByADemandForNobody) {
  EXPECT_THAT(judge({}, demand(0)), ErrorIs(Code::internal));
  EXPECT_THAT(judge({signed_by("alice")}, demand(0)), ErrorIs(Code::internal));
  Demand nobody = demand(1);
  nobody.group.clear();
  EXPECT_THAT(judge({signed_by("alice")}, nobody), ErrorIs(Code::internal));
}

// ---- Single use ----

TEST(UsedStatements, TakeAnIdOnce) {
  UsedStatements used;
  EXPECT_THAT(used.use("r-17", kNow + 15min, kNow), Succeeds());
  EXPECT_THAT(used.use("r-18", kNow + 15min, kNow), Succeeds());
  for (const auto later : {0min, 1min, 14min})
    EXPECT_THAT(used.use("r-17", kNow + 15min, kNow + later),
                ErrorIs(Code::denied, HasSubstr("used before: r-17")));
  // Nor with another expiry.
  EXPECT_THAT(used.use("r-17", kNow + 16min, kNow), ErrorIs(Code::denied, HasSubstr("before")));
}

TEST(UsedStatements, RefuseWhatHasExpired) {
  UsedStatements used;
  for (const auto ago : {0ns, 1ns, std::chrono::nanoseconds{1h}})
    EXPECT_THAT(used.use("r-17", kNow - ago, kNow), ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_TRUE(used.used().empty());
}

TEST(UsedStatements, RefuseALifeBeyondTheLimit) {
  UsedStatements used;
  EXPECT_THAT(used.use("r-17", kNow + 24h, kNow), Succeeds());
  EXPECT_THAT(used.use("r-18", kNow + 24h + 1ns, kNow),
              ErrorIs(Code::denied, HasSubstr("lives too long")));
  EXPECT_THAT(used.use("r-19", Clock::Wall::max(), kNow), ErrorIs(Code::denied));
}

TEST(UsedStatements, RefuseWhatIsNoId) {
  UsedStatements used;
  for (const std::string& id : {std::string{}, std::string{"r 17"}, std::string{"r\n"},
                                std::string{"r\0", 2}, std::string(65, 'r')})
    EXPECT_THAT(used.use(id, kNow + 1min, kNow), ErrorIs(Code::invalid_payload, HasSubstr("id")));
}

TEST(UsedStatements, AreForgottenOnlyWhenTheyHaveExpired) {
  UsedStatements used;
  EXPECT_THAT(used.use("short", kNow + 1min, kNow), Succeeds());
  EXPECT_THAT(used.use("long", kNow + 1h, kNow), Succeeds());
  EXPECT_THAT(used.use("third", kNow + 1h, kNow + 2min), Succeeds());
  EXPECT_EQ(used.used().size(), 2u);
  EXPECT_EQ(used.forgotten_until(), kNow + 1min);
  EXPECT_THAT(used.use("short", kNow + 1min, kNow + 2min),
              ErrorIs(Code::denied, HasSubstr("expired")));
}

TEST(UsedStatements, StayUsedWhenTheClockIsSetBack) {
  UsedStatements used;
  EXPECT_THAT(used.use("r-17", kNow + 1min, kNow), Succeeds());
  EXPECT_THAT(used.use("r-18", kNow + 1h, kNow + 2min), Succeeds());  // Forgets r-17.
  EXPECT_THAT(used.use("r-17", kNow + 1min, kNow), ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_THAT(used.use("r-18", kNow + 1h, kNow), ErrorIs(Code::denied, HasSubstr("before")));
}

// A clock that was a year ahead for a moment must not lock officers out for a year.
TEST(UsedStatements, WorkAgainAfterAClockThatWasAhead) {
  UsedStatements used;
  EXPECT_THAT(used.use("r-17", kNow + 15min, kNow), Succeeds());
  const auto ahead = kNow + 24h * 365;
  EXPECT_THAT(used.use("r-18", kNow + 15min, ahead), ErrorIs(Code::denied));
  EXPECT_THAT(used.use("r-18", ahead + 15min, ahead), Succeeds());  // Forgets r-17.
  EXPECT_THAT(used.use("r-19", kNow + 16min, kNow), Succeeds());
  EXPECT_THAT(used.use("r-17", kNow + 15min, kNow), ErrorIs(Code::denied));
}

TEST(UsedStatements, RefuseWhenFullAndGoOnWhenSomeHaveExpired) {
  UsedStatements used{{.most = 3}};
  for (const char* id : {"a", "b", "c"}) EXPECT_THAT(used.use(id, kNow + 1min, kNow), Succeeds());
  EXPECT_THAT(used.use("d", kNow + 1h, kNow), ErrorIs(Code::overloaded, HasSubstr("3 have not")));
  // None of them was given up for it.
  for (const char* id : {"a", "b", "c"})
    EXPECT_THAT(used.use(id, kNow + 1min, kNow), ErrorIs(Code::denied));
  EXPECT_THAT(used.use("d", kNow + 1h, kNow + 1min), Succeeds());
}

TEST(UsedStatements, ComeBackFromDurableStateAsTheyWere) {
  UsedStatements before;
  EXPECT_THAT(before.use("r-16", kNow + 1min, kNow), Succeeds());
  EXPECT_THAT(before.use("r-17", kNow + 1h, kNow + 2min), Succeeds());
  UsedStatements after{{.most = 1}, before.used(), before.forgotten_until()};
  EXPECT_THAT(after.use("r-17", kNow + 1h, kNow), ErrorIs(Code::denied, HasSubstr("before")));
  EXPECT_THAT(after.use("r-16", kNow + 1min, kNow), ErrorIs(Code::denied, HasSubstr("expired")));
  EXPECT_THAT(after.use("r-18", kNow + 1h, kNow + 2min), ErrorIs(Code::overloaded));
}

// However the clock runs and whatever is restarted between, no statement is taken twice.
TEST(UsedStatements, ArePromisedToBeUsedOnceOverRandomClocksAndRestarts) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random{seed};
    UsedStatements used{{.most = 20, .longest_life = 1h}};
    std::map<std::pair<std::string, Clock::Wall>, int> taken;
    Clock::Wall now = kNow;
    for (int step = 0; step < 500; ++step) {
      now += std::chrono::seconds{static_cast<int>(random() % 600) - 250};
      const std::string id = "r-" + std::to_string(random() % 30);
      const Clock::Wall expires = kNow + std::chrono::minutes{5 * (random() % 200)};
      if (used.use(id, expires, now)) ++taken[{id, expires}];
      if (random() % 10 == 0)
        used =
            UsedStatements{{.most = 20, .longest_life = 1h}, used.used(), used.forgotten_until()};
      ASSERT_LE(used.used().size(), 20u);
    }
    EXPECT_GT(taken.size(), 10u);
    for (const auto& [statement, times] : taken) EXPECT_EQ(times, 1) << statement.first;
  }
}

}  // namespace
}  // namespace hsm::officers
