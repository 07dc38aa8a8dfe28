// Key versions as the state keeps them: the one place that knows both spellings.
#pragma once

#include <vector>

#include "hsm_signer/keystore/key.h"
#include "hsm_signer/state/store.h"

namespace hsm::service {

state::KeyRow to_row(const keystore::KeyVersion& version);
std::vector<state::KeyRow> to_rows(const std::vector<keystore::KeyVersion>& versions);
// state_unavailable where a row holds what this program never wrote.
Result<keystore::KeyVersion> from_row(const state::KeyRow& row);
Result<std::vector<keystore::KeyVersion>> from_rows(const std::vector<state::KeyRow>& rows);

}  // namespace hsm::service
