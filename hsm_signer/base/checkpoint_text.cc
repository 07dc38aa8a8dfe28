#include "hsm_signer/base/checkpoint_text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace hsm {
namespace {

bool is_origin_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == ':' || c == '/' || c == '-';
}

bool is_printable_line(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

auto refuse(std::string_view why) {
  return fail(Code::invalid_payload, "not a checkpoint text", std::string{why});
}

// Takes a line off the front, without its newline; nothing where no newline is left.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc{} || end != text.data() + text.size() || std::to_string(size) != text)
    return refuse("the size is not a plain decimal");
  return size;
}

Result<Sha256> parse_root(std::string_view text) {
  const Result<Bytes> bytes = base64_decode_canonical(text);
  if (!bytes || bytes->size() != Sha256{}.size())
    return refuse("the root is not 32 bytes in base64");
  Sha256 root;
  std::copy(bytes->begin(), bytes->end(), root.begin());
  return root;
}

}  // namespace

bool is_checkpoint_origin(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(), is_origin_character);
}

std::string checkpoint_text(std::string_view origin, std::uint64_t size, const Sha256& root) {
  return std::string{origin} + "\n" + std::to_string(size) + "\n" + base64_encode(root) + "\n";
}

Result<CheckpointText> parse_checkpoint_text(std::string_view text) {
  if (text.size() > kCheckpointTextLimit) return refuse("too long");
  const auto origin = take_line(text);
  const auto size = take_line(text);
  const auto root = take_line(text);
  if (!root) return refuse("fewer than three lines");
  if (!is_checkpoint_origin(*origin)) return refuse("the origin is not [A-Za-z0-9._:/-]{1,128}");
  CheckpointText parsed{.origin = std::string{*origin}};
  TRY(parsed.size, parse_size(*size));
  TRY(parsed.root, parse_root(*root));
  if (parsed.size == 0 && parsed.root != sha256({}))
    return refuse("an empty tree with a root that is not the empty tree's");
  while (!text.empty()) {
    const auto line = take_line(text);
    if (!line || !is_printable_line(*line)) return refuse("an extension line is not printable");
    if (parsed.extensions.size() == kCheckpointExtensionLimit)
      return refuse("too many extension lines");
    parsed.extensions.emplace_back(*line);
  }
  return parsed;
}

Result<void> is_checkpoint_text(std::string_view text) {
  TRY_VOID(parse_checkpoint_text(text));
  return {};
}

}  // namespace hsm
