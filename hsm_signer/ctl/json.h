// What --json prints: one object per run, members in the order in which docs/man gives them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hsm::ctl {

// A JSON object as it is written. Every add appends one member.
class Json {
 public:
  Json& text(std::string_view name, std::string_view value);
  Json& number(std::string_view name, std::uint64_t value);
  Json& boolean(std::string_view name, bool value);
  // `json` is JSON already.
  Json& raw(std::string_view name, std::string_view json);
  std::string done() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

// An array of what is JSON already.
std::string json_array(const std::vector<std::string>& items);

}  // namespace hsm::ctl
