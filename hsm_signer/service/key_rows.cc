#include "hsm_signer/service/key_rows.h"

#include <algorithm>

namespace hsm::service {
namespace {

std::string text_of(const std::optional<Clock::Wall>& time) {
  return time ? rfc3339(*time) : std::string{};
}

tl::unexpected<Error> damaged(const state::KeyRow& row, std::string_view column) {
  return fail(Code::state_unavailable, "state.db holds a key row that this program never wrote",
              key_label(row.key, row.version) + ": column " + std::string{column});
}

Result<std::optional<Clock::Wall>> time_of(const std::string& text) {
  if (text.empty()) return std::optional<Clock::Wall>{};
  TRY(const Clock::Wall time, parse_rfc3339(text));
  return std::optional{time};
}

}  // namespace

state::KeyRow to_row(const keystore::KeyVersion& version) {
  return {.key = version.key.value,
          .version = version.version,
          .token = version.token.value,
          .cka_id = version.cka_id,
          .api_key_id = version.api_key_id.value,
          .environment = std::string{name(version.environment)},
          .scope = std::string{name(version.scope)},
          .roles = keystore::roles_text(version.roles),
          .nonce_form = std::string{nonce::name(version.nonce_form)},
          .kcv = hex_encode(version.kcv),
          .state = std::string{name(version.state)},
          .owner = version.owner,
          .created = rfc3339(version.created),
          .activated = text_of(version.activated),
          .ended = text_of(version.ended)};
}

std::vector<state::KeyRow> to_rows(const std::vector<keystore::KeyVersion>& versions) {
  std::vector<state::KeyRow> rows;
  std::transform(versions.begin(), versions.end(), std::back_inserter(rows), to_row);
  return rows;
}

Result<keystore::KeyVersion> from_row(const state::KeyRow& row) {
  const auto environment = from_spelling(kEnvironments, row.environment);
  const auto scope = from_spelling(kScopes, row.scope);
  const auto state = from_spelling(kVersionStates, row.state);
  const auto roles = keystore::roles_from_text(row.roles);
  const auto form = nonce::form_from_name(row.nonce_form);
  const auto kcv = hex_decode(row.kcv);
  const auto created = time_of(row.created);
  const auto activated = time_of(row.activated);
  const auto ended = time_of(row.ended);
  if (!environment) return damaged(row, "environment");
  if (!scope) return damaged(row, "scope");
  if (!state) return damaged(row, "state");
  if (!roles) return damaged(row, "roles");
  if (!form) return damaged(row, "nonce_form");
  if (!created || !*created) return damaged(row, "created");
  if (!activated) return damaged(row, "activated");
  if (!ended) return damaged(row, "ended");
  keystore::KeyVersion version{.key = {row.key},
                               .version = row.version,
                               .token = {row.token},
                               .cka_id = row.cka_id,
                               .api_key_id = {row.api_key_id},
                               .environment = *environment,
                               .scope = *scope,
                               .roles = *roles,
                               .nonce_form = *form,
                               .kcv = {},
                               .state = *state,
                               .owner = row.owner,
                               .created = **created,
                               .activated = *activated,
                               .ended = *ended};
  if (!kcv || kcv->size() != version.kcv.size()) return damaged(row, "kcv");
  std::copy(kcv->begin(), kcv->end(), version.kcv.begin());
  return version;
}

Result<std::vector<keystore::KeyVersion>> from_rows(const std::vector<state::KeyRow>& rows) {
  std::vector<keystore::KeyVersion> versions;
  for (const state::KeyRow& row : rows) {
    TRY(versions.emplace_back(), from_row(row));
  }
  return versions;
}

}  // namespace hsm::service
