#include "hsm_signer/base/ids.h"

#include <algorithm>

namespace hsm {
namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 32 || !is_lower_or_digit(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

bool is_api_key_id(std::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  });
}

std::string key_label(std::string_view key_name, std::uint32_t version) {
  return std::string{key_name} + ".v" + std::to_string(version);
}

}  // namespace hsm
