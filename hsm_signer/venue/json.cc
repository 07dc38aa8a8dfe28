#include "hsm_signer/venue/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/container/small_vector.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <functional>
#include <iterator>
#include <optional>

#include "hsm_signer/venue/ascii.h"

namespace hsm::venue {
namespace {

namespace json = boost::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The names of the objects that are open, innermost last.
class OpenObjects {
 public:
  void open() { starts_.push_back(names_.size()); }
  void close() {
    names_.resize(starts_.back());
    starts_.pop_back();
  }
  std::size_t members() const { return names_.size() - starts_.back(); }
  // 1 for the first; 0 if there is none.
  std::size_t place_of(std::string_view name) const {
    for (std::size_t i = starts_.back(); i < names_.size(); ++i)
      if (equal_ignoring_case(names_[i], name)) return i - starts_.back() + 1;
    return 0;
  }
  void add(std::string_view name) { names_.push_back(name); }

 private:
  boost::container::small_vector<std::string_view, 32> names_;
  boost::container::small_vector<std::size_t, kDepthLimit> starts_;
};

// What basic_parser (Boost 1.81) leaves undone: depth as we count it, NUL in strings, repeated
// names, the size of numbers. Its views into the text are passed on; what it unescaped into its own
// buffer is copied to the arena.
class Strict {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  Strict(std::string_view text, std::string& arena, JsonEvents& events)
      : text_{text}, arena_{arena}, events_{events} {}

