// One accepted Unix-socket connection: greeting, frames in, answers out, limits. Who may connect
// and what a frame means is decided elsewhere.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>

#include "hsm_signer/base/os.h"
#include "hsm_signer/transport/limits.h"
#include "hsm_signer/transport/outbox.h"
#include "hsm_signer/transport/turns.h"
#include "hsm_signer/wire/hello.h"

namespace hsm::transport {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  class Handler {
   public:
    virtual ~Handler() = default;
    // A frame after the greeting; must lead to exactly one answer() or refuse() with its id, now or
    // later.
    virtual void handle(const std::shared_ptr<Connection>& connection,
                        const wire::FrameView& frame) = 0;
    // The frames that were read together have all been handled.
    virtual void turn_over() = 0;
    // No frame of it comes any more, and no answer leaves. Its address may soon be another's.
    virtual void gone(const Connection& /*connection*/) {}
  };

  // `of_its_uid`: how many connections its uid has just now.
  Connection(Socket socket, Peer peer, const Limits& limits,
             std::shared_ptr<const std::size_t> of_its_uid, Turns& turns, Outbox& outbox,
             Handler& handler);

  // Reads until either side closes. Keeps the connection alive meanwhile.
  boost::asio::awaitable<void> run();

  const Peer& peer() const { return peer_; }

  template <class Message>
  void answer(const wire::FrameView& request, const Message& message) {
    answer(wire::answer_to(request.type()), request.id(), message);
  }
  template <class Message>
  void answer(wire::Type type, std::uint64_t id, const Message& message) {
    if (closed_) return;
    if (const auto encoded = wire::encode(out_, type, id, message); !encoded)
      return refuse(id, encoded.error());
    answered();
  }
  void refuse(std::uint64_t id, const Error& error);
  // What a handler came to: nothing more where it answers itself; a refused request gets its error;
  // a frame that is no request of this protocol (protocol_error) ends the conversation.
  void settle(const wire::FrameView& frame, const Result<void>& outcome);
  // One error frame, then the end: for those who may not be here and for broken frames.
  void refuse_and_close(const Error& error);
  void close();
  // No more requests; ends once what was answered is written, or the peer does not take it in time.
  void finish();
  // Writes what was answered, as far as the peer takes it; the rest follows by itself.
  void flush();
  // Whether there is somebody to answer.
  bool open() const { return !closing_ && !closed_; }

  // Closes a connection that owes us its greeting or the rest of a frame for too long.
  void check_patience(std::chrono::steady_clock::time_point now);

 private:
  // What a turn ended with: nothing more to read, no room for answers, its time, the conversation.
  enum class Turn : std::uint8_t { dry, full, over, ended };
  enum class Received : std::uint8_t { bytes, nothing, end };

  boost::asio::awaitable<Result<void>> serve();
  boost::asio::awaitable<void> wait_for_turn();
  boost::asio::awaitable<void> wait_for_room();
  boost::asio::awaitable<void> wait_to_be_woken();
  Result<Turn> work();
  Result<Received> receive();
  Result<void> take(const wire::FrameView& frame);
  bool overfull() const;
  std::size_t unread_limit() const;
  void end_turn();
  void answered();
  void schedule_flush();
  void write_rest(std::size_t sent);
  void written();

  Socket socket_;
  Peer peer_;
  const Limits& limits_;
  const std::shared_ptr<const std::size_t> of_its_uid_;
  Turns& turns_;
  Outbox& outbox_;
  Handler& handler_;
  boost::asio::steady_timer resume_;  // Cancelled to wake the reader: room again, its turn.
  wire::FrameBuffer in_;
  Bytes out_;
  Bytes writing_;
  std::size_t outstanding_ = 0;
  const std::chrono::steady_clock::time_point accepted_;
  std::chrono::steady_clock::time_point last_byte_;
  bool greeted_ = false;
  bool held_back_ = false;  // It is we who do not read.
  bool its_turn_ = false;
  bool reading_ = false;
  bool flush_scheduled_ = false;
  bool closing_ = false;  // Close as soon as everything is written.
  bool closed_ = false;
};

}  // namespace hsm::transport
