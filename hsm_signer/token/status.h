// What a worker tells its supervisor over an inherited pipe, a line each: that it is ready, or why
// not; later, that the token has signed for it, or signs wrongly.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/result.h"

namespace hsm::token {

struct WorkerStatus {
  enum class Kind : char {
    ready = 'r',
    pin_refused = 'p',
    failed = 'f',
    has_signed = 's',
    wrong_macs = 'w'
  };
  Kind kind = Kind::failed;
  std::string sentence;  // Empty when ready or has_signed.
};

// At most PIPE_BUF bytes, so that it arrives whole (pipe(7)).
Result<void> send_status(int pipe, const WorkerStatus& status);
// `line` without its newline.
Result<WorkerStatus> parse_status(std::string_view line);

// Exit statuses of a worker. kLoggedOut: it failed, but the token has been told goodbye.
inline constexpr int kExitServed = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitLoggedOut = 4;

// Descriptors that a worker inherits, by number: neither its arguments nor its environment say
// anything.
inline constexpr int kConfigFd = 3;  // A memfd: path, newline, text of <token>.toml.
inline constexpr int kListenFd = 4;  // The bound socket of its role.
inline constexpr int kStatusFd = 5;

inline constexpr const char* kSigningWorker = "--signing-worker";
inline constexpr const char* kAdminWorker = "--admin-worker";

}  // namespace hsm::token
