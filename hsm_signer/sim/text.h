// How answers spell what the room holds.
#pragma once

#include <boost/json/string_view.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"

namespace hsm::sim {

inline boost::json::string_view view(std::string_view text) { return {text.data(), text.size()}; }
std::string upper(std::string_view text);  // ASCII alone.
std::int64_t millis_of(Clock::Wall time);  // Since 1970, rounded down.

}  // namespace hsm::sim
