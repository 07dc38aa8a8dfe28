// A client that sends what a client library would refuse to send.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <string>

#include "hsm_signer/base/os.h"

namespace hsm::http {

using namespace std::chrono_literals;

class Raw {
 public:
  explicit Raw(OwnedFd fd) : fd_{std::move(fd)} {}
  static Raw to(std::uint16_t port) {
    OwnedFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return Raw{std::move(fd)};
  }
  // False once the server has closed, which most tests expect sooner or later.
  bool send(std::string_view text) {
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0;
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  // Until `end` has come, the peer closed, or the time is over.
  std::string read_until(std::string_view end, std::chrono::milliseconds limit = 10s) {
    std::string got;
    const auto stop = std::chrono::steady_clock::now() + limit;
    while (end.empty() || got.find(end) == std::string::npos) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(stop - std::chrono::steady_clock::now());
      pollfd wait{fd_.get(), POLLIN, 0};
      if (left <= 0ms || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0)
        return got + "<timeout>";
      char buffer[4096];
      const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n < 0) return got + "<reset>";  // Closed over bytes that the server had not read.
      if (n == 0) return got + "<closed>";
      got.append(buffer, static_cast<std::size_t>(n));
    }
    return got;
  }
  std::string read_to_end(std::chrono::milliseconds limit = 10s) { return read_until("", limit); }

 private:
  OwnedFd fd_;
};

}  // namespace hsm::http
