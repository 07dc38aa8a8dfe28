// HTTP messages as plain values, so that whoever answers them needs no HTTP library.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hsm::http {

struct Header {
  std::string name;
  std::string value;  // Without the white space around it.
};
using Headers = std::vector<Header>;

// The first header of that name, or null. Names compare ignoring case (RFC 9110 section 5.1).
const std::string* find(const Headers& headers, std::string_view name);
// How often a header of that name occurs: who decides by a header has to know that there is one.
std::size_t count(const Headers& headers, std::string_view name);

struct Request {
  std::string method;  // As sent: "POST".
  std::string target;  // As sent, query included: "/v1/orders".
  Headers headers;     // In the order sent, repeated names kept apart.
  std::string body;
  std::string peer{};    // The address of who sent it, "127.0.0.1"; empty over a Unix socket.
  std::string socket{};  // The path of the Unix socket that it came by; empty over TCP.
};

// How an answer leaves. For who simulates a bad server; who wants a good one leaves it alone.
struct Delivery {
  // Where the connection is closed, whatever was promised about keeping it.
  enum class Cut : std::uint8_t {
    nowhere,
    before_head,  // Not a byte of an answer.
    before_body,  // After a head that promises a body.
    inside_body,  // After the first half of it.
    after_body,   // After a whole answer that does not announce it.
  };
  std::chrono::milliseconds delay{0};  // stop() ends it early.
  Cut cut = Cut::nowhere;
};

struct Response {
  unsigned status = 200;
  // Content-Length and Connection are the server's to add. Values may hold no line break.
  Headers headers;
  std::string body;
  Delivery delivery{};
};

}  // namespace hsm::http
