#include "hsm_signer/sim/ip_range.h"

#include <algorithm>

namespace hsm::sim {
namespace {

// A decimal number of 1 to 3 digits without leading zeros, at most `most`.
std::optional<std::uint32_t> small_number(std::string_view text, std::uint32_t most) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text.front() == '0')) return {};
  std::uint32_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return {};
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > most) return {};
  return value;
}

std::optional<std::uint32_t> ipv4(std::string_view text) {
  if (std::count(text.begin(), text.end(), '.') != 3) return {};
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    const std::size_t point = text.find('.');
    const std::optional<std::uint32_t> byte = small_number(text.substr(0, point), 255);
    if (!byte) return {};
    address = address << 8 | *byte;
    text.remove_prefix(point == std::string_view::npos ? text.size() : point + 1);
  }
  return address;
}

}  // namespace

std::optional<IpRange> IpRange::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<std::uint32_t> address = ipv4(text.substr(0, slash));
  std::optional<std::uint32_t> prefix = 32;
  if (slash != std::string_view::npos) prefix = small_number(text.substr(slash + 1), 32);
  if (!address || !prefix) return {};
  const std::uint32_t mask = *prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - *prefix);
  if ((*address & ~mask) != 0) return {};
  return IpRange{*address, mask};
}

bool IpRange::contains(std::string_view address) const {
  const std::optional<std::uint32_t> number = ipv4(address);
  return number && (*number & mask_) == network_;
}

}  // namespace hsm::sim
