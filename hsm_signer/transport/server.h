// Accepts connections on one Unix socket, asks who it is, and keeps them within limits.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>

#include "hsm_signer/transport/connection.h"

namespace hsm::transport {

class Server {
 public:
  // Whether this peer may speak here; the Error goes to it in one frame.
  using Gate = std::function<Result<void>(const Peer&)>;

  // `listener`: of listen_unix() with Senders::told; otherwise every message is refused.
  Server(boost::asio::io_context& io, OwnedFd listener, Limits limits, Connection::Handler& handler,
         Gate gate);

  void start();
  // No further connections; those that are open stay.
  void stop_accepting();
  // No more requests either; connections end once their answers are written or not taken in time.
  void finish_all();
  // What was answered since the last turn leaves now and not behind all that is ready.
  void send_answers() { outbox_.send(); }
  std::size_t connections() const { return open_.size(); }
  // Those that may not be here, since the start.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> watch();
  boost::asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
  void admit(Connection::Socket socket);
  Result<void> may_enter(const Peer& peer) const;
  bool full_for(uid_t uid) const;
  const std::shared_ptr<std::size_t>& count_of(uid_t uid);
  void forget_idle(uid_t uid);

  boost::asio::io_context& io_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer tick_;
  Limits limits_;
  Turns turns_;
  Outbox outbox_;
  Connection::Handler& handler_;
  Gate gate_;
  std::set<std::shared_ptr<Connection>> open_;
  // Shared with the connections, which outlive their place here while an answer is owed to them.
  std::unordered_map<uid_t, std::shared_ptr<std::size_t>> per_uid_;
  std::uint64_t turned_away_ = 0;
  bool stopped_ = false;
};

}  // namespace hsm::transport