  const std::optional<Error>& refusal() const { return refusal_; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& ec) {
    if (!go_deeper(ec)) return false;
    objects_.open();
    return passed(events_.begin(Kind::object), ec);
  }
  bool on_object_end(std::size_t, json::error_code& ec) {
    objects_.close();
    --depth_;
    return passed(events_.end(Kind::object), ec);
  }
  bool on_array_begin(json::error_code& ec) {
    return go_deeper(ec) && passed(events_.begin(Kind::array), ec);
  }
  bool on_array_end(std::size_t, json::error_code& ec) {
    --depth_;
    return passed(events_.end(Kind::array), ec);
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return gather(part); }
  bool on_key(json::string_view last, std::size_t, json::error_code& ec) {
    const std::string_view name = whole(last);
    return check_name(name, ec) && passed(events_.key(name), ec);
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    return gather(part);
  }
  bool on_string(json::string_view last, std::size_t, json::error_code& ec) {
    const std::string_view text = whole(last);
    if (text.find('\0') != text.npos) return refuse(ec, "NUL in a string");
    return scalar(Kind::string, text, ec);
  }
  bool on_number_part(json::string_view part, json::error_code&) { return gather(part); }
  bool on_int64(std::int64_t, json::string_view last, json::error_code& ec) {
    return number(last, ec);
  }
  bool on_uint64(std::uint64_t, json::string_view last, json::error_code& ec) {
    return number(last, ec);
  }
  bool on_double(double, json::string_view last, json::error_code& ec) { return number(last, ec); }
  bool on_bool(bool value, json::error_code& ec) {
    return scalar(Kind::boolean, value ? "true" : "false", ec);
  }
  bool on_null(json::error_code& ec) { return scalar(Kind::null, {}, ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool refuse(json::error_code& ec, std::string_view what, std::string detail = {}) {
    refusal_ = Error{.code = Code::invalid_payload, .what = what, .detail = std::move(detail)};
    ec = json::error::syntax;  // Any will do: parse_json() looks at refusal_ first.
    return false;
  }
  bool passed(bool on, json::error_code& ec) {
    if (on) return true;
    refusal_ = events_.refusal();
    ec = json::error::syntax;
    return false;
  }
  bool go_deeper(json::error_code& ec) {
    if (++depth_ <= kDepthLimit) return true;
    return refuse(ec, "nested too deep", fmt::format("more than {} levels", kDepthLimit));
  }
  bool scalar(Kind kind, std::string_view text, json::error_code& ec) {
    return passed(events_.scalar({kind, text}), ec);
  }
  bool number(json::string_view last, json::error_code& ec) {
    const std::string_view token = whole(last);
    if (token.size() > kNumberLimit)
      return refuse(ec, "number too long", fmt::format("more than {} characters", kNumberLimit));
    const std::size_t mark = token.find_first_of("eE");
    if (mark != token.npos) {
      const std::size_t sign = token[mark + 1] == '+' || token[mark + 1] == '-' ? 1 : 0;
      if (token.size() - mark - 1 - sign > kExponentDigitsLimit)
        return refuse(ec, "number with an exponent of more than two digits");
    }
    return scalar(Kind::number, token, ec);
  }
  bool check_name(std::string_view name, json::error_code& ec) {
    const std::size_t place = objects_.members() + 1;
    if (place > kMembersLimit)
      return refuse(ec, "too many members",
                    fmt::format("more than {} in one object", kMembersLimit));
    if (!std::all_of(name.begin(), name.end(), [](char c) { return is_ascii(c) && c != '\0'; }))
      return refuse(ec, "member name is not ASCII", fmt::format("member {}", place));
    if (const std::size_t other = objects_.place_of(name); other != 0)
      return refuse(ec, "member name repeated, ignoring case",
                    fmt::format("member {} is named as member {}", place, other));
    objects_.add(name);
    return true;
  }

  // A string or number arrives whole, as a view into the text, or in parts where it was unescaped.
  bool gather(json::string_view part) {
    if (part.empty()) return true;
    begin_part();
    arena_.append(part.data(), part.size());
    return true;
  }
  std::string_view whole(json::string_view last) {
    const std::string_view view{last.data(), last.size()};
    const bool in_text = !std::less<>{}(view.data(), text_.data()) &&
                         std::less<>{}(view.data(), text_.data() + text_.size());
    if (!gathering_ && (in_text || view.empty())) return view;
    begin_part();
    arena_.append(view);
    gathering_ = false;
    return std::string_view{arena_}.substr(part_begin_);
  }
  void begin_part() {
    if (gathering_) return;
    gathering_ = true;
    part_begin_ = arena_.size();
    // Each byte of the text is unescaped at most once and never grows, so this is the only
    // allocation.
    if (arena_.capacity() < text_.size()) arena_.reserve(text_.size());
  }

  std::string_view text_;
  std::string& arena_;
  JsonEvents& events_;
  OpenObjects objects_;
  std::size_t depth_ = 0;
  std::size_t part_begin_ = 0;
  bool gathering_ = false;
  std::optional<Error> refusal_;
};

std::string_view what(json::error_code ec) {
  if (ec == json::error::illegal_leading_surrogate ||
      ec == json::error::illegal_trailing_surrogate || ec == json::error::expected_utf16_escape)
    return "lone surrogate in a string";
  if (ec == json::error::incomplete) return "JSON text ends too early";
  return "not JSON in UTF-8";
}

// The short form where there is one, so that a rewritten payload is never longer than what the
// client sent.
void append_escape(char c, std::string& out) {
  constexpr std::string_view kPlain = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetter = "\"\\bfnrt";
  if (const std::size_t at = kPlain.find(c); at != kPlain.npos) {
    out.push_back('\\');
    out.push_back(kLetter[at]);
    return;
  }
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
}

// Of good UTF-8: parse_json() lets no other through. How many bytes the character at the front has.
std::size_t size_of_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

std::uint32_t code_point(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return lead;
  std::uint32_t code = lead & (0x7fU >> character.size());
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned>(c) & 0x3f);
  return code;
}

// RFC 8259 section 7: beyond U+FFFF two escapes, a surrogate each.
void append_code_point(std::uint32_t code, std::string& out) {
  const auto append = [&](std::uint32_t unit) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
  };
  if (code < 0x10000) return append(code);
  append(0xd800 + ((code - 0x10000) >> 10));
  append(0xdc00 + ((code - 0x10000) & 0x3ff));
}

Result<void> check_outside(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) return malformed("byte order mark before the JSON text");
  if (text.find('\0') != text.npos) return malformed("NUL in the JSON text");
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return malformed("empty text, not a JSON object");
  if (text[first] == '{') return {};
  // The Fast API signs the bare nonce, which is JSON too: name it, so that nobody takes it for a
  // parser's fault.
  if (is_digit(text[first]) && text.find_first_not_of("0123456789.", first) == text.npos)
    return malformed(
        "a bare decimal is a WebSocket login, not a JSON object: only sign_ws_login makes those");
  return malformed("not a JSON object");
}

}  // namespace

Result<void> parse_json(std::string_view text, std::string& arena, JsonEvents& events) {
  TRY_VOID(check_outside(text));
  json::basic_parser<Strict> parser{json::parse_options{}, text, arena, events};
  json::error_code ec;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (parser.handler().refusal()) return fail(*parser.handler().refusal());
  if (ec) return malformed(what(ec), fmt::format("at byte {}", read + 1));
  // write_some() takes white space behind the object, and stops without an error before anything
  // else.
  if (read != text.size())
    return malformed("text behind the JSON object", fmt::format("at byte {}", read + 1));
  return {};
}

void append_json_string(std::string_view text, std::string& out) {
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20)
      append_escape(c, out);
    else
      out.push_back(c);
  }
  out.push_back('"');
}

void append_as_ascii(std::string_view json, std::string& out) {
  while (!json.empty()) {
    const std::string_view character = json.substr(0, size_of_character(json));
    json.remove_prefix(character.size());
    if (character.front() >= ' ' && character.front() <= '~')
      out.push_back(character.front());
    else
      append_code_point(code_point(character), out);
  }
}

}  // namespace hsm::venue
