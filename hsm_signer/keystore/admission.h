// Whether a job may wait at all: room, and each client's share of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hsm_signer/keystore/lanes.h"

namespace hsm::keystore {

// Where a waiting job is counted. The signer's own jobs have a small room of their own, or a flood
// of clients could keep checkpoints out.
enum class Room : std::uint8_t { general, cancels, own };
inline constexpr std::size_t kRooms = 3;
inline constexpr std::size_t kOwnJobs = 256;

// The queue of one token.
class Admission {
 public:
  explicit Admission(const LaneLimits& limits);

  // The room that takes the job, or overloaded with retry_after_ms.
  Result<Room> enter(ClientIndex client, Urgency urgency);
  void leave(ClientIndex client, Room room);
  std::size_t waiting() const;

  // A worker has answered: how fast the queue drains, for retry_after_ms.
  void answered(Clock::Steady now);

 private:
  bool fits(ClientIndex client, Room room) const;
  std::size_t held(ClientIndex client, Room room) const;
  Error overloaded() const;

  std::array<std::size_t, kRooms> limits_{};
  std::array<std::size_t, kRooms> waiting_{};
  std::array<std::size_t, kRooms> clients_{};  // Clients with at least one job in the room.
  std::vector<std::array<std::uint32_t, kRooms>> by_client_;
  Clock::Steady last_answer_{};
  bool busy_ = false;  // Something waited at the last answer, so the time to the next one is work,
                       // not idleness.
  std::chrono::nanoseconds interval_{std::chrono::milliseconds{1}};
};

}  // namespace hsm::keystore
