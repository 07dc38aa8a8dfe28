// Bad servers on purpose: late answers, half answers, none.
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "hsm_signer/http/server.h"
#include "tests/support/error_is.h"
#include "tests/unit/http/raw.h"

namespace hsm::http {
namespace {

using ::testing::EndsWith;

constexpr const char* kHead = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

std::atomic<int> asked_never = 0;

Response answer(const Request& request) {
  Response response{.status = 200, .headers = {}, .body = "0123456789"};
  using Cut = Delivery::Cut;
  if (request.target == "/who") response.body = request.peer + "," + request.socket;
  if (request.target == "/late") response.delivery.delay = 150ms;
  if (request.target == "/never") {
    response.delivery.delay = 10min;  // Beyond every patience here.
    ++asked_never;
  }
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
    return raw.read_to_end();
  }
  // A connection that is owed an answer for longer than anything here waits.
  Raw owed() {
    const int before = asked_never;
    Raw raw = Raw::to(port_);
    raw.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 2'000 && asked_never == before; ++i) std::this_thread::sleep_for(5ms);
    EXPECT_GT(asked_never, before);
    return raw;
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
  Raw kept = Raw::to(port_);
  kept.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(kept.read_until("789"), std::string{kHead} + "0123456789");
  EXPECT_EQ(kept.read_to_end(200ms), "<timeout>");
}

TEST_F(Deliveries, ComeLateAndDoNotHoldOthersUp) {
  Raw never = owed();
  const auto before = std::chrono::steady_clock::now();
  Raw late = Raw::to(port_);
  late.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(late.read_until("789"), EndsWith("789"));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 150ms);
  EXPECT_EQ(never.read_until("\r\n", 1ms), "<timeout>");
}

TEST_F(Deliveries, ThatAreLateLeaveAtOnceWhenTheServerStops) {
  Raw never = owed();
  std::thread stopper{[this] { stop(); }};
  EXPECT_THAT(never.read_until("789"), EndsWith("789"));
  stopper.join();
}

TEST_F(Deliveries, KnowWhoAskedAndByWhichSocket) {
  Raw tcp = Raw::to(port_);
  tcp.send("GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(tcp.read_until("127.0.0.1,"), EndsWith("\r\n\r\n127.0.0.1,"));
  Raw raw{connect_unix(directory_ + "/s").value()};
  raw.send("GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string body = "\r\n\r\n," + directory_ + "/s";
  EXPECT_THAT(raw.read_until(body), EndsWith(body));
}

}  // namespace
}  // namespace hsm::http
