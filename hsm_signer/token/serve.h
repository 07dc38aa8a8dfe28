// One connection of a worker: whole frames in, one write out.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/token/dispatch.h"

namespace hsm::token {

// Blocks SIGTERM and SIGINT except while waiting, so that a worker is never stopped between a MAC
// and its answer.
class StopSignal {
 public:
  StopSignal();
  // Waits until `fd` is readable. false: a stop signal came, or `timeout_ms` (-1: none) passed.
  bool readable(int fd, int timeout_ms) const;
  // Shorter where a stop signal comes.
  void pause(int milliseconds) const;
  static bool came();

 private:
  sigset_t unblocked_;
};

// The next connection whose peer is one of `uids`; others are closed without a word and counted in
// the log. token_unavailable when a stop signal came first.
Result<OwnedFd> accept_client(int listener, const std::vector<uid_t>& uids, const StopSignal& stop);

// Answers until the peer closes, a stop signal comes or the dispatcher wants a fresh process.
// protocol_error: the peer broke the protocol, was silent for 5 s before its hello or inside a
// frame, or for 60 s on the admin socket.
// `first_signature` is called once, after the first signature has left.
Result<void> serve(int connection, Dispatcher& dispatcher, const StopSignal& stop,
                   const std::function<Result<void>()>& first_signature = {});

}  // namespace hsm::token
