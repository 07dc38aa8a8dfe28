// Bad servers on purpose: late answers, half answers, none.
#include <gmock/gmock.h>

#include <filesystem>
#include <thread>

#include "hsm_signer/http/server.h"
#include "tests/support/error_is.h"
#include "tests/unit/http/raw.h"

namespace hsm::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr const char* kHead = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

Response answer(const Request& request) {
  Response response{.status = 200, .headers = {}, .body = "0123456789"};
  using Cut = Delivery::Cut;
  if (request.target == "/who") response.body = request.peer + "," + request.socket;
  if (request.target == "/late") response.delivery.delay = 150ms;
  if (request.target == "/never") response.delivery.delay = 60s;
  if (request.target == "/before-head") response.delivery.cut = Cut::before_head;
  if (request.target == "/before-body") response.delivery.cut = Cut::before_body;
  if (request.target == "/inside-body") response.delivery.cut = Cut::inside_body;
  if (request.target == "/after-body") response.delivery.cut = Cut::after_body;
  return response;
}

class Deliveries : public ::testing::Test {
 protected:
  Deliveries() {
    port_ = server_.listen_tcp(0).value();
    EXPECT_THAT(server_.listen_unix(directory_ + "/s", 0600), Succeeds());
    thread_ = std::thread{[this] { server_.run(); }};
  }
  ~Deliveries() override {
    stop();
    std::filesystem::remove_all(directory_);
  }
  void stop() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::string ask(const std::string& target) {
    Raw raw = Raw::to(port_);
    raw.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    return raw.read_to_end(2s);
  }
  static std::string make_directory() {
    std::string path = "/tmp/hsm-http-test-XXXXXX";
    return ::mkdtemp(path.data());
  }

  std::string directory_ = make_directory();
  Server server_{answer, {.grace = 20s}};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(Deliveries, AreCutWhereTheyAreToldTo) {
  EXPECT_EQ(ask("/before-head"), "<closed>");
  EXPECT_EQ(ask("/before-body"), std::string{kHead} + "<closed>");
  EXPECT_EQ(ask("/inside-body"), std::string{kHead} + "01234<closed>");
  EXPECT_EQ(ask("/after-body"), std::string{kHead} + "0123456789<closed>");
  EXPECT_EQ(ask("/ok"), std::string{kHead} + "0123456789<timeout>");  // Which is kept open.
}

TEST_F(Deliveries, ComeLateAndDoNotHoldOthersUp) {
  Raw late = Raw::to(port_);
  const auto before = std::chrono::steady_clock::now();
  late.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
  Raw other = Raw::to(port_);
  other.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(other.read_until("789"), EndsWith("789"));
  EXPECT_EQ(late.read_until("\r\n", 20ms), "<timeout>");
  EXPECT_THAT(late.read_until("789"), EndsWith("789"));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 150ms);
}

TEST_F(Deliveries, ThatAreLateLeaveAtOnceWhenTheServerStops) {
  Raw never = Raw::to(port_);
  never.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(never.read_until("\r\n", 50ms), "<timeout>");
  std::thread stopper{[this] { stop(); }};
  EXPECT_THAT(never.read_until("789"), EndsWith("789"));
  stopper.join();
}

TEST_F(Deliveries, KnowWhoAskedAndByWhichSocket) {
  EXPECT_THAT(ask("/who"), HasSubstr("\r\n\r\n127.0.0.1,<"));
  Raw raw{connect_unix(directory_ + "/s").value()};
  raw.send("GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(raw.read_to_end(1s), HasSubstr("\r\n\r\n," + directory_ + "/s<"));
}

}  // namespace
}  // namespace hsm::http
