// An HTTP/1.1 server for this machine: 127.0.0.1 and Unix sockets, one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "hsm_signer/base/result.h"
#include "hsm_signer/http/message.h"

namespace hsm::http {

struct Limits {
  std::size_t header_bytes = 16 * 1024;  // Request line and headers; beyond: 431.
  std::size_t body_bytes = 64 * 1024;    // Beyond: 413.
  std::size_t connections = 256;         // Beyond: not accepted until one closes.
  // For a whole request to arrive, counted from the answer before it, and for an answer to be
  // taken.
  std::chrono::milliseconds idle{30'000};
  // What stop() leaves to answers that are on their way.
  std::chrono::milliseconds grace{2'000};
};

// Answers one request, on the thread of run(), and may not block. An exception becomes a 500.
using Handler = std::function<Response(const Request&)>;

// What is not HTTP/1.0 or HTTP/1.1 gets a 400 and is closed; the handler never sees it.
class Server {
 public:
  Server(Handler handler, Limits limits);
  ~Server();  // Removes the Unix sockets it made.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds 127.0.0.1 and tells the port; 0 asks for a free one. Code::usage where the port is taken.
  Result<std::uint16_t> listen_tcp(std::uint16_t port);
  // As base/os.h listen_unix().
  Result<void> listen_unix(const std::string& path, mode_t mode);
  // SIGTERM and SIGINT do what stop() does. Call before run().
  Result<void> stop_on_signals();

  // Serves until stop(). Once only.
  void run();
  // From any thread: takes no more connections, closes those that wait for a request, lets answers
  // leave, then run() returns.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hsm::http
