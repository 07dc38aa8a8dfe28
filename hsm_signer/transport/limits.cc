#include "hsm_signer/transport/limits.h"

#include <algorithm>

namespace hsm::transport {
namespace {

Limits within(std::size_t connections) {
  connections = std::max<std::size_t>(connections, 2);
  Limits limits;
  limits.connections = connections;
  limits.connections_per_uid = connections / 2;
  limits.connections_per_uid_when_scarce =
      std::clamp<std::size_t>(connections / 64, 1, Limits{}.connections_per_uid_when_scarce);
  return limits;
}

}  // namespace

Limits client_limits(std::size_t descriptors) {
  return within(std::min(Limits{}.connections, descriptors / 2));
}

Limits admin_limits(std::size_t descriptors) {
  constexpr std::size_t kMostAdmins = 64;
  return within(std::min(kMostAdmins, descriptors / 8));
}

}  // namespace hsm::transport
