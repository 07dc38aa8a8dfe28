#include "hsm_signer/transport/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "hsm_signer/base/log.h"

namespace hsm::transport {
namespace {

namespace asio = boost::asio;
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
// For the frames of one uid, before others are looked at. Long enough for a pipeline to be read at
// a good price, short beside what a signature takes.
constexpr std::chrono::microseconds kTurn{100};

// Whether the bytes just received were sent by the process that connected (unix(7),
// SCM_CREDENTIALS). A descriptor passed to another process would lend it the first one's rights.
bool sent_by(const Peer& peer, msghdr& message) {
  if ((message.msg_flags & MSG_CTRUNC) != 0) return false;  // Somebody sends descriptors along.
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
    return Peer{.uid = sender.uid, .gid = sender.gid, .pid = sender.pid} == peer;
  }
  return false;
}

}  // namespace

Connection::Connection(Socket socket, Peer peer, const Limits& limits,
                       std::shared_ptr<const std::size_t> of_its_uid, Turns& turns, Outbox& outbox,
                       Handler& handler)
    : socket_{std::move(socket)},
      peer_{peer},
      limits_{limits},
      of_its_uid_{std::move(of_its_uid)},
      turns_{turns},
      outbox_{outbox},
      handler_{handler},
      resume_{socket_.get_executor()},
      accepted_{std::chrono::steady_clock::now()},
      last_byte_{accepted_} {}

asio::awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  const Result<void> ended = co_await serve();
  if (!ended && !closed_) {
    log_limited(Level::notice, "client_broke_protocol",
                "uid " + std::to_string(peer_.uid) + " pid " + std::to_string(peer_.pid) + ": " +
                    ended.error().sentence());
    refuse_and_close(ended.error());
  }
  if (!closing_) close();
  // The last words may still be on their way; check_patience() sees to it that they end.
  while (!closed_) co_await wait_to_be_woken();
}

asio::awaitable<void> Connection::wait_to_be_woken() {
  resume_.expires_at(std::chrono::steady_clock::time_point::max());
  co_await resume_.async_wait(kUse);
}

asio::awaitable<Result<void>> Connection::serve() {
  while (open()) {
    co_await wait_for_turn();
    reading_ = true;
    const Result<Turn> turn = work();
    end_turn();
    if (!turn) co_return fail(turn.error());
    if (*turn == Turn::ended) break;
    if (*turn == Turn::full) co_await wait_for_room();
    if (*turn != Turn::dry) continue;
    const auto [error] = co_await socket_.async_wait(Socket::wait_read, kUse);
    if (error) break;
  }
  co_return Result<void>{};
}

asio::awaitable<void> Connection::wait_for_turn() {
  its_turn_ = turns_.take(peer_.uid, [self = shared_from_this()] {
    self->its_turn_ = true;
    self->resume_.cancel();
  });
  held_back_ = !its_turn_;
  while (!its_turn_) co_await wait_to_be_woken();
  if (std::exchange(held_back_, false)) last_byte_ = std::chrono::steady_clock::now();
}

asio::awaitable<void> Connection::wait_for_room() {
  held_back_ = true;
  while (overfull() && !closed_) co_await wait_to_be_woken();
  held_back_ = false;
  last_byte_ = std::chrono::steady_clock::now();
}

// What the frames of one turn led to leaves in one write each way, and now: behind whatever else is
// ready in this round of the loop it would wait for as long as others like.
void Connection::end_turn() {
  reading_ = false;
  handler_.turn_over();
  flush();
  turns_.pass_on(peer_.uid);
}

Result<Connection::Turn> Connection::work() {
  if (!open()) return Turn::ended;  // Its last word was said while it waited.
  const auto until = std::chrono::steady_clock::now() + kTurn;
  do {
    TRY(const std::optional<wire::FrameView> frame, in_.next());
    if (frame) {
      TRY_VOID(take(*frame));
      if (!open()) return Turn::ended;
      if (overfull()) return Turn::full;
      continue;
    }
    TRY(const Received received, receive());
    if (received == Received::end) return Turn::ended;
    if (received == Received::nothing) return Turn::dry;
  } while (std::chrono::steady_clock::now() < until);
  return Turn::over;
}

