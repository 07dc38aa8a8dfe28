#include "hsm_signer/base/duration.h"

#include <array>
#include <charconv>
#include <utility>

namespace hsm {
namespace {

// Largest first.
constexpr std::array<std::pair<char, std::int64_t>, 4> kUnits{
    {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}}};
constexpr std::int64_t kLongest = 366LL * 86'400;

}  // namespace

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto refuse = [] {
    return fail(Code::usage, "not a length of time", "write it as 90s, 15m, 24h or 7d");
  };
  if (text.size() < 2 || text.front() < '1' || text.front() > '9') return refuse();
  std::int64_t count = 0;
  const char* unit = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), unit, count);
  if (error != std::errc{} || end != unit || count > kLongest) return refuse();
  for (const auto& [letter, seconds] : kUnits) {
    if (letter != *unit) continue;
    if (count > kLongest / seconds)
      return fail(Code::usage, "a length of time is at most 366 days");
    return std::chrono::seconds{count * seconds};
  }
  return refuse();
}

std::string duration_text(std::chrono::seconds length) {
  for (const auto& [letter, seconds] : kUnits) {
    if (length.count() != 0 && length.count() % seconds == 0)
      return std::to_string(length.count() / seconds) + letter;
  }
  return "0s";
}

Result<Clock::Wall> parse_instant(std::string_view text) {
  if (text.size() != std::string_view{"2026-01-01T00:00:00Z"}.size() || !text.ends_with('Z'))
    return parse_rfc3339(text);
  return parse_rfc3339(std::string{text.substr(0, text.size() - 1)} + ".000000Z");
}

}  // namespace hsm
