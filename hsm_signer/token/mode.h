// Whether a token host is in earnest.
#pragma once

#include <cstdint>

#include "hsm_signer/base/operator_file.h"

namespace hsm::token {

enum class Mode : std::uint8_t { production, development };

// Of ceilings.toml and allowed_officers.
constexpr FileOwner owner_of_files(Mode mode) {
  return mode == Mode::development ? FileOwner::root_or_self : FileOwner::root;
}

}  // namespace hsm::token
