#include "hsm_signer/audit/json_text.h"

#include <array>
#include <cstring>

namespace hsm::audit {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

constexpr bool is_plain_ascii(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

// Sixteen bytes at a time: a record has 700 and nearly all are plain.
using Chars = signed char __attribute__((vector_size(16)));

bool are_plain_ascii(Chars chars) {
  // Bytes above 0x7f are below zero here.
  const Chars special = (chars < 0x20) | (chars == 0x7f) | (chars == '"') | (chars == '\\');
  std::array<std::uint64_t, 2> bits{};
  static_assert(sizeof bits == sizeof special);
  std::memcpy(bits.data(), &special, sizeof special);
  return (bits[0] | bits[1]) == 0;
}

std::size_t behind_plain_ascii(std::string_view text, std::size_t at) {
  Chars chars;
  for (; text.size() - at >= sizeof chars; at += sizeof chars) {
    std::memcpy(&chars, text.data() + at, sizeof chars);
    if (!are_plain_ascii(chars)) break;
  }
  while (at < text.size() && is_plain_ascii(text[at])) ++at;
  return at;
}

struct Lead {
  unsigned char mask, mark;
  std::size_t size;
  std::uint32_t least;  // Below this a shorter form exists.
};
constexpr std::array kLeads{Lead{0x80, 0x00, 1, 0}, Lead{0xe0, 0xc0, 2, 0x80},
                            Lead{0xf0, 0xe0, 3, 0x800}, Lead{0xf8, 0xf0, 4, 0x10000}};

// The two hex digits of \u00XX as a control character.
std::optional<unsigned char> escaped_control(std::string_view digits) {
  if (digits.size() != 2) return std::nullopt;
  const std::size_t high = kHex.find(digits[0]);
  const std::size_t low = kHex.find(digits[1]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  const auto code = static_cast<unsigned char>(high << 4 | low);
  if (!is_control(code)) return std::nullopt;
  return code;
}

bool read_escape(std::string_view line, std::size_t& at, std::string& value) {
  if (at + 1 >= line.size()) return false;
  const char kind = line[at + 1];
  if (kind == '"' || kind == '\\') {
    value.push_back(kind);
    at += 2;
    return true;
  }
  if (line.substr(at, 4) != "\\u00") return false;
  const auto code = escaped_control(line.substr(at + 4, 2));
  if (!code) return false;
  if (*code >= 0x80) value.push_back(static_cast<char>(0xc2));
  value.push_back(static_cast<char>(*code));
  at += 6;
  return true;
}

}  // namespace

std::optional<std::uint32_t> next_code_point(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at]);
  for (const Lead& lead : kLeads) {
    if ((first & lead.mask) != lead.mark) continue;
    if (text.size() - at < lead.size) return std::nullopt;
    std::uint32_t code = first & static_cast<unsigned char>(~lead.mask);
    for (std::size_t i = 1; i < lead.size; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return std::nullopt;
      code = code << 6 | (next & 0x3f);
    }
    if (code < lead.least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return std::nullopt;
    at += lead.size;
    return code;
  }
  return std::nullopt;
}

bool append_json_string(std::string_view text, std::string& out) {
  out.push_back('"');
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    at = behind_plain_ascii(text, at);
    out.append(text, start, at - start);
    if (at == text.size()) break;
    const std::size_t special = at;
    const auto code = next_code_point(text, at);
    if (!code) return false;
    if (is_control(*code)) {
      out.append("\\u00").append({kHex[*code >> 4], kHex[*code & 0x0f]});
    } else {
      if (*code == '"' || *code == '\\') out.push_back('\\');
      out.append(text, special, at - special);
    }
  }
  out.push_back('"');
  return true;
}

std::optional<std::string_view> read_plain_string(std::string_view line, std::size_t& at) {
  if (at >= line.size() || line[at] != '"') return std::nullopt;
  const std::size_t end = behind_plain_ascii(line, at + 1);
  if (end == line.size() || line[end] != '"') return std::nullopt;
  const std::string_view text = line.substr(at + 1, end - at - 1);
  at = end + 1;
  return text;
}

bool read_json_string(std::string_view line, std::size_t& at, std::string& value) {
  if (const auto plain = read_plain_string(line, at)) {
    value.assign(*plain);
    return true;
  }
  if (at >= line.size() || line[at] != '"') return false;
  value.clear();
  for (++at; at < line.size();) {
    const std::size_t start = at;
    at = behind_plain_ascii(line, at);
    value.append(line, start, at - start);
    if (at == line.size()) return false;
    if (line[at] == '"') {
      ++at;
      return true;
    }
    if (line[at] == '\\') {
      if (!read_escape(line, at, value)) return false;
      continue;
    }
    const std::size_t raw = at;
    const auto code = next_code_point(line, at);
    if (!code || is_control(*code)) return false;
    value.append(line, raw, at - raw);
  }
  return false;
}

}  // namespace hsm::audit
