// A blocking client of a token host's sockets, for tests: says what it likes.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "hsm_signer/base/os.h"
#include "hsm_signer/wire/token.h"

namespace hsm::test {

class TokenClient {
 public:
  // Connects without greeting.
  static Result<TokenClient> connect(const std::string& socket);
  // connect() and hello; the error that a host without workers answers comes back as it is.
  static Result<TokenClient> greeted(const std::string& socket);

  Result<void> send(ByteView bytes);
  // The next frame's body, or protocol_error when the host closed, deadline_exceeded after
  // `patience`.
  Result<Bytes> receive(std::chrono::milliseconds patience = std::chrono::seconds{20});

  // One question, one answer; an error frame comes back as its Error.
  template <class Answer, class Message>
  Result<Answer> ask(wire::Type type, const Message& message) {
    Bytes out;
    TRY_VOID(wire::encode(out, type, ++last_id_, message));
    TRY_VOID(send(out));
    TRY(const Bytes body, receive());
    TRY(const wire::FrameView frame, wire::FrameView::parse(body));
    if (frame.type() == wire::Type::error) {
      TRY(const auto failure, wire::decode<wire::Failure>(frame));
      return fail(wire::to_error(failure));
    }
    if (frame.type() != wire::answer_to(type) || frame.id() != last_id_)
      return fail(Code::protocol_error, "an answer to another question");
    return wire::decode<Answer>(frame);
  }
  template <class Answer, class Message>
  Result<Answer> ask(const Message& message) {
    return ask<Answer>(Message::kType, message);
  }

 private:
  explicit TokenClient(OwnedFd fd) : fd_{std::move(fd)} {}
  OwnedFd fd_;
  std::uint64_t last_id_ = 0;
};

}  // namespace hsm::test
