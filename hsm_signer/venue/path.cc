#include "hsm_signer/venue/path.h"

#include <algorithm>
#include <array>

#include "hsm_signer/venue/ascii.h"

namespace hsm::venue {
namespace {

constexpr std::size_t kParameterLimit = 32;

// Segments of templates that stand where another template has a parameter. A network named so would
// make one text two requests: "/v1/approvedAddresses/account/request" reads the list of network
// "request" or widens that of "account".
constexpr std::array<std::string_view, 5> kReserved{"feeEstimate", "newAddress", "request",
                                                    "remove", "account"};

bool is_parameter(std::string_view text) {
  const auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '-'; };
  if (text.empty() || text.size() > kParameterLimit ||
      !std::all_of(text.begin(), text.end(), allowed))
    return false;
  return std::none_of(kReserved.begin(), kReserved.end(),
                      [&](std::string_view word) { return equal_ignoring_case(word, text); });
}

// Cuts the first segment off `rest`, and the slash behind it.
std::string_view take_segment(std::string_view& rest) {
  const std::size_t size = std::min(rest.find('/'), rest.size());
  const std::string_view segment = rest.substr(0, size);
  rest.remove_prefix(std::min(size + 1, rest.size()));
  return segment;
}

}  // namespace

bool match_path(std::string_view path, std::string_view request) {
  if (std::count(path.begin(), path.end(), '/') != std::count(request.begin(), request.end(), '/'))
    return false;
  while (!path.empty()) {
    const std::string_view wanted = take_segment(path);
    const std::string_view given = take_segment(request);
    const bool fits = wanted.starts_with('{') ? is_parameter(given) : wanted == given;
    if (!fits) return false;
  }
  return request.empty();
}

std::string_view path_parameter(std::string_view path, std::string_view request,
                                std::string_view name) {
  while (!path.empty()) {
    const std::string_view wanted = take_segment(path);
    const std::string_view given = take_segment(request);
    if (wanted.size() == name.size() + 2 && wanted.starts_with('{') &&
        wanted.substr(1, name.size()) == name)
      return given;
  }
  return {};
}

}  // namespace hsm::venue
