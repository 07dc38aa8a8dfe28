#include "hsm_signer/keystore/worker_link.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>

namespace hsm::keystore {
namespace {

namespace asio = boost::asio;
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kFirstPause{20};
constexpr std::chrono::milliseconds kLongestPause{1000};

Error lost(const boost::system::error_code& error) {
  return {.code = Code::token_unavailable,
          .what = "the token host is not there",
          .detail = error == asio::error::eof ? "it closed the connection" : error.message()};
}

}  // namespace

WorkerLink::WorkerLink(asio::io_context& io, std::string socket_path, WorkerIndex index,
                       Events& events)
    : socket_{io}, pause_{io}, path_{std::move(socket_path)}, index_{index}, events_{events} {}

void WorkerLink::start() { asio::co_spawn(socket_.get_executor(), run(), asio::detached); }

void WorkerLink::stop() {
  stopped_ = true;
  drop();
  pause_.cancel();
}

void WorkerLink::drop() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> WorkerLink::run() {
  auto pause = kFirstPause;
  while (!stopped_) {
    const Result<void> ended = co_await serve();
    const bool was_up = std::exchange(up_, false);
    boost::system::error_code ignored;
    socket_.close(ignored);
    in_ = {};
    out_.clear();
    writing_.clear();
    if (stopped_) co_return;
    events_.worker_lost(index_, was_up,
                        ended ? Error{.code = Code::internal, .what = {}} : ended.error());
    pause = was_up ? kFirstPause : std::min(2 * pause, kLongestPause);
    pause_.expires_after(pause);
    co_await pause_.async_wait(kUse);
  }
}

asio::awaitable<Result<void>> WorkerLink::serve() {
  ++connection_;
  const auto [refused] =
      co_await socket_.async_connect(asio::local::stream_protocol::endpoint{path_}, kUse);
  if (refused) {
    co_return fail(Code::token_unavailable, "cannot connect to the token host",
                   path_ + ": " + refused.message() + "; is hsm-tokend running?");
  }
  CO_TRY(const wire::Info info, co_await greet());
  up_ = true;
  events_.worker_up(index_, info);
  for (;;) {
    for (;;) {
      CO_TRY(const std::optional<wire::FrameView> frame, in_.next());
      if (!frame) break;
      events_.worker_answered(index_, *frame);
    }
    events_.worker_turn_over(index_);
    CO_TRY_VOID(co_await read_some());
  }
}

asio::awaitable<Result<wire::Info>> WorkerLink::greet() {
  CO_TRY_VOID(wire::encode(out_, 0, wire::Hello{.program = "hsm-signerd"}));
  CO_TRY_VOID(wire::encode(out_, 0, wire::InfoQuery{}));
  const auto [error, size] = co_await asio::async_write(socket_, asio::buffer(out_), kUse);
  out_.clear();
  if (error) co_return fail(lost(error));
  for (const wire::Type expected : {wire::Type::hello, wire::Type::info}) {
    CO_TRY(const wire::FrameView frame, co_await next_frame());
    if (frame.type() == wire::Type::error) {
      CO_TRY(const wire::Failure failure, wire::decode<wire::Failure>(frame));
      co_return fail(wire::to_error(failure));
    }
    if (frame.type() != wire::answer_to(expected))
      co_return fail(Code::protocol_error, "not a token host");
    if (expected == wire::Type::info) co_return wire::decode<wire::Info>(frame);
  }
  co_return fail(Code::protocol_error, "not a token host");
}

asio::awaitable<Result<wire::FrameView>> WorkerLink::next_frame() {
  for (;;) {
    CO_TRY(const std::optional<wire::FrameView> frame, in_.next());
    if (frame) co_return *frame;
    CO_TRY_VOID(co_await read_some());
  }
}

asio::awaitable<Result<void>> WorkerLink::read_some() {
  const std::span<Byte> room = in_.prepare();
  const auto [error, size] =
      co_await socket_.async_read_some(asio::buffer(room.data(), room.size()), kUse);
  if (error) co_return fail(lost(error));
  in_.commit(size);
  co_return Result<void>{};
}

void WorkerLink::flush() {
  if (!up_) {
    out_.clear();
    return;
  }
  if (writing_.empty() && !out_.empty()) write();
}

void WorkerLink::write() {
  writing_.swap(out_);
  asio::async_write(
      socket_, asio::buffer(writing_),
      [this, connection = connection_](const boost::system::error_code& error, std::size_t) {
        // The reader sees the same failure and reports it; a newer connection is not ours.
        if (error || connection != connection_ || !up_) return;
        writing_.clear();
        if (!out_.empty()) write();
      });
}

}  // namespace hsm::keystore
