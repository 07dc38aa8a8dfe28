// Percentiles and spreads. Every latency is stored, so a percentile is one that was measured and
// not the edge of a bucket.
#pragma once

#include <cstdint>
#include <vector>

namespace hsm::bench {

// What one client saw, or several together.
struct Samples {
  std::vector<std::uint32_t> latencies_ns;
  double per_second = 0;

  // Clients that ran at the same time.
  void join(const Samples& other);
};

struct Figures {
  double p50_us = 0;
  double p99_us = 0;
  double per_second = 0;
  std::uint64_t samples = 0;
};

// The smallest value that at least `percent` of all values do not exceed (nearest rank); 0 of none.
double percentile(std::vector<std::uint32_t>& values, double percent);
Figures figures_of(Samples samples);

// Of the same figure over several rounds.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
Spread spread_of(std::vector<double> values);

}  // namespace hsm::bench
