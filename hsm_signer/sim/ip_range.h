// Trusted IPs of an API key: addresses and CIDR blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hsm::sim {

// IPv4 only: the simulator is reached over 127.0.0.0/8.
class IpRange {
 public:
  // "127.0.0.1" or "10.0.0.0/8", without leading zeros and without bits behind the prefix; none
  // otherwise: what is mistyped here would let in others than meant.
  static std::optional<IpRange> parse(std::string_view text);
  // False for what is not an IPv4 address: a Unix socket has none.
  bool contains(std::string_view address) const;

 private:
  IpRange(std::uint32_t network, std::uint32_t mask) : network_{network}, mask_{mask} {}
  std::uint32_t network_;
  std::uint32_t mask_;
};

}  // namespace hsm::sim
