#include <algorithm>

#include "hsm_signer/sim/call.h"

namespace hsm::sim {
namespace {

constexpr std::size_t kMostText = 256;
constexpr std::string_view kUuid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
// The largest number that is seconds: Gemini takes both, and 10^10 s lie in the year 2286.
constexpr std::uint64_t kMostSeconds = 10'000'000'000;
constexpr std::uint64_t kMostMillis = 9'000'000'000'000;  // What Clock::Wall can hold.

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_uuid(std::string_view text) {
  if (text.size() != kUuid.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (kUuid[i] == '-' ? text[i] != '-' : !hex) return false;
  }
  return true;
}

}  // namespace

Outcome<std::optional<Clock::Wall>> read_timestamp(const Payload& payload) {
  const Value* value = payload.find("timestamp");
  if (value == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> number = value->whole();
  const bool seconds = number && *number < kMostSeconds;
  if (!number || *number > (seconds ? kMostMillis / 1000 : kMostMillis)) {
    return refuse(Reason::invalid_timestamp_in_payload,
                  "timestamp must be seconds or milliseconds since 1970.");
  }
  const auto millis = static_cast<std::int64_t>(seconds ? *number * 1000 : *number);
  return Clock::Wall{std::chrono::milliseconds{millis}};
}

Outcome<const Symbol*> read_symbol(const Payload& payload) {
  if (payload.find("symbol") == nullptr) return nullptr;
  const std::string* name = payload.text("symbol");
  const Symbol* symbol = name == nullptr ? nullptr : find_symbol(*name);
  if (symbol == nullptr)
    return refuse(Reason::invalid_symbol, "symbol must be one of btcusd, ethusd, ethbtc, solusd.");
  return symbol;
}

Outcome<std::size_t> read_limit(const Payload& payload, std::string_view name, std::size_t usual,
                                std::size_t most) {
  const Value* value = payload.find(name);
  if (value == nullptr) return usual;
  const std::optional<std::uint64_t> number = value->whole();
  if (!number || *number == 0)
    return refuse(Reason::invalid_json, std::string{name} + " must be a positive whole number.");
  return std::min<std::size_t>(*number, most);
}

Outcome<std::string> read_optional(const Payload& payload, std::string_view name) {
  if (payload.find(name) == nullptr) return std::string{};
  const std::string* text = payload.text(name);
  const bool printable =
      text != nullptr && text->size() <= kMostText &&
      std::all_of(text->begin(), text->end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
  if (!printable) {
    return refuse(Reason::invalid_json, std::string{name} +
                                            " must be a string of at most 256 printable ASCII "
                                            "characters.");
  }
  return *text;
}

Outcome<std::string> read_required(const Payload& payload, std::string_view name) {
  ADMIT(std::string text, read_optional(payload, name));
  if (text.empty())
    return refuse(Reason::missing_order_field, "Missing field: " + std::string{name});
  return text;
}

Outcome<std::string> read_uuid(const Payload& payload, std::string_view name) {
  ADMIT(std::string text, read_optional(payload, name));
  std::transform(text.begin(), text.end(), text.begin(), lower);
  if (payload.find(name) != nullptr && !is_uuid(text))
    return refuse(Reason::invalid_json, std::string{name} + " must be a UUID.");
  return text;
}

}  // namespace hsm::sim
