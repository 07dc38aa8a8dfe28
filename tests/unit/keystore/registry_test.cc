#include "hsm_signer/keystore/registry.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/error_is.h"

namespace hsm::keystore {
namespace {

using ::testing::HasSubstr;
using ::testing::IsNull;

const Clock::Wall kNow{std::chrono::seconds{1'800'000'000}};
constexpr KeyCheckValue kKcv{1, 2, 3, 4, 5, 6, 7, 8};
constexpr KeyCheckValue kOtherKcv{8, 7, 6, 5, 4, 3, 2, 1};

NewVersion wanted(std::string key = "desk-a.trade", CkaId cka_id = 1,
                  std::string api = "account-1") {
  return {.key = {std::move(key)},
          .token = {"soft"},
          .cka_id = cka_id,
          .api_key_id = {std::move(api)},
          .environment = Environment::sandbox,
          .scope = Scope::account,
          .roles = venue::kTrader,
          .nonce_form = NonceForm::signer_ms,
          .kcv = kKcv,
          .owner = "desk a"};
}

class KeyRegistry : public ::testing::Test {
 protected:
  void apply(const Result<Change>& change) {
    ASSERT_THAT(change, Succeeds());
    ASSERT_THAT(registry_.apply(*change), Succeeds());
  }
  void add(const NewVersion& version) { apply(registry_.register_version(version, kNow)); }
  void add_active(const NewVersion& version) {
    add(version);
    apply(registry_.activate(version.key.value, registry_.newest(version.key.value)->version,
                             version.kcv, kNow));
  }
  VersionState state(std::string_view key, std::uint32_t version) {
    return registry_.find(key, version)->state;
  }

  Registry registry_;
};

TEST_F(KeyRegistry, ANewVersionIsStagedAndNotActive) {
  add(wanted());
  const KeyVersion* row = registry_.find("desk-a.trade", 1);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->state, VersionState::staged);
  EXPECT_EQ(row->label(), "desk-a.trade.v1");
  EXPECT_EQ(row->created, kNow);
  EXPECT_THAT(registry_.active("desk-a.trade"), IsNull());
}

TEST_F(KeyRegistry, AChangeDoesNothingBeforeItIsApplied) {
  const Result<Change> change = registry_.register_version(wanted(), kNow);
  ASSERT_THAT(change, Succeeds());
  EXPECT_THAT(registry_.newest("desk-a.trade"), IsNull());
}

TEST_F(KeyRegistry, RefusesAChangeThatWasPlannedBeforeAnother) {
  const Result<Change> first = registry_.register_version(wanted("one", 1, "a1"), kNow);
  const Result<Change> second = registry_.register_version(wanted("two", 1, "a2"), kNow);
  apply(first);
  EXPECT_THAT(registry_.apply(*second), ErrorIs(Code::internal));
  EXPECT_THAT(registry_.newest("two"), IsNull());
}

TEST_F(KeyRegistry, ActivatingTheNextVersionDrainsTheOneBefore) {
  add_active(wanted());
  add_active(wanted("desk-a.trade", 2, "account-2"));
  EXPECT_EQ(registry_.active("desk-a.trade")->version, 2U);
  EXPECT_EQ(state("desk-a.trade", 1), VersionState::draining);
}

TEST_F(KeyRegistry, AVersionGoesFromStagedToDestroyedAndNeverBack) {
  add_active(wanted());
  EXPECT_THAT(registry_.activate("desk-a.trade", 1, kKcv, kNow), ErrorIs(Code::key_not_active));
  EXPECT_THAT(registry_.destroyed("desk-a.trade", 1, kNow), ErrorIs(Code::key_not_active));
  apply(registry_.retire("desk-a.trade", 1, kNow));
  EXPECT_THAT(registry_.active("desk-a.trade"), IsNull());
  EXPECT_THAT(registry_.retire("desk-a.trade", 1, kNow), ErrorIs(Code::key_not_active));
  EXPECT_THAT(registry_.activate("desk-a.trade", 1, kKcv, kNow), ErrorIs(Code::key_not_active));
  apply(registry_.destroyed("desk-a.trade", 1, kNow));
  EXPECT_THAT(registry_.destroyed("desk-a.trade", 1, kNow), ErrorIs(Code::key_not_active));
  EXPECT_THAT(registry_.retire("desk-a.trade", 1, kNow), ErrorIs(Code::key_not_active));
}

TEST_F(KeyRegistry, AStagedVersionThatWasNeverImportedCanBeRetired) {
  add(wanted());
  apply(registry_.retire("desk-a.trade", 1, kNow));
  EXPECT_EQ(state("desk-a.trade", 1), VersionState::retired);
}

TEST_F(KeyRegistry, RefusesToActivateAnotherSecretThanWasRegistered) {
  add(wanted());
  EXPECT_THAT(registry_.activate("desk-a.trade", 1, kOtherKcv, kNow),
              ErrorIs(Code::denied, HasSubstr("another secret")));
  EXPECT_EQ(state("desk-a.trade", 1), VersionState::staged);
}

TEST_F(KeyRegistry, RefusesVersionsThatAreNotThere) {
  add(wanted());
  EXPECT_THAT(registry_.activate("desk-a.trade", 2, kKcv, kNow),
              ErrorIs(Code::denied, HasSubstr("desk-a.trade.v2")));
  EXPECT_THAT(registry_.activate("desk-a.trade", 0, kKcv, kNow), ErrorIs(Code::denied));
  EXPECT_THAT(registry_.retire("desk-b", 1, kNow), ErrorIs(Code::denied));
  EXPECT_THAT(registry_.destroyed("\n", 1, kNow), ErrorIs(Code::denied));
}

TEST_F(KeyRegistry, NeverGivesACkaIdTwiceInOneToken) {
  add(wanted());
  apply(registry_.retire("desk-a.trade", 1, kNow));
  apply(registry_.destroyed("desk-a.trade", 1, kNow));
  EXPECT_THAT(registry_.register_version(wanted("desk-b", 1, "account-9"), kNow),
              ErrorIs(Code::denied, HasSubstr("CKA_ID")));
  EXPECT_EQ(*registry_.unused_cka_id({"soft"}), 2);
  EXPECT_EQ(*registry_.unused_cka_id({"yubi"}), 1);
  NewVersion elsewhere = wanted("desk-b", 1, "account-9");
  elsewhere.token = {"yubi"};
  EXPECT_THAT(registry_.register_version(elsewhere, kNow), Succeeds());
}

TEST_F(KeyRegistry, NamesMayShareAnApiKeyOnlyWithOneNonceForm) {
  add(wanted());
  NewVersion shared = wanted("desk-b", 2);
  EXPECT_THAT(registry_.register_version(shared, kNow), Succeeds());
  shared.nonce_form = NonceForm::caller_ms;
  EXPECT_THAT(registry_.register_version(shared, kNow),
              ErrorIs(Code::denied, HasSubstr("never mixed")));
  shared.key = {"desk-a.trade"};
  EXPECT_THAT(registry_.register_version(shared, kNow),
              ErrorIs(Code::denied, HasSubstr("never mixed")));
}

TEST_F(KeyRegistry, KeepsAKeyInItsEnvironmentAndScope) {
  add(wanted());
  NewVersion other = wanted("desk-a.trade", 2, "account-2");
  other.environment = Environment::production;
  EXPECT_THAT(registry_.register_version(other, kNow),
              ErrorIs(Code::denied, HasSubstr("one environment")));
  other = wanted("desk-a.trade", 2, "account-2");
  other.scope = Scope::master;
  EXPECT_THAT(registry_.register_version(other, kNow),
              ErrorIs(Code::denied, HasSubstr("one scope")));
  other = wanted("desk-b", 2, "account-1");
  other.environment = Environment::production;
  EXPECT_THAT(registry_.register_version(other, kNow),
              ErrorIs(Code::denied, HasSubstr("API key id")));
}

TEST_F(KeyRegistry, RefusesWhatIsMalformed) {
  using Spoil = std::function<void(NewVersion&)>;
  const std::vector<std::pair<std::string, Spoil>> rows{
      {"empty name", [](NewVersion& v) { v.key = {""}; }},
      {"capital in the name", [](NewVersion& v) { v.key = {"Desk"}; }},
      {"long name", [](NewVersion& v) { v.key = {std::string(33, 'a')}; }},
      {"token name", [](NewVersion& v) { v.token = {"../soft"}; }},
      {"empty API key id", [](NewVersion& v) { v.api_key_id = {""}; }},
      {"line break in the API key id", [](NewVersion& v) { v.api_key_id = {"account-1\n"}; }},
      {"CKA_ID 0", [](NewVersion& v) { v.cka_id = 0; }},
      {"no roles", [](NewVersion& v) { v.roles = 0; }},
      {"long owner", [](NewVersion& v) { v.owner = std::string(129, 'a'); }}};
  for (const auto& [what, spoil] : rows) {
    NewVersion spoiled = wanted();
    spoil(spoiled);
    EXPECT_THAT(registry_.register_version(spoiled, kNow), ErrorIs(Code::denied)) << what;
  }
}

TEST_F(KeyRegistry, FindsByLabelWhateverTheNameLooksLike) {
  add(wanted("a", 1, "account-1"));
  add(wanted("a.v1", 2, "account-2"));
  EXPECT_EQ(registry_.by_label("a.v1")->key.value, "a");
  EXPECT_EQ(registry_.by_label("a.v1.v1")->key.value, "a.v1");
  for (std::string_view label : {"", "a", "a.v2", "a.v01", "a.v", ".v1", "a.v1 ", "b.v1"})
    EXPECT_THAT(registry_.by_label(label), IsNull()) << label;
}

TEST_F(KeyRegistry, GivesTheLowestCkaIdThatWasNeverGivenUntilAllAreSpent) {
  Change all{{}, 0};
  for (std::uint32_t id = 1; id <= 65'535; ++id) {
    if (id == 300) continue;
    KeyVersion row;
    row.key = {"k" + std::to_string(id)};
    row.version = 1;
    row.token = {"soft"};
    row.cka_id = static_cast<CkaId>(id);
    row.state = VersionState::destroyed;
    all.rows.push_back(row);
  }
  ASSERT_THAT(registry_.apply(all), Succeeds());
  EXPECT_EQ(*registry_.unused_cka_id({"soft"}), 300);
  add(wanted("last", 300));
  EXPECT_THAT(registry_.unused_cka_id({"soft"}), ErrorIs(Code::overloaded, HasSubstr("soft")));
}

TEST_F(KeyRegistry, ComesBackFromItsRows) {
  add_active(wanted());
  add_active(wanted("desk-a.trade", 2, "account-2"));
  add(wanted("desk-b", 3, "account-3"));
  std::vector<KeyVersion> rows;
  for (const KeyVersion* row : registry_.all())
    rows.insert(rows.begin(), *row);  // In another order.
  const Result<Registry> restored = Registry::restore(rows);
  ASSERT_THAT(restored, Succeeds());
  ASSERT_EQ(restored->all().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(*restored->all()[i], *registry_.all()[i]);
  EXPECT_EQ(restored->active("desk-a.trade")->version, 2U);
}

TEST_F(KeyRegistry, RefusesStoredRowsThatContradictEachOther) {
  add_active(wanted());
  add(wanted("desk-a.trade", 2, "account-2"));
  const KeyVersion first = *registry_.find("desk-a.trade", 1);
  const KeyVersion second = *registry_.find("desk-a.trade", 2);

  KeyVersion also_active = second;
  also_active.state = VersionState::active;
  KeyVersion same_cka = second;
  same_cka.cka_id = first.cka_id;
  KeyVersion skipped = second;
  skipped.version = 3;
  KeyVersion mixed = second;
  mixed.api_key_id = first.api_key_id;
  mixed.nonce_form = NonceForm::caller_ns;
  for (const KeyVersion& damaged : {also_active, same_cka, skipped, mixed, first})
    EXPECT_THAT(Registry::restore({first, damaged}), ErrorIs(Code::state_unavailable));
  EXPECT_THAT(Registry::restore({first, second}), Succeeds());
}

TEST(KeyRoles, AreReadAndSpelledTheSameWay) {
  for (std::string_view text : {"trader", "fund_manager", "auditor", "administrator",
                                "trader,fund_manager", "trader,fund_manager,administrator"})
    EXPECT_EQ(roles_text(*roles_from_text(text)), text);
  EXPECT_EQ(roles_text(*roles_from_text("fund_manager,trader")), "trader,fund_manager");
}

TEST(KeyRoles, RefusesWhatTheExchangeDoesNotHave) {
  for (std::string_view text :
       {"", ",", "trader,", ",trader", "Trader", "trader fund_manager", "trader,trader", "admin",
        "fund-manager", "auditor,trader", "auditor,administrator"})
    EXPECT_THAT(roles_from_text(text), ErrorIs(Code::usage)) << text;
}

}  // namespace
}  // namespace hsm::keystore
