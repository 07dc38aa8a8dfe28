#include "tests/bench/contender.h"

#include <algorithm>
#include <limits>

namespace hsm::bench {

ByteView message() {
  static const std::string text(kMessageSize, 'm');
  return as_bytes(text);
}

Result<void> check_mac(ByteView signed_message, ByteView mac) {
  if (signed_message.size() != kMessageSize)
    return fail(Code::verification_failed, "a message of another length was signed",
                std::to_string(signed_message.size()) + " bytes instead of " +
                    std::to_string(kMessageSize));
  if (equal_constant_time(hmac_sha384(as_bytes(kBenchKey), signed_message), mac)) return {};
  return fail(Code::verification_failed, "the MAC is not the one that OpenSSL makes");
}

void Meter::answered(Time asked, Time at) {
  if (warming_up(at)) {
    first_ = at;
    return;
  }
  if (first_ == Time{}) first_ = asked;
  last_ = at;
  const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(at - asked).count();
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();  // 4.29 s.
  latencies_ns_.push_back(static_cast<std::uint32_t>(std::clamp<std::int64_t>(took, 0, kMost)));
}

bool Meter::over(Time at) const {
  if (at < ends_) return false;
  return latencies_ns_.size() >= kFewest || at >= gives_up_;
}

// From the last answer of the warm-up to the last one counted: whole requests in whole time.
Result<Samples> Meter::samples() const {
  if (latencies_ns_.size() < kFewest)
    return fail(Code::deadline_exceeded, "too few answers to measure anything",
                std::to_string(latencies_ns_.size()));
  const double seconds = std::chrono::duration<double>(last_ - first_).count();
  return Samples{.latencies_ns = latencies_ns_,
                 .per_second = static_cast<double>(latencies_ns_.size()) / seconds};
}

}  // namespace hsm::bench
