#include "hsm_signer/http/server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <csignal>
#include <cstring>
#include <list>
#include <optional>
#include <sstream>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"

namespace hsm::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

// The generic protocol carries TCP and Unix sockets alike: Beast is instantiated once, not twice.
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
using Stream = beast::basic_stream<Protocol>;
using Parser = beast::http::request_parser<beast::http::string_body>;
using Message = beast::http::response<beast::http::string_body>;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptBackoff{100};
// What is read and thrown away after a refusal, lest the kernel resets the connection over unread
// bytes before the peer has seen the answer (RFC 9112 section 9.6).
constexpr std::chrono::seconds kDrainTime{1};
constexpr std::size_t kDrainBytes = 256 * 1024;

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

// Nothing where the peer has no address: over a Unix socket, or gone already.
std::string peer_address(const Socket& socket) {
  error_code error;
  const Protocol::endpoint peer = socket.remote_endpoint(error);
  if (error || peer.protocol().family() != AF_INET) return {};
  sockaddr_in address{};
  std::memcpy(&address, peer.data(), std::min(peer.size(), sizeof address));
  return asio::ip::address_v4{ntohl(address.sin_addr.s_addr)}.to_string();
}

// As much of the answer as its cut lets through.
std::string cut_text(const Message& message, Delivery::Cut cut) {
  std::ostringstream text;
  text << message;
  std::string whole = std::move(text).str();
  const std::size_t body = message.body().size();
  if (cut == Delivery::Cut::before_body) whole.resize(whole.size() - body);
  if (cut == Delivery::Cut::inside_body) whole.resize(whole.size() - (body + 1) / 2);
  return whole;
}

Request request_of(Parser::value_type message) {
  Request request{.method = text_of(message.method_string()),
                  .target = text_of(message.target()),
                  .headers = {},
                  .body = std::move(message.body())};
  for (const auto& field : message)
    request.headers.push_back({text_of(field.name_string()), text_of(field.value())});
  return request;
}

Message message_of(Response response, unsigned version, bool keep_alive, bool with_body) {
  Message message{static_cast<beast::http::status>(response.status), version};
  for (const Header& header : response.headers) message.insert(header.name, header.value);
  message.keep_alive(keep_alive);
  message.content_length(response.body.size());
  if (with_body) message.body() = std::move(response.body);
  return message;
}

// The status for what Beast could not read; nothing where there is nobody to tell.
std::optional<unsigned> status_of(const error_code& error) {
  if (error.category() != error_code{beast::http::error::end_of_stream}.category()) return {};
  if (error == beast::http::error::end_of_stream) return {};
  if (error == beast::http::error::header_limit) return 431;
  if (error == beast::http::error::buffer_overflow) return 431;
  if (error == beast::http::error::body_limit) return 413;
  return 400;
}

Response refusal(unsigned status) {
  const char* text = status == 431   ? "the headers are too large\n"
                     : status == 413 ? "the body is too large\n"
                                     : "this is not an HTTP/1.1 request\n";
  return {.status = status, .headers = {{"Content-Type", "text/plain"}}, .body = text};
}

Result<OwnedFd> bind_loopback(std::uint16_t port) {
  const std::string subject = "127.0.0.1:" + std::to_string(port);
  OwnedFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot make a socket", subject));
  const int on = 1;  // A restart may take the port of a server that has just gone.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(os_error(Code::usage, "cannot bind", subject));
  if (::listen(fd.get(), SOMAXCONN) != 0)
    return fail(os_error(Code::usage, "cannot listen on", subject));
  return fd;
}

void log_escaped(std::exception_ptr error) {
  if (!error) return;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    log(Level::error, "http_connection_failed", e.what());
  }
}

}  // namespace

struct Server::Impl {
  enum class Doing { reading, answering };
  struct Door {
    Acceptor acceptor;
    std::string socket;  // As Request::socket.
  };
  struct Connection {
    Stream stream;
    asio::steady_timer delay;  // Of the answer.
    std::string peer;
    std::string socket;
    Doing doing = Doing::reading;
  };
  using Place = std::list<Connection>::iterator;

  Impl(Handler h, Limits l)
      : handler{std::move(h)}, limits{l}, signals{context}, room{context}, grace{context} {}

