// One connection to one worker of a token host: connects, greets, asks who is there, carries
// frames, and comes back after a loss. Knows nothing of keys or requests.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <string>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/keystore/lanes.h"
#include "hsm_signer/wire/token.h"

namespace hsm::keystore {

class WorkerLink {
 public:
  // What the owner is told, all on the io_context's thread. A worker answers in the order it was
  // asked.
  class Events {
   public:
    virtual ~Events() = default;
    virtual void worker_up(WorkerIndex worker, const wire::Info& info) = 0;
    virtual void worker_answered(WorkerIndex worker, const wire::FrameView& frame) = 0;
    // Every answer that one read brought has been delivered: the moment to write what they caused.
    virtual void worker_turn_over(WorkerIndex worker) = 0;
    // After worker_up(): what was asked and not answered is lost. Before it: nobody to talk to yet.
    virtual void worker_lost(WorkerIndex worker, bool was_up, const Error& why) = 0;
  };

  WorkerLink(boost::asio::io_context& io, std::string socket_path, WorkerIndex index,
             Events& events);
  WorkerLink(const WorkerLink&) = delete;  // Its coroutine holds `this`.
  WorkerLink& operator=(const WorkerLink&) = delete;

  // Runs until stop(); reconnects at once the first time, then with growing pauses up to one
  // second.
  void start();
  void stop();
  // Ends this connection: the peer has broken the protocol, or a fresh start is wanted. run() comes
  // back.
  void drop();

  bool up() const { return up_; }
  // Frames are appended here; flush() sends all of them with one write. Discarded while not up.
  Bytes& out() { return out_; }
  void flush();

 private:
  boost::asio::awaitable<void> run();
  boost::asio::awaitable<Result<void>> serve();
  boost::asio::awaitable<Result<void>> read_some();
  boost::asio::awaitable<Result<wire::FrameView>> next_frame();
  boost::asio::awaitable<Result<wire::Info>> greet();
  void write();

  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::steady_timer pause_;
  std::string path_;
  WorkerIndex index_;
  Events& events_;
  wire::FrameBuffer in_;
  Bytes out_;                     // Appended to.
  Bytes writing_;                 // Being sent; swapped with out_ so that neither is copied.
  std::uint64_t connection_ = 0;  // Tells a late completion of an old connection from this one's.
  bool up_ = false;
  bool stopped_ = false;
};

}  // namespace hsm::keystore
