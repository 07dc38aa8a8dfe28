#include "hsm_signer/sim/nonce.h"

#include <algorithm>

namespace hsm::sim {
namespace {

constexpr std::size_t kMostDigits = 20;
constexpr std::size_t kMostFraction = 9;
constexpr Uint128 kSecond = 1'000'000'000U;

bool all_digits(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<Uint128> billionths(std::string_view text) {
  const std::size_t point = text.find('.');
  std::string digits{text.substr(0, point)};
  if (!all_digits(digits, kMostDigits)) return {};
  std::string fraction;
  if (point != std::string_view::npos) {
    fraction = text.substr(point + 1);
    if (!all_digits(fraction, kMostFraction)) return {};
  }
  digits.append(fraction).append(kMostFraction - fraction.size(), '0');
  Uint128 value = 0;  // 29 digits at most: 97 bits.
  for (char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
  return value;
}

}  // namespace

Outcome<Nonce> read_nonce(const Value* value) {
  if (value == nullptr || value->kind == Kind::null)
    return refuse(Reason::missing_nonce, "The payload must have a nonce.");
  const bool right_kind = value->kind == Kind::number || value->kind == Kind::text;
  const std::optional<Uint128> number = right_kind ? billionths(value->text) : std::nullopt;
  if (!number) {
    return refuse(Reason::invalid_nonce,
                  "The nonce must be a number, or its digits in a string: 1 to 20 digits and at "
                  "most 9 behind "
                  "the point.");
  }
  return Nonce{*number, value->text};
}

tl::unexpected<Refusal> has_not_increased(const Nonce& nonce) {
  return refuse(
      Reason::invalid_nonce,
      "Nonce '" + nonce.text + "' has not increased since your last call to the Gemini API.");
}

Outcome<void> NonceGate::admit(const Nonce& nonce, Clock::Wall now) {
  if (rule_ == NonceRule::incrementing) {
    if (highest_ && nonce.billionths <= *highest_) return has_not_increased(nonce);
    highest_ = nonce.billionths;
    return {};
  }
  const auto server = static_cast<Uint128>(now.time_since_epoch().count());
  const Uint128 apart =
      nonce.billionths > server ? nonce.billionths - server : server - nonce.billionths;
  if (apart <= 30 * kSecond) return {};
  // The stray quote at the end is the exchange's own.
  return refuse(
      Reason::invalid_nonce,
      "Nonce '" + nonce.text + "' is not within 30 seconds of server time '" +
          std::to_string(std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count()) +
          "''");
}

}  // namespace hsm::sim
