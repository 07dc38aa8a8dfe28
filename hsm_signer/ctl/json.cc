#include "hsm_signer/ctl/json.h"

#include <boost/json/serialize.hpp>
#include <boost/json/string_view.hpp>

namespace hsm::ctl {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view{text.data(), text.size()});
}

}  // namespace

Json& Json::raw(std::string_view name, std::string_view json) {
  if (!members_.empty()) members_ += ',';
  members_.append(quoted(name)).append(":").append(json);
  return *this;
}

Json& Json::text(std::string_view name, std::string_view value) { return raw(name, quoted(value)); }
Json& Json::number(std::string_view name, std::uint64_t value) {
  return raw(name, std::to_string(value));
}
Json& Json::boolean(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}

std::string json_array(const std::vector<std::string>& items) {
  std::string array = "[";
  for (const std::string& item : items) {
    if (array.size() > 1) array += ',';
    array += item;
  }
  return array + "]";
}

}  // namespace hsm::ctl
