#include "hsm_signer/audit_tools/json_array.h"

#include <unistd.h>

#include <cerrno>

namespace hsm::audit_tools {
namespace {

constexpr std::size_t kBlock = 64 * 1024;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Whether the byte is the last of an object, whose first one was its brace.
class Nesting {
 public:
  bool ends_with(char c) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return false;
    }
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') --depth_;
    return depth_ == 0;
  }

 private:
  bool in_string_ = false;
  bool escaped_ = false;
  std::uint64_t depth_ = 1;
};

}  // namespace

Result<JsonArrayReader> JsonArrayReader::open(const std::string& path) {
  TRY(OwnedFd fd, open_regular_file(path));
  return JsonArrayReader{path, std::move(fd)};
}

tl::unexpected<Error> JsonArrayReader::wrong(std::string_view what) const {
  return fail(Code::usage, what,
              path_ + ", at byte " + std::to_string(offset_ - block_.size() + at_));
}

Result<std::optional<char>> JsonArrayReader::get() {
  if (at_ == block_.size()) {
    block_.resize(kBlock);
    at_ = 0;
    ssize_t got = 0;
    do {
      got = ::read(fd_.get(), block_.data(), block_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail(os_error(Code::usage, "cannot read", path_));
    block_.resize(static_cast<std::size_t>(got));
    offset_ += block_.size();
    if (got == 0) return std::optional<char>{};
  }
  return std::optional{block_[at_++]};
}

Result<std::optional<char>> JsonArrayReader::get_token() {
  for (;;) {
    TRY(const std::optional<char> c, get());
    if (!c || !is_space(*c)) return c;
  }
}

// Behind its brace, up to and with the one that closes it.
Result<void> JsonArrayReader::take_object() {
  object_ = "{";
  Nesting nesting;
  for (;;) {
    TRY(const std::optional<char> c, get());
    if (!c) return wrong("the file ends inside an object");
    if (object_.size() == kObjectLimit) return wrong("an object larger than any of a history");
    object_.push_back(*c);
    if (nesting.ends_with(*c)) return {};
  }
}

Result<std::optional<std::string_view>> JsonArrayReader::next() {
  for (;;) {
    TRY(const std::optional<char> c, get_token());
    if (!c) {
      if (place_ == Place::behind) return std::optional<std::string_view>{};
      return wrong("not the whole array that the exchange answers with: the file ends");
    }
    if (place_ == Place::before && *c == '[') {
      place_ = Place::first;
    } else if (place_ == Place::behind_object && *c == ',') {
      place_ = Place::behind_comma;
    } else if ((place_ == Place::first || place_ == Place::behind_object) && *c == ']') {
      place_ = Place::behind;
    } else if ((place_ == Place::first || place_ == Place::behind_comma) && *c == '{') {
      TRY_VOID(take_object());
      place_ = Place::behind_object;
      ++number_;
      return std::optional<std::string_view>{object_};
    } else {
      return wrong("not an array of objects, as the exchange answers with");
    }
  }
}

}  // namespace hsm::audit_tools
