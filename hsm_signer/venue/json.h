// JSON that every parser reads the same way (RFC 8259, and less): the layer under the strict
// payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::venue {

inline tl::unexpected<Error> malformed(std::string_view what, std::string detail = {}) {
  return fail(Code::invalid_payload, what, std::move(detail));
}

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

// Views live as long as the text (and the arena) they came from.
struct Value {
  Kind kind;
  std::string_view
      text;  // string: unescaped UTF-8; number: the raw token; boolean: "true"/"false"; else empty.
};

inline constexpr std::size_t kDepthLimit = 8;  // The outermost object is the first level.
inline constexpr std::size_t kMembersLimit =
    64;  // Of one object; bounds the search for repeated names.
// A double holds no more than 1.8e308: longer tokens or exponents overflow in some parsers and not
// in others.
inline constexpr std::size_t kNumberLimit = 48;
inline constexpr std::size_t kExponentDigitsLimit = 2;

// What parse_json() reads, in the order of the text. `false` ends the parsing; parse_json() then
// fails with refusal().
class JsonEvents {
 public:
  virtual bool begin(Kind container) = 0;  // array or object.
  virtual bool end(Kind container) = 0;
  virtual bool key(std::string_view name) = 0;  // Unescaped.
  virtual bool scalar(const Value& value) = 0;
  virtual Error refusal() = 0;

 protected:
  ~JsonEvents() = default;
};

// Reads the whole of `text`, which has to be one object. Refuses, with invalid_payload: a byte
// order mark, NUL (also escaped), bytes that are not UTF-8, lone surrogates, text behind the
// object, more depth or members than the limits say, numbers beyond theirs, member names that are
// not ASCII or are equal, ignoring case, to another of the same object after unescaping. Views
// given to `events` point into `text` or into `arena`, which is reserved once, so they live as long
// as both.
Result<void> parse_json(std::string_view text, std::string& arena, JsonEvents& events);

// Appends `text` as a JSON string with its quotes: no escape that RFC 8259 section 7 does not
// demand.
void append_json_string(std::string_view text, std::string& out);

// Appends JSON text that append_json_string() and its like wrote, in UTF-8, with each character
// above `~` as \uXXXX or a pair of them: what is outside of strings is ASCII anyway.
void append_as_ascii(std::string_view json, std::string& out);

}  // namespace hsm::venue
