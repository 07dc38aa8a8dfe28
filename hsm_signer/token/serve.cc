#include "hsm_signer/token/serve.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "hsm_signer/base/log.h"

namespace hsm::token {
namespace {

volatile std::sig_atomic_t stop_came = 0;
void on_stop(int) { stop_came = 1; }

// For a hello, and for the rest of a frame that has begun.
constexpr int kUnfinishedMs = 5'000;
// Out of descriptors: waiting is all that helps, and the listening queue keeps those who knock.
constexpr int kAcceptPauseMs = 100;
// There is one admin worker: who holds it and says nothing keeps the others out. hsm-signerd may be
// silent.
constexpr int kIdleAdminMs = 60'000;
// Answers of one read are written at once; reading stops at this many bytes, so they cannot pile
// up.
constexpr std::size_t kAnswerLimit = 256 * 1024;

int patience_ms(const wire::FrameBuffer& in, const Dispatcher& dispatcher) {
  if (in.partial() || !dispatcher.greeted()) return kUnfinishedMs;
  return dispatcher.role() == Role::admin ? kIdleAdminMs : -1;
}

// Everything that lies complete in the buffer.
Result<void> answer_all(wire::FrameBuffer& in, Dispatcher& dispatcher, int connection) {
  Bytes out;
  for (;;) {
    auto frame = in.next();
    Result<void> answered = frame ? Result<void>{} : Result<void>{fail(std::move(frame).error())};
    const bool more = answered && frame->has_value();
    if (more) answered = dispatcher.answer(**frame, out);
    // What was answered before the peer went astray still leaves: its audit records wait for it.
    if (!answered || !more || out.size() > kAnswerLimit || dispatcher.wants_replacement()) {
      TRY_VOID(write_all(connection, out, Code::protocol_error, "the connection"));
      out.clear();
    }
    if (!answered) return answered;
    if (!more || dispatcher.wants_replacement()) return {};
  }
}

}  // namespace

StopSignal::StopSignal() {
  struct sigaction action {};
  action.sa_handler = &on_stop;  // No SA_RESTART: ppoll is to return.
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTERM);
  ::sigaddset(&stops, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stops, &unblocked_);
  ::sigdelset(&unblocked_, SIGTERM);
  ::sigdelset(&unblocked_, SIGINT);
}

bool StopSignal::came() { return stop_came != 0; }

bool StopSignal::readable(int fd, int timeout_ms) const {
  pollfd watched{fd, POLLIN, 0};
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  for (;;) {
    if (came()) return false;
    const int ready = ::ppoll(&watched, 1, timeout_ms < 0 ? nullptr : &timeout, &unblocked_);
    if (ready > 0) {
      // Where something is ready ppoll() looks at no signal, and under load something always is.
      sigset_t pending;
      ::sigpending(&pending);
      if (::sigismember(&pending, SIGTERM) == 0 && ::sigismember(&pending, SIGINT) == 0)
        return true;
      stop_came = 1;
      return false;
    }
    if (ready == 0 || errno != EINTR) return false;
  }
}

void StopSignal::pause(int milliseconds) const {
  const timespec timeout{milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  if (!came()) ::ppoll(nullptr, 0, &timeout, &unblocked_);
}

Result<OwnedFd> accept_client(int listener, const std::vector<uid_t>& uids,
                              const StopSignal& stop) {
  while (stop.readable(listener, -1)) {
    OwnedFd connection{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)};
    if (!connection.valid()) {
      // Another worker was faster (the listener is shared and does not block), or the peer is gone
      // again. Anything else stays so for a while, and the listener readable.
      if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) continue;
      log_limited(Level::warning, "accept_failed",
                  os_error(Code::token_unavailable, "cannot accept", "a client").sentence());
      stop.pause(kAcceptPauseMs);
      continue;
    }
    const auto peer = peer_of(connection.get());
    if (peer && std::find(uids.begin(), uids.end(), peer->uid) != uids.end()) return connection;
    log_limited(
        Level::warning, "peer_refused",
        peer ? "uid " + std::to_string(peer->uid) + " is not among the clients of this socket"
             : peer.error().sentence());
  }
  return fail(Code::token_unavailable, "stopped before a client came");
}

Result<void> serve(int connection, Dispatcher& dispatcher, const StopSignal& stop,
                   const std::function<Result<void>()>& first_signature) {
  wire::FrameBuffer in;
  bool told = !first_signature;
  while (!dispatcher.wants_replacement()) {
    if (!stop.readable(connection, patience_ms(in, dispatcher))) {
      if (!StopSignal::came()) return fail(Code::protocol_error, "the peer fell silent");
      return {};
    }
    const std::span<Byte> space = in.prepare();
    const ssize_t n = ::read(connection, space.data(), space.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(Code::protocol_error, "cannot read", "the connection"));
    if (n == 0) return {};
    in.commit(static_cast<std::size_t>(n));
    TRY_VOID(answer_all(in, dispatcher, connection));
    if (told || !dispatcher.has_signed()) continue;
    told = true;
    TRY_VOID(first_signature());
  }
  return {};
}

}  // namespace hsm::token