  Result<void> add(OwnedFd fd, int family, int protocol, std::string socket);
  asio::awaitable<void> accept_on(Door& door);
  asio::awaitable<void> wait_for_room();
  asio::awaitable<void> serve(Place place);
  asio::awaitable<void> converse(Connection& connection);
  asio::awaitable<bool> answer(Connection& connection, beast::flat_buffer& buffer);
  asio::awaitable<bool> write(Connection& connection, Message message);
  asio::awaitable<void> write_cut(Connection& connection, Message message, Delivery::Cut cut);
  asio::awaitable<void> refuse(Connection& connection, const error_code& error);
  Response handle(const Request& request);
  void leave(Place place);
  void stop();

  Handler handler;
  Limits limits;
  asio::io_context context{1};
  asio::signal_set signals;
  asio::steady_timer room;   // Expires when a connection has left.
  asio::steady_timer grace;  // Runs from stop() until the last connection has left.
  std::list<Door> doors;
  std::list<Connection> connections;
  std::vector<std::string> unix_paths;
  bool stopping = false;
};

Result<void> Server::Impl::add(OwnedFd fd, int family, int protocol, std::string socket) {
  error_code error;
  Acceptor acceptor{context};
  acceptor.assign(Protocol{family, protocol}, fd.get(), error);
  if (error) return fail(Code::internal, "cannot serve a socket", error.message());
  fd.release();
  doors.push_back({std::move(acceptor), std::move(socket)});
  return {};
}

asio::awaitable<void> Server::Impl::wait_for_room() {
  while (connections.size() >= limits.connections && !stopping) {
    room.expires_at(asio::steady_timer::time_point::max());
    co_await room.async_wait(kTuple);
  }
}

asio::awaitable<void> Server::Impl::accept_on(Door& door) {
  for (;;) {
    co_await wait_for_room();
    if (stopping) co_return;
    auto [error, socket] = co_await door.acceptor.async_accept(kTuple);
    if (stopping) co_return;
    if (error) {  // EMFILE and the like: the connection stays in the kernel's queue.
      log(Level::warning, "http_accept_failed", error.message());
      asio::steady_timer pause{context, kAcceptBackoff};
      co_await pause.async_wait(kTuple);
      continue;
    }
    error_code ignored;  // A Unix socket has no such option.
    socket.set_option(asio::ip::tcp::no_delay{true}, ignored);
    std::string peer = peer_address(socket);
    const Place place = connections.insert(
        connections.end(), Connection{Stream{std::move(socket)}, asio::steady_timer{context},
                                      std::move(peer), door.socket});
    asio::co_spawn(context, serve(place), [this, place](std::exception_ptr escaped) {
      log_escaped(escaped);
      leave(place);
    });
  }
}

void Server::Impl::leave(Place place) {
  connections.erase(place);
  room.cancel();
  if (stopping && connections.empty()) grace.cancel();
}

asio::awaitable<void> Server::Impl::serve(Place place) {
  co_await converse(*place);
  error_code ignored;
  place->stream.socket().shutdown(Socket::shutdown_both, ignored);
}

asio::awaitable<void> Server::Impl::converse(Connection& connection) {
  beast::flat_buffer buffer{limits.header_bytes + limits.body_bytes};
  while (!stopping) {
    if (!co_await answer(connection, buffer)) co_return;
  }
}

// One request and its answer; false when the connection is to be closed.
asio::awaitable<bool> Server::Impl::answer(Connection& connection, beast::flat_buffer& buffer) {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
  parser.body_limit(limits.body_bytes);
  connection.doing = Doing::reading;
  connection.stream.expires_after(limits.idle);
  const auto [error, size] =
      co_await beast::http::async_read(connection.stream, buffer, parser, kTuple);
  connection.doing = Doing::answering;
  if (error) {
    co_await refuse(connection, error);
    co_return false;
  }
  const unsigned version = parser.get().version();
  const bool keep_alive = parser.get().keep_alive() && !stopping;
  // RFC 9110 section 9.3.2: the answer to HEAD has the headers of the one to GET, and no body.
  const bool with_body = parser.get().method() != beast::http::verb::head;
  Request request = request_of(parser.release());
  request.peer = connection.peer;
  request.socket = connection.socket;
  Response response = handle(request);
  const Delivery delivery = response.delivery;
  if (delivery.delay.count() > 0 && !stopping) {
    connection.delay.expires_after(delivery.delay);
    co_await connection.delay.async_wait(kTuple);
  }
  Message message = message_of(std::move(response), version, keep_alive, with_body);
  if (delivery.cut == Delivery::Cut::nowhere)
    co_return co_await write(connection, std::move(message));
  co_await write_cut(connection, std::move(message), delivery.cut);
  co_return false;
}

