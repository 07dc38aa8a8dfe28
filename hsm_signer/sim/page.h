// How the exchange's histories are cut into pages.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "hsm_signer/base/os.h"

namespace hsm::sim {

// Histories count in milliseconds.
inline bool is_before(Clock::Wall time, const std::optional<Clock::Wall>& since) {
  return since && std::chrono::floor<std::chrono::milliseconds>(time) < *since;
}

// Of what was found, oldest first: with a timestamp the exchange is walked upwards from it ("How to
// retrieve your trade history"), so the oldest of them; without, the most recent. The newest stands
// first.
template <class T>
std::vector<const T*> page_of(std::vector<const T*> found, std::size_t limit, bool upwards) {
  if (found.size() > limit && upwards) found.resize(limit);
  if (found.size() > limit)
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(limit));
  return {found.rbegin(), found.rend()};
}

}  // namespace hsm::sim
