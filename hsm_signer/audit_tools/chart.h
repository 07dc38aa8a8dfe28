// Counts over time, and their chart as SVG.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/audit_tools/html.h"
#include "hsm_signer/base/os.h"

namespace hsm::audit_tools {

// Of one series each; what comes beyond them counts as "(others)".
inline constexpr std::size_t kNamesLimit = 1000;
// Eleven years: a log whose clock jumps about takes no more memory than that.
inline constexpr std::size_t kHoursLimit = 100'000;

// How often each name was seen, hour by hour.
class Counts {
 public:
  void add(const std::string& name, Clock::Wall time, std::uint64_t count = 1);

  using Hour = std::chrono::sys_time<std::chrono::hours>;
  using ByName = std::map<std::string, std::uint64_t>;
  const std::map<Hour, ByName>& hours() const { return hours_; }
  // The most frequent first.
  std::vector<std::pair<std::string, std::uint64_t>> totals() const;

 private:
  std::map<Hour, ByName> hours_;
  ByName totals_;
};

// As stacked bars, the six most frequent names by themselves, under `title`, with a legend.
void append_chart(std::string_view title, const Counts& counts, Html& html);

}  // namespace hsm::audit_tools
