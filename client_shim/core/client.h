// The one client core: a blocking connection to a socket of hsm-signerd or hsm-tokend.
// hsm-signerctl, the tests, benchmarks and the C library speak through it. No threads, no
// exceptions; one object belongs to one thread at a time.
//
//   TRY(auto client, client::Client::connect(client::find_socket({}, {})));
//   TRY(auto answer, client.call<wire::Signed>(wire::SignRequest{.key = "desk-a.trade", …}));
//
// Errors of every call: what an error frame said (its Code and sentence); token_unavailable or
// unauthorized where nobody answers or may be asked; deadline_exceeded; protocol_error for a peer
// that closes or breaks framing. After protocol_error, and after a call() that timed out, the
// connection is closed and each further call says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hsm_signer/base/os.h"
#include "hsm_signer/wire/hello.h"

namespace hsm::client {

inline constexpr std::string_view kDefaultSocket = "/run/hsm-signer/signer.sock";
inline constexpr const char* kSocketVariable = "HSM_SIGNER_SOCKET";

// Which client socket to use: `flag` (--socket), else `from_config` (what --dir or --config names),
// else $HSM_SIGNER_SOCKET, else kDefaultSocket. Empty arguments count as not given.
std::string find_socket(std::string_view flag, std::string_view from_config);

struct Options {
  std::string program = "hsm-client/" HSM_VERSION;  // At most 64 printable ASCII characters.
  // Longest wait for a connection with its greeting, and for an answer where the call names no
  // other. Longer than the signer's own deadline (5 s), so that its sentence arrives.
  std::chrono::milliseconds patience{6'000};
  std::string daemon = "hsm-signerd";  // Whom to name, and how to start it, when nobody answers.
  std::string start = "hsm-signerctl up --dir DIR' or 'systemctl start hsm-signerd";
};

// Move-only: it owns its socket.
class Client {
 public:
  // Connects and greets.
  static Result<Client> connect(const std::string& path, const Options& options = {});
  // Greets over a connected stream socket.
  static Result<Client> greet(OwnedFd socket, const Options& options = {});

  // One request and its answer. Not between send() and the last receive().
  template <class Answer, class Message>
  Result<Answer> call(wire::Type type, const Message& message, std::chrono::milliseconds patience);
  template <class Answer, class Message>
  Result<Answer> call(wire::Type type, const Message& message) {
    return call<Answer>(type, message, options_.patience);
  }
  template <class Answer, class Message>
  Result<Answer> call(const Message& message) {
    return call<Answer>(Message::kType, message, options_.patience);
  }

  // Pipelined: requests go out as they come, answers may return in another order. Keep fewer than
  // 64 unanswered: a daemon that waits for its answers to be read reads no further.
  template <class Message>
  Result<std::uint64_t> send(wire::Type type, const Message& message);
  template <class Message>
  Result<std::uint64_t> send(const Message& message) {
    return send(Message::kType, message);
  }
  // The next answer, for answer_in(): of the type that the request with its id() asks for, or an
  // error. A view that dies with the next call on this client. deadline_exceeded leaves the
  // connection as it is: ask again.
  Result<wire::FrameView> receive(std::chrono::milliseconds patience);
  Result<wire::FrameView> receive() { return receive(options_.patience); }
  template <class Answer>
  static Result<Answer> answer_in(const wire::FrameView& frame);

  std::size_t unanswered() const { return waiting_.size(); }
  // To poll() beside other descriptors; -1 once closed.
  int native() const { return socket_.get(); }
  bool connected() const { return socket_.valid(); }
  // What the daemon called itself in its greeting: "hsm-signerd/0.1.0".
  const std::string& peer_program() const { return peer_program_; }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  Client(OwnedFd socket, const Options& options) : socket_{std::move(socket)}, options_{options} {}
  Result<void> say_hello(Deadline deadline);
  Result<void> flush(Deadline deadline);
  Result<wire::FrameView> next_frame(Deadline deadline);
  Result<void> read_some(Deadline deadline);
  Result<void> wait_for(short events, Deadline deadline);
  Result<wire::FrameView> admit(const wire::FrameView& frame);
  tl::unexpected<Error> drop(Error error);

  OwnedFd socket_;
  Options options_;
  std::string peer_program_;
  wire::FrameBuffer in_;
  Bytes out_;
  std::uint64_t last_id_ = 0;  // 0 is the greeting's.
  std::unordered_map<std::uint64_t, wire::Type> waiting_;
};

template <class Message>
Result<std::uint64_t> Client::send(wire::Type type, const Message& message) {
  if (!connected()) return fail(Code::protocol_error, "the connection is closed");
  out_.clear();
  TRY_VOID(wire::encode(out_, type, last_id_ + 1, message));
  waiting_.emplace(++last_id_, type);
  TRY_VOID(flush(std::chrono::steady_clock::now() + options_.patience));
  return last_id_;
}

template <class Answer>
Result<Answer> Client::answer_in(const wire::FrameView& frame) {
  if (frame.type() != wire::Type::error) return wire::decode<Answer>(frame);
  TRY(const wire::Failure failure, wire::decode<wire::Failure>(frame));
  return fail(wire::to_error(failure));
}

template <class Answer, class Message>
Result<Answer> Client::call(wire::Type type, const Message& message,
                            std::chrono::milliseconds patience) {
  if (!waiting_.empty()) return fail(Code::internal, "call() while pipelined requests wait");
  TRY_VOID(send(type, message));
  const Result<wire::FrameView> frame = receive(patience);
  // An answer that comes after its caller has left could be taken for the next one's.
  if (!frame) return drop(frame.error());
  Result<Answer> answer = answer_in<Answer>(*frame);
  if (!answer && frame->type() != wire::Type::error) return drop(answer.error());
  return answer;
}

}  // namespace hsm::client
