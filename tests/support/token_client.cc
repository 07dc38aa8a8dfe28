#include "tests/support/token_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "hsm_signer/wire/little_endian.h"

namespace hsm::test {
namespace {

Result<Bytes> read_exactly(int fd, std::size_t size, Clock::Steady until) {
  Bytes bytes(size);
  for (std::size_t got = 0; got < size;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - SystemClock{}.steady()).count();
    pollfd watched{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&watched, 1, static_cast<int>(left)) == 0)
      return fail(Code::deadline_exceeded, "no answer from the token host");
    const ssize_t n = ::read(fd, bytes.data() + got, size - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(Code::protocol_error, "the token host closed the connection");
    got += static_cast<std::size_t>(n);
  }
  return bytes;
}

}  // namespace

Result<TokenClient> TokenClient::connect(const std::string& socket) {
  TRY(OwnedFd fd, connect_unix(socket));
  return TokenClient{std::move(fd)};
}

Result<TokenClient> TokenClient::greeted(const std::string& socket) {
  TRY(TokenClient client, connect(socket));
  TRY_VOID(client.ask<wire::Hello>(wire::Hello{.program = "test"}));
  return client;
}

Result<void> TokenClient::send(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Code::protocol_error, "the token host closed the connection");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<Bytes> TokenClient::receive(std::chrono::milliseconds patience) {
  const auto until = SystemClock{}.steady() + patience;
  TRY(const Bytes length, read_exactly(fd_.get(), wire::kLengthSize, until));
  return read_exactly(fd_.get(), wire::load<std::uint32_t>(length), until);
}

}  // namespace hsm::test
