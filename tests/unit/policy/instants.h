// Instants that tests name.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"

namespace hsm::policy {

// "2026-03-08 06:59:59", UTC.
inline Clock::Wall at(std::string_view text) {
  std::string rfc{text};
  rfc[10] = 'T';
  return parse_rfc3339(rfc + ".000000Z").value();
}
inline std::chrono::sys_seconds second_at(std::string_view text) {
  return std::chrono::floor<std::chrono::seconds>(at(text));
}

}  // namespace hsm::policy
