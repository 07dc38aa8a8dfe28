// Strings as canonical lines spell them. Inside the room, and for rooms that show records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hsm::audit {

// The code point that begins at `at`, which moves behind it; nothing where the bytes are not UTF-8
// (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF).
std::optional<std::uint32_t> next_code_point(std::string_view text, std::size_t& at);

// What a terminal would obey: C0, DEL, C1.
constexpr bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

// Appends "…" with its quotes. False, and `out` in part written, where `text` is not UTF-8.
bool append_json_string(std::string_view text, std::string& out);

// Reads "…" at `at`, which moves behind it, where it holds plain ASCII and no escape; else nothing,
// and `at` stays.
std::optional<std::string_view> read_plain_string(std::string_view line, std::size_t& at);
// Reads any "…" at `at`, which moves behind it. Takes only what append_json_string() writes.
bool read_json_string(std::string_view line, std::size_t& at, std::string& value);

}  // namespace hsm::audit
