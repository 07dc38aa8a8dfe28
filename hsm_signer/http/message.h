// HTTP messages as plain values, so that whoever answers them needs no HTTP library.
#pragma once

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
};

struct Response {
  unsigned status = 200;
  // Content-Length and Connection are the server's to add. Values may hold no line break.
  Headers headers;
  std::string body;
};

}  // namespace hsm::http
