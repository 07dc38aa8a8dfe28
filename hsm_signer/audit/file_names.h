// Numbered files of the log's directory: prefix, the number in six digits or more where it has
// more, suffix. Inside the room.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hsm::audit {

struct FileNames {
  static constexpr std::size_t kDigits = 6;
  std::string_view prefix;
  std::string_view suffix;

  bool look_like(std::string_view name) const {
    return name.size() >= prefix.size() + suffix.size() && name.starts_with(prefix) &&
           name.ends_with(suffix);
  }
  std::string name(std::uint64_t number) const {
    std::string digits = std::to_string(number);
    if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
    return std::string{prefix} + digits + std::string{suffix};
  }
  // Nothing for any other spelling.
  std::optional<std::uint64_t> number(std::string_view file) const {
    if (!look_like(file)) return std::nullopt;
    const std::string_view digits =
        file.substr(prefix.size(), file.size() - prefix.size() - suffix.size());
    std::uint64_t number = 0;
    const char* const last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, number);
    if (error != std::errc{} || end != last || number == 0 || name(number) != file)
      return std::nullopt;
    return number;
  }
};

inline constexpr FileNames kSegmentNames{"audit-", ".jsonl"};
inline constexpr FileNames kRetiredNames{"audit-retired-", ".json"};

}  // namespace hsm::audit
