// Signatures a second per key, counted for all workers of a token together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"

namespace hsm::token {

// A table in a file mapped shared by every worker: lock-free, and it outlives any process, so a
// killed worker gives no key a fresh allowance. It is not written through to disk: after a loss of
// power every key starts with a full second's allowance, which is all that a restart of the host
// can gain.
class Rates {
 public:
  // Creates the file where it is missing. internal: damaged or not ours.
  static Result<Rates> open(const std::string& path);
  Rates(Rates&& other) noexcept : map_{std::exchange(other.map_, nullptr)} {}
  Rates& operator=(Rates&&) = delete;
  Rates(const Rates&) = delete;  // One mapping, one owner.
  Rates& operator=(const Rates&) = delete;
  ~Rates();

  // Takes one of `per_second`; a burst of one second's worth is allowed. rate_limited with
  // retry_after_ms; overloaded where the table is full (4,096 labels).
  Result<void> take(std::string_view label, std::uint32_t per_second, Clock::Steady now);

 private:
  struct Map;
  explicit Rates(Map* map) : map_{map} {}
  Map* map_;
};

}  // namespace hsm::token
