#include "client_shim/core/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hsm::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kLate = "no answer in time";

Error cannot_connect(const std::string& path, const Options& options, int error_number) {
  if (error_number == EAGAIN)
    return {.code = Code::deadline_exceeded, .what = "no connection in time", .detail = path};
  Error error = os_error(Code::token_unavailable, "cannot connect to", path, error_number);
  if (error_number == EACCES || error_number == EPERM) {
    error.code = Code::unauthorized;
    return error;
  }
  error.detail += "; is " + options.daemon + " running? start it with '" + options.start + "'";
  return error;
}

// A full backlog makes connect() on a Unix socket wait; SO_SNDTIMEO bounds that wait (socket(7)).
void bound_connect(int socket, milliseconds patience) {
  const auto micros = std::chrono::microseconds{patience}.count();
  const timeval limit{.tv_sec = micros / 1'000'000, .tv_usec = micros % 1'000'000};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Result<OwnedFd> open_socket(const std::string& path, const Options& options) {
  TRY_VOID(check_socket_path(path));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  OwnedFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return fail(os_error(Code::internal, "cannot make a socket", path));
  bound_connect(socket.get(), options.patience);
  int result = 0;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return fail(cannot_connect(path, options, errno));
  return socket;
}

}  // namespace

std::string find_socket(std::string_view flag, std::string_view from_config) {
  if (!flag.empty()) return std::string{flag};
  if (!from_config.empty()) return std::string{from_config};
  const char* variable = ::secure_getenv(kSocketVariable);
  if (variable != nullptr && *variable != '\0') return variable;
  return std::string{kDefaultSocket};
}

Result<Client> Client::connect(const std::string& path, const Options& options) {
  TRY(OwnedFd socket, open_socket(path, options));
  return greet(std::move(socket), options);
}

Result<Client> Client::greet(OwnedFd socket, const Options& options) {
  Client client{std::move(socket), options};
  TRY_VOID(client.say_hello(steady_clock::now() + options.patience));
  return client;
}

Result<void> Client::say_hello(Deadline deadline) {
  TRY_VOID(wire::encode(out_, 0, wire::Hello{.program = options_.program}));
  TRY_VOID(flush(deadline));
  TRY(const wire::FrameView frame, next_frame(deadline));
  if (frame.type() != wire::Type::error && frame.type() != wire::answer_to(wire::Type::hello)) {
    return drop({.code = Code::protocol_error,
                 .what = "the peer did not greet",
                 .detail = "is this a socket of " + options_.daemon + "?"});
  }
  const Result<wire::Hello> hello = answer_in<wire::Hello>(frame);
  if (!hello) return drop(hello.error());
  if (hello->version != wire::kProtocolVersion) {
    return drop({.code = Code::protocol_error,
                 .what = "the peer speaks another protocol version",
                 .detail = std::to_string(hello->version) + ", this program speaks " +
                           std::to_string(wire::kProtocolVersion)});
  }
  peer_program_ = hello->program;
  return {};
}

Result<wire::FrameView> Client::receive(milliseconds patience) {
  if (!connected()) return fail(Code::protocol_error, "the connection is closed");
  if (waiting_.empty()) return fail(Code::internal, "receive() without a request");
  TRY(const wire::FrameView frame, next_frame(steady_clock::now() + patience));
  return admit(frame);
}

// Whether somebody waits for this frame. Id 0 with an error is the daemon's last word.
Result<wire::FrameView> Client::admit(const wire::FrameView& frame) {
  if (frame.id() == 0 && frame.type() == wire::Type::error) {
    const Result<wire::Failure> failure = wire::decode<wire::Failure>(frame);
    return drop(failure ? wire::to_error(*failure) : failure.error());
  }
  const auto request = waiting_.find(frame.id());
  if (request == waiting_.end())
    return drop({.code = Code::protocol_error, .what = "an answer that nobody asked for"});
  if (frame.type() != wire::Type::error && frame.type() != wire::answer_to(request->second))
    return drop({.code = Code::protocol_error, .what = "an answer of another type than asked for"});
  waiting_.erase(request);
  return frame;
}

Result<void> Client::flush(Deadline deadline) {
  ByteView rest{out_};
  while (!rest.empty()) {
    const ssize_t size =
        ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size >= 0) {
      rest = rest.subspan(static_cast<std::size_t>(size));
      continue;
    }
    if (errno == EINTR) continue;
    // The daemon's last word may still wait to be read, and says more than EPIPE.
    if (errno == EPIPE || errno == ECONNRESET) return {};
    if (errno != EAGAIN) return drop(os_error(Code::protocol_error, "cannot send", "socket"));
    // Half a frame has left: only a new connection has a clean beginning.
    if (const Result<void> ready = wait_for(POLLOUT, deadline); !ready) return drop(ready.error());
  }
  out_.clear();
  return {};
}

Result<wire::FrameView> Client::next_frame(Deadline deadline) {
  for (;;) {
    Result<std::optional<wire::FrameView>> frame = in_.next();
    if (!frame) return drop(frame.error());
    if (*frame) return **frame;
    TRY_VOID(read_some(deadline));
  }
}

Result<void> Client::read_some(Deadline deadline) {
  const std::span<Byte> room = in_.prepare();
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (size > 0) {
      in_.commit(static_cast<std::size_t>(size));
      return {};
    }
    if (size == 0) {
      return drop({.code = Code::protocol_error,
                   .what = in_.partial() ? "the connection ended inside a frame"
                                         : "the daemon closed the connection without an answer"});
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return drop(os_error(Code::protocol_error, "cannot receive", "socket"));
    TRY_VOID(wait_for(POLLIN, deadline));
  }
}

Result<void> Client::wait_for(short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds{0}) return fail(Code::deadline_exceeded, kLate, options_.daemon);
    const milliseconds turn = std::min(left, milliseconds{60'000});
    pollfd waited{.fd = socket_.get(), .events = events, .revents = 0};
    const int ready = ::poll(&waited, 1, static_cast<int>(turn.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR)
      return fail(os_error(Code::internal, "cannot wait for", "socket"));
  }
}

tl::unexpected<Error> Client::drop(Error error) {
  socket_.reset();
  waiting_.clear();
  return fail(std::move(error));
}

}  // namespace hsm::client
