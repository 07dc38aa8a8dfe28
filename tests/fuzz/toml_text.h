// Writes TOML from values, apart from any parser: what a fuzzer gives back to be read again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hsm::fuzz {

// A basic string; what is not printable ASCII is left to \uXXXX or stands as it came (UTF-8).
inline std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out.append("\\u00").append({kHex[byte >> 4], kHex[byte & 0x0f]});
    else if (c == '"' || c == '\\')
      out.append({'\\', c});
    else
      out.push_back(c);
  }
  return out + "\"";
}

// The lines of one table.
class TomlText {
 public:
  TomlText& header(std::string_view name) {
    text_.append(name).append("\n");
    return *this;
  }
  TomlText& text(std::string_view key, std::string_view value) { return raw(key, quoted(value)); }
  TomlText& number(std::string_view key, std::int64_t value) {
    return raw(key, std::to_string(value));
  }
  TomlText& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string list = "[";
    for (const std::string& value : values) list.append(quoted(value)).append(", ");
    return raw(key, list + "]");
  }
  TomlText& raw(std::string_view key, std::string_view value) {
    text_.append(key).append(" = ").append(value).append("\n");
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

}  // namespace hsm::fuzz
