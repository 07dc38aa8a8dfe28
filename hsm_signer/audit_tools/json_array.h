// A JSON file that is one long array of objects, read one object at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit_tools {

// Of one object. The exchange shows at most 500 trades within an order, of some 300 bytes each.
inline constexpr std::size_t kObjectLimit = 1024 * 1024;

// Finds where objects begin and end and holds one of them; whether each is JSON is for who parses
// it. Errors are usage, with the file and the byte.
class JsonArrayReader {
 public:
  static Result<JsonArrayReader> open(const std::string& path);

  // The text of the next object, valid until the next call; nothing behind the last.
  Result<std::optional<std::string_view>> next();
  std::uint64_t number() const { return number_; }  // Of the last one given out, from 1.

 private:
  enum class Place : std::uint8_t { before, first, behind_object, behind_comma, behind };

  JsonArrayReader(std::string path, OwnedFd fd) : path_{std::move(path)}, fd_{std::move(fd)} {}
  // The next byte; nothing at the end.
  Result<std::optional<char>> get();
  // Past white space.
  Result<std::optional<char>> get_token();
  Result<void> take_object();
  tl::unexpected<Error> wrong(std::string_view what) const;

  std::string path_;
  OwnedFd fd_;
  std::string block_;
  std::size_t at_ = 0;        // In block_.
  std::uint64_t offset_ = 0;  // Of the block's end.
  Place place_ = Place::before;
  std::uint64_t number_ = 0;
  std::string object_;
};

}  // namespace hsm::audit_tools
