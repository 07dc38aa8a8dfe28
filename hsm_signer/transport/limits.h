// What one connection, one uid and all together may have of a socket of hsm-signerd
// (docs/protocol.md, "A conversation").
#pragma once

#include <chrono>
#include <cstddef>

namespace hsm::transport {

struct Limits {
  std::size_t connections = 2048;
  std::size_t connections_per_uid = 1024;
  // The last quarter of all places is for those who have few, or two uids could shut out a third.
  std::size_t connections_per_uid_when_scarce = 32;
  std::size_t outstanding =
      1024;  // Requests of one connection without an answer: then we stop reading.
  std::size_t unread_answers = 256 * 1024;  // Bytes the client has not taken: then we stop reading.
  // Of all connections of a uid, each of which has an equal share, but never less than that.
  std::size_t unread_answers_of_uid = 16 * 1024 * 1024;
  std::size_t least_unread_answers = 16 * 1024;
  std::chrono::milliseconds greeting{5000};      // From accept to a complete hello.
  std::chrono::milliseconds half_frame{10'000};  // From the last byte of an incomplete frame.
  std::chrono::milliseconds last_words{2000};    // For a refused peer to take the reason.
};

// For a process that may open so many descriptors: clients get no more than half of them, so that
// they cannot lock out the administrators, the workers and the log.
Limits client_limits(std::size_t descriptors);
Limits admin_limits(std::size_t descriptors);

}  // namespace hsm::transport