asio::awaitable<void> Server::Impl::write_cut(Connection& connection, Message message,
                                              Delivery::Cut cut) {
  if (cut == Delivery::Cut::before_head) co_return;
  const std::string text = cut_text(message, cut);
  connection.stream.expires_after(limits.idle);
  co_await asio::async_write(connection.stream, asio::buffer(text), kTuple);
}

asio::awaitable<bool> Server::Impl::write(Connection& connection, Message message) {
  connection.stream.expires_after(limits.idle);
  const auto [error, size] = co_await beast::http::async_write(connection.stream, message, kTuple);
  co_return !error && message.keep_alive();
}

asio::awaitable<void> Server::Impl::refuse(Connection& connection, const error_code& error) {
  const std::optional<unsigned> status = status_of(error);
  if (!status) co_return;
  co_await write(connection, message_of(refusal(*status), 11, false, true));
  error_code ignored;
  connection.stream.socket().shutdown(Socket::shutdown_send, ignored);
  connection.stream.expires_after(kDrainTime);
  std::array<char, 4096> waste;
  for (std::size_t drained = 0; drained < kDrainBytes;) {
    const auto [done, size] =
        co_await connection.stream.async_read_some(asio::buffer(waste), kTuple);
    if (done) co_return;
    drained += size;
  }
}

Response Server::Impl::handle(const Request& request) {
  try {
    return handler(request);
  } catch (const std::exception& e) {
    log(Level::error, "http_handler_failed", e.what());
    return {.status = 500, .headers = {{"Content-Type", "text/plain"}}, .body = "internal error\n"};
  }
}

void Server::Impl::stop() {
  if (std::exchange(stopping, true)) return;
  signals.cancel();
  room.cancel();
  for (Door& door : doors) {
    error_code ignored;
    door.acceptor.close(ignored);
  }
  if (connections.empty()) return;
  for (Connection& connection : connections) {
    connection.delay.cancel();
    if (connection.doing == Doing::reading) connection.stream.cancel();
  }
  grace.expires_after(limits.grace);
  grace.async_wait([this](const error_code& cancelled) {
    if (cancelled) return;
    for (Connection& connection : connections) connection.stream.close();
  });
}

Server::Server(Handler handler, Limits limits)
    : impl_{std::make_unique<Impl>(std::move(handler), limits)} {}

Server::~Server() {
  for (const std::string& path : impl_->unix_paths) ::unlink(path.c_str());
}

Result<std::uint16_t> Server::listen_tcp(std::uint16_t port) {
  TRY(OwnedFd fd, bind_loopback(port));
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return fail(os_error(Code::internal, "cannot learn the port", "getsockname"));
  TRY_VOID(impl_->add(std::move(fd), AF_INET, IPPROTO_TCP, {}));
  return ntohs(bound.sin_port);
}

Result<void> Server::listen_unix(const std::string& path, mode_t mode) {
  TRY(OwnedFd fd, hsm::listen_unix(path, mode));
  impl_->unix_paths.push_back(path);
  return impl_->add(std::move(fd), AF_UNIX, 0, path);
}

Result<void> Server::stop_on_signals() {
  error_code error;
  impl_->signals.add(SIGTERM, error);
  if (!error) impl_->signals.add(SIGINT, error);
  if (error) return fail(Code::internal, "cannot catch SIGTERM and SIGINT", error.message());
  impl_->signals.async_wait([this](const error_code& cancelled, int) {
    if (!cancelled) impl_->stop();
  });
  return {};
}

void Server::run() {
  for (Impl::Door& door : impl_->doors)
    asio::co_spawn(impl_->context, impl_->accept_on(door), log_escaped);
  impl_->context.run();
}

void Server::stop() {
  asio::post(impl_->context, [this] { impl_->stop(); });
}

}  // namespace hsm::http