Result<void> Connection::take(const wire::FrameView& frame) {
  if (greeted_) {
    ++outstanding_;
    handler_.handle(shared_from_this(), frame);
    return {};
  }
  if (frame.type() != wire::Type::hello)
    return fail(Code::protocol_error, "the first frame must be a hello");
  TRY(const wire::Hello hello, wire::decode<wire::Hello>(frame));
  if (hello.version != wire::kProtocolVersion) {
    return fail(Code::protocol_error, "unknown protocol version",
                std::to_string(hello.version) + ", this daemon speaks " +
                    std::to_string(wire::kProtocolVersion));
  }
  greeted_ = true;
  ++outstanding_;
  answer(frame, wire::Hello{.program = "hsm-signerd/" HSM_VERSION});
  return {};
}

Result<Connection::Received> Connection::receive() {
  if (closed_) return Received::end;
  const std::span<Byte> room = in_.prepare();
  iovec part{.iov_base = room.data(), .iov_len = room.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size =
      ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Received::nothing;
  if (size <= 0) return Received::end;
  if (!sent_by(peer_, message))
    return fail(Code::protocol_error, "a message whose sender is not the one who connected");
  in_.commit(static_cast<std::size_t>(size));
  last_byte_ = std::chrono::steady_clock::now();
  return Received::bytes;
}

bool Connection::overfull() const {
  return outstanding_ >= limits_.outstanding || out_.size() + writing_.size() >= unread_limit();
}

std::size_t Connection::unread_limit() const {
  const std::size_t share = limits_.unread_answers_of_uid / std::max<std::size_t>(1, *of_its_uid_);
  return std::min(limits_.unread_answers, std::max(share, limits_.least_unread_answers));
}

void Connection::refuse(std::uint64_t id, const Error& error) {
  if (closed_) return;
  // A failure frame always fits: its sentence is ours and short.
  (void)wire::encode(out_, id, wire::to_failure(error));
  answered();
}

void Connection::settle(const wire::FrameView& frame, const Result<void>& outcome) {
  if (outcome) return;
  if (outcome.error().code == Code::protocol_error) return refuse_and_close(outcome.error());
  refuse(frame.id(), outcome.error());
}

void Connection::refuse_and_close(const Error& error) {
  if (closed_) return;
  closing_ = true;
  last_byte_ = std::chrono::steady_clock::now();
  (void)wire::encode(out_, 0, wire::to_failure(error));
  schedule_flush();
}

void Connection::answered() {
  if (outstanding_ > 0) --outstanding_;
  schedule_flush();
}

void Connection::schedule_flush() {
  if (reading_ || std::exchange(flush_scheduled_, true)) return;
  outbox_.add(shared_from_this());
}

void Connection::flush() {
  flush_scheduled_ = false;
  if (closed_ || !writing_.empty()) return;
  if (out_.empty()) {
    if (closing_) close();
    return;
  }
  const ssize_t sent =
      ::send(socket_.native_handle(), out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return close();
  if (sent != static_cast<ssize_t>(out_.size()))
    return write_rest(static_cast<std::size_t>(std::max<ssize_t>(0, sent)));
  out_.clear();
  written();
}

void Connection::write_rest(std::size_t sent) {
  writing_.swap(out_);
  asio::async_write(
      socket_, asio::buffer(writing_) + sent,
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
        self->writing_.clear();
        if (error) return self->close();
        self->written();
        self->flush();
      });
}

void Connection::written() {
  if (closing_ && out_.empty()) return close();
  if (!overfull()) resume_.cancel();
}

void Connection::finish() {
  if (closed_) return;
  closing_ = true;
  last_byte_ = std::chrono::steady_clock::now();
  schedule_flush();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
  resume_.cancel();
}

void Connection::check_patience(std::chrono::steady_clock::time_point now) {
  if (closed_) return;
  const auto silent = now - last_byte_;
  if (closing_) {
    if (silent > limits_.last_words) close();
    return;
  }
  // From the accept: a byte now and then is no greeting.
  if (!greeted_ && now - accepted_ > limits_.greeting)
    return refuse_and_close({.code = Code::protocol_error, .what = "no hello in time"});
  if (in_.partial() && !held_back_ && silent > limits_.half_frame)
    refuse_and_close({.code = Code::protocol_error, .what = "half a frame, then silence"});
}

}  // namespace hsm::transport
