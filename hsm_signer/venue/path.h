// Matching the `request` of a payload with the path template of a row.
#pragma once

#include <string_view>

namespace hsm::venue {

inline bool has_parameters(std::string_view path) {
  return path.find('{') != std::string_view::npos;
}

// Whether `request` is `path` with each "{…}" replaced by a parameter: 1 to 32 of [A-Za-z0-9-], and
// no word that is itself a segment of another template ("feeEstimate"), in whatever case. Exact
// otherwise: the exchange compares `request` with the URL, so there is nothing to normalise.
bool match_path(std::string_view path, std::string_view request);

// The part of `request` that stands where `path` has "{name}"; empty where it has not. They must
// match.
std::string_view path_parameter(std::string_view path, std::string_view request,
                                std::string_view name);

}  // namespace hsm::venue
