#include "hsm_signer/sim/payload.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>

namespace hsm::sim {

namespace json = boost::json;
using json::error_code;
using json::string_view;

// Numbers are wanted as they were sent, which rules out json::value. The names of the functions are
// Boost.JSON's (basic_parser, "Handler").
class PayloadHandler {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  Payload take() { return std::move(payload_); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& error) {
    if (depth_ > 0) put({.kind = Kind::object});
    ++depth_;
    return error.failed() ? false : true;
  }
  bool on_object_end(std::size_t, error_code&) { return leave(); }
  bool on_array_begin(error_code& error) {
    if (depth_ == 0) return stop(error);  // Only an object may stand at the top.
    put({.kind = Kind::array});
    ++depth_;
    if (depth_ == 2) in_list_ = true;
    return true;
  }
  bool on_array_end(std::size_t, error_code&) {
    if (depth_ == 2) in_list_ = false;
    return leave();
  }
  bool on_key_part(string_view part, std::size_t, error_code&) { return gather(part); }
  bool on_key(string_view part, std::size_t, error_code& error) {
    gather(part);
    std::string name = std::exchange(gathered_, {});
    if (depth_ != 1) return true;
    if (payload_.find(name) != nullptr) return stop(error);
    payload_.members_.push_back({std::move(name), {}});
    return true;
  }
  bool on_string_part(string_view part, std::size_t, error_code&) { return gather(part); }
  bool on_string(string_view part, std::size_t, error_code& error) {
    gather(part);
    return scalar(Kind::text, error);
  }
  bool on_number_part(string_view part, error_code&) { return gather(part); }
  bool on_int64(std::int64_t, string_view part, error_code& error) { return number(part, error); }
  bool on_uint64(std::uint64_t, string_view part, error_code& error) { return number(part, error); }
  bool on_double(double, string_view part, error_code& error) { return number(part, error); }
  bool on_bool(bool value, error_code& error) {
    gathered_ = value ? "true" : "false";
    return scalar(Kind::boolean, error);
  }
  bool on_null(error_code& error) { return scalar(Kind::null, error); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  static bool stop(error_code& error) {
    error = json::error::syntax;
    return false;
  }
  bool gather(string_view part) {
    gathered_.append(part.data(), part.size());
    return true;
  }
  bool number(string_view part, error_code& error) {
    gather(part);
    return scalar(Kind::number, error);
  }
  bool scalar(Kind kind, error_code& error) {
    if (depth_ == 0) return stop(error);
    put({.kind = kind, .text = std::exchange(gathered_, {})});
    return true;
  }
  // Depth 1 is the object itself, depth 2 the elements of a list in it. Deeper things have no
  // meaning here.
  void put(Value value) {
    if (depth_ == 1) payload_.members_.back().value = std::move(value);
    if (depth_ == 2 && in_list_) payload_.members_.back().value.items.push_back(std::move(value));
  }
  bool leave() {
    --depth_;
    return true;
  }

  Payload payload_;
  std::string gathered_;
  int depth_ = 0;
  bool in_list_ = false;
};

std::optional<std::uint64_t> Value::whole() const {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const bool digits = error == std::errc{} && stop == end;  // No other kind has such a text.
  return digits ? std::optional{number} : std::nullopt;
}

Outcome<Payload> Payload::read(std::string_view text) {
  json::basic_parser<PayloadHandler> parser{json::parse_options{}};
  error_code error;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (error)
    return refuse(Reason::invalid_json, "The payload is not a JSON object with distinct names.");
  if (text.find_first_not_of(" \t\r\n", read) != std::string_view::npos)
    return refuse(Reason::invalid_json, "The payload does not end with its JSON object.");
  return parser.handler().take();
}

const Value* Payload::find(std::string_view name) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& member) { return member.name == name; });
  return found == members_.end() ? nullptr : &found->value;
}

const std::string* Payload::text(std::string_view name) const {
  const Value* value = find(name);
  return value != nullptr && value->kind == Kind::text ? &value->text : nullptr;
}

std::vector<std::string> Payload::names() const {
  std::vector<std::string> names;
  for (const Member& member : members_) names.push_back(member.name);
  return names;
}

}  // namespace hsm::sim
