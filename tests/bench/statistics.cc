#include "tests/bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace hsm::bench {

void Samples::join(const Samples& other) {
  latencies_ns.insert(latencies_ns.end(), other.latencies_ns.begin(), other.latencies_ns.end());
  per_second += other.per_second;
}

double percentile(std::vector<std::uint32_t>& values, double percent) {
  if (values.empty()) return 0;
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  const std::size_t at = std::clamp<std::size_t>(rank, 1, values.size()) - 1;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

Figures figures_of(Samples samples) {
  return {.p50_us = percentile(samples.latencies_ns, 50) / 1000,
          .p99_us = percentile(samples.latencies_ns, 99) / 1000,
          .per_second = samples.per_second,
          .samples = samples.latencies_ns.size()};
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .least = values.front(), .most = values.back()};
}

}  // namespace hsm::bench
