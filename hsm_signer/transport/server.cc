#include "hsm_signer/transport/server.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "hsm_signer/base/log.h"

namespace hsm::transport {
namespace {

namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kTick{250};
// Out of descriptors: waiting is all that helps, and the listening queue keeps those who knock.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

Server::Server(asio::io_context& io, OwnedFd listener, Limits limits, Connection::Handler& handler,
               Gate gate)
    : io_{io},
      acceptor_{io, asio::local::stream_protocol{}, listener.release()},
      pause_{io},
      tick_{io},
      limits_{limits},
      turns_{io},
      outbox_{io},
      handler_{handler},
      gate_{std::move(gate)} {}

void Server::start() {
  asio::co_spawn(io_, accept(), asio::detached);
  asio::co_spawn(io_, watch(), asio::detached);
}

void Server::stop_accepting() {
  stopped_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

void Server::finish_all() {
  stop_accepting();
  for (const auto& connection : std::set{open_}) connection->finish();
}

asio::awaitable<void> Server::accept() {
  while (!stopped_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (!error) {
      admit(std::move(socket));
      continue;
    }
    if (stopped_) co_return;
    log_limited(Level::warning, "accept_failed", error.message());
    pause_.expires_after(kAcceptPause);
    co_await pause_.async_wait(kAwait);
  }
}

void Server::admit(Connection::Socket socket) {
  const Result<Peer> peer = peer_of(socket.native_handle());
  if (!peer) return;
  auto connection = std::make_shared<Connection>(std::move(socket), *peer, limits_,
                                                 count_of(peer->uid), turns_, outbox_, handler_);
  if (const auto entered = may_enter(*peer); !entered) {
    ++turned_away_;
    log_limited(Level::notice, "connection_refused",
                "uid " + std::to_string(peer->uid) + ": " + entered.error().sentence());
    connection->refuse_and_close(entered.error());
    forget_idle(peer->uid);
    return;
  }
  asio::co_spawn(io_, serve(std::move(connection)), asio::detached);
}

Result<void> Server::may_enter(const Peer& peer) const {
  // Pid 0 is a process that this pid namespace cannot see; uid 65534 anyone that this user
  // namespace cannot.
  if (peer.pid == 0 || peer.uid == 65534)
    return fail(Code::unauthorized, "a caller without an identity here");
  TRY_VOID(gate_(peer));
  if (!full_for(peer.uid)) return {};
  Error error{.code = Code::overloaded, .what = "too many connections"};
  error.retry_after_ms = 1000;
  return fail(std::move(error));
}

bool Server::full_for(uid_t uid) const {
  if (open_.size() >= limits_.connections) return true;
  const bool scarce = open_.size() >= limits_.connections - limits_.connections / 4;
  const std::size_t share =
      scarce ? limits_.connections_per_uid_when_scarce : limits_.connections_per_uid;
  const auto mine = per_uid_.find(uid);
  return mine != per_uid_.end() && *mine->second >= share;
}

const std::shared_ptr<std::size_t>& Server::count_of(uid_t uid) {
  std::shared_ptr<std::size_t>& count = per_uid_[uid];
  if (!count) count = std::make_shared<std::size_t>(0);
  return count;
}

void Server::forget_idle(uid_t uid) {
  if (*count_of(uid) == 0) per_uid_.erase(uid);
}

asio::awaitable<void> Server::serve(std::shared_ptr<Connection> connection) {
  open_.insert(connection);
  ++*count_of(connection->peer().uid);
  co_await connection->run();
  handler_.gone(*connection);
  --*count_of(connection->peer().uid);
  forget_idle(connection->peer().uid);
  open_.erase(connection);
}

asio::awaitable<void> Server::watch() {
  // Goes on behind stop_accepting(): those that are open still have to keep their time.
  for (;;) {
    tick_.expires_after(kTick);
    const auto [error] = co_await tick_.async_wait(kAwait);
    if (error) co_return;
    const auto now = std::chrono::steady_clock::now();
    for (const auto& connection : open_) connection->check_patience(now);
  }
}

}  // namespace hsm::transport
