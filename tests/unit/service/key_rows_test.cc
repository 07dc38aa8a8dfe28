#include "hsm_signer/service/key_rows.h"

#include "tests/support/error_is.h"

namespace hsm::service {
namespace {

using ::testing::HasSubstr;

keystore::KeyVersion a_version() {
  return {.key = {"desk-a.trade"},
          .version = 3,
          .token = {"main"},
          .cka_id = 7,
          .api_key_id = {"account-abc"},
          .environment = Environment::production,
          .scope = Scope::master,
          .roles = venue::kTrader | venue::kFundManager,
          .nonce_form = nonce::Form::caller_us,
          .kcv = {1, 2, 3, 4, 5, 6, 7, 255},
          .state = VersionState::draining,
          .owner = "treasury",
          .created = Clock::Wall{std::chrono::seconds{1'795'000'000}},
          .activated = Clock::Wall{std::chrono::microseconds{1'795'000'001'000'002}},
          .ended = {}};
}

TEST(KeyRows, ComeBackAsTheyWent) {
  const auto back = from_row(to_row(a_version()));
  ASSERT_THAT(back, Succeeds());
  EXPECT_EQ(*back, a_version());
}

TEST(KeyRows, RefuseWhatThisProgramNeverWrote) {
  const std::vector<std::pair<std::string, void (*)(state::KeyRow&)>> damages{
      {"environment", [](state::KeyRow& row) { row.environment = "staging"; }},
      {"scope", [](state::KeyRow& row) { row.scope = ""; }},
      {"state", [](state::KeyRow& row) { row.state = "Active"; }},
      {"roles", [](state::KeyRow& row) { row.roles = "trader,trader"; }},
      {"nonce_form", [](state::KeyRow& row) { row.nonce_form = "signer-weeks"; }},
      {"created", [](state::KeyRow& row) { row.created = ""; }},
      {"created", [](state::KeyRow& row) { row.created = "2026-02-30T00:00:00.000000Z"; }},
      {"activated", [](state::KeyRow& row) { row.activated = "yesterday"; }},
      {"ended", [](state::KeyRow& row) { row.ended = "2026-01-01T00:00:00Z"; }},
      {"kcv", [](state::KeyRow& row) { row.kcv = "00"; }},
      {"kcv", [](state::KeyRow& row) { row.kcv = "zz02030405060708"; }},
  };
  for (const auto& [column, damage] : damages) {
    state::KeyRow row = to_row(a_version());
    damage(row);
    EXPECT_THAT(from_row(row), ErrorIs(Code::state_unavailable, HasSubstr(column))) << column;
  }
}

}  // namespace
}  // namespace hsm::service
