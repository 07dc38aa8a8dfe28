#include "hsm_signer/transport/limits.h"

#include <gtest/gtest.h>

namespace hsm::transport {
namespace {

TEST(ConnectionLimits, AreThoseOfTheProtocolWhereThereAreDescriptorsEnough) {
  for (const std::size_t descriptors : {4096U, 524'288U}) {
    EXPECT_EQ(client_limits(descriptors).connections, 2048U);
    EXPECT_EQ(client_limits(descriptors).connections_per_uid, 1024U);
    EXPECT_EQ(client_limits(descriptors).connections_per_uid_when_scarce, 32U);
    EXPECT_EQ(admin_limits(descriptors).connections, 64U);
    EXPECT_EQ(admin_limits(descriptors).connections_per_uid, 32U);
  }
}

TEST(ConnectionLimits, LeaveRoomForTheSignerItselfAndForAdministratorsWhereThereAreFew) {
  constexpr std::size_t kOwnFiles = 24;  // Log, state, workers, listeners, timers.
  for (const std::size_t descriptors : {64U, 128U, 256U, 1024U}) {
    const Limits clients = client_limits(descriptors);
    const Limits admins = admin_limits(descriptors);
    EXPECT_LE(clients.connections + admins.connections + kOwnFiles, descriptors);
    EXPECT_GE(clients.connections_per_uid, 1U);
    EXPECT_GE(clients.connections_per_uid_when_scarce, 1U);
    EXPECT_GE(admins.connections_per_uid, 1U);
  }
}

TEST(ConnectionLimits, LetSomebodyInEvenWhereNothingIsKnown) {
  EXPECT_GE(client_limits(0).connections_per_uid, 1U);
  EXPECT_GE(admin_limits(0).connections_per_uid, 1U);
}

}  // namespace
}  // namespace hsm::transport
