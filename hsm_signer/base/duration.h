// Times as files and command lines spell them: lengths "90s", "15m", "24h", "7d", and instants.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm {

// A whole number from 1 on, without leading zero, and one of s, m, h, d. usage: another form, or
// longer than 366 days.
Result<std::chrono::seconds> parse_duration(std::string_view text);
// In the largest unit that divides it: "24h" of 86,400 s is "1d".
std::string duration_text(std::chrono::seconds length);

// As parse_rfc3339(), and without the microseconds, which nobody writes by hand:
// "2026-12-31T23:59:59Z".
Result<Clock::Wall> parse_instant(std::string_view text);

}  // namespace hsm
