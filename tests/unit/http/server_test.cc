#include "hsm_signer/http/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <ostream>
#include <thread>

#include "hsm_signer/base/os.h"
#include "tests/support/error_is.h"
#include "tests/unit/http/raw.h"

namespace hsm::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

// Says what it was sent; "/throw" throws, "/slow" answers more than the kernel buffers.
Response echo(const Request& request) {
  if (request.target == "/throw") throw std::runtime_error{"handler"};
  if (request.target == "/slow")
    return {.status = 200, .headers = {}, .body = std::string(8 << 20, 'x')};
  std::string text = request.method + " " + request.target;
  for (const Header& header : request.headers) text += "|" + header.name + "=" + header.value;
  return {.status = 200, .headers = {{"X-Echo", "yes"}}, .body = text + "|" + request.body};
}

class Running {
 public:
  explicit Running(Limits limits = {}) : server_{echo, limits} {
    const Result<std::uint16_t> port = server_.listen_tcp(0);
    EXPECT_THAT(port, Succeeds());
    port_ = port.value_or(0);
    thread_ = std::thread{[this] { server_.run(); }};
  }
  ~Running() { stop(); }
  void stop() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Raw connect() const { return Raw::to(port_); }
  std::uint16_t port() const { return port_; }

 private:
  Server server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

constexpr const char* kGet = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(Server, HandsOverTheRequestAsSentAndTheAnswerAsGiven) {
  const Running server;
  Raw raw = server.connect();
  raw.send(
      "POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-One:  1 \r\nx-one: 2\r\nContent-Length: "
      "4\r\n\r\nbody");
  EXPECT_EQ(raw.read_until("body"),
            "HTTP/1.1 200 OK\r\nX-Echo: yes\r\nContent-Length: 60\r\n\r\n"
            "POST /a%20b?c=d|Host=x|X-One=1|x-one=2|Content-Length=4|body");
}

TEST(Server, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  const Running server;
  Raw raw = server.connect();
  raw.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answers = raw.read_until("GET /2|Host=a|");
  EXPECT_LT(answers.find("GET /1"), answers.find("GET /2"));
  raw.send("GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(raw.read_to_end(), AllOf(HasSubstr("GET /3"), EndsWith("|<closed>")));
}

TEST(Server, ClosesAfterAnHttp10Request) {
  const Running server;
  Raw raw = server.connect();
  raw.send("GET /ok HTTP/1.0\r\n\r\n");
  EXPECT_THAT(raw.read_to_end(), AllOf(HasSubstr("GET /ok"), EndsWith("<closed>")));
}

TEST(Server, TakesAChunkedBody) {
  const Running server;
  Raw raw = server.connect();
  raw.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_THAT(raw.read_until("|abc"), EndsWith("|abc"));
}

TEST(Server, AnswersHeadWithoutBody) {
  const Running server;
  Raw raw = server.connect();
  raw.send("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(raw.read_to_end(),
              AllOf(HasSubstr("Content-Length: 24\r\n"), EndsWith("\r\n\r\n<closed>")));
}

TEST(Server, TurnsAnExceptionIntoA500AndGoesOn) {
  const Running server;
  Raw raw = server.connect();
  raw.send("GET /throw HTTP/1.1\r\n\r\n");
  EXPECT_THAT(raw.read_until("internal error"), StartsWith("HTTP/1.1 500 "));
  raw.send(kGet);
  EXPECT_THAT(raw.read_until("GET /ok"), HasSubstr("200 OK"));
}

struct Garbage {
  const char* name;
  std::string bytes;
  const char* status;

  friend void PrintTo(const Garbage& row, std::ostream* out) { *out << row.name; }
};
class BrokenRequests : public ::testing::TestWithParam<Garbage> {};

TEST_P(BrokenRequests, AreRefusedAndClosedAndTheServerLives) {
  const Running server;
  Raw raw = server.connect();
  raw.send(GetParam().bytes);
  EXPECT_THAT(raw.read_to_end(), AllOf(StartsWith(std::string{"HTTP/1.1 "} + GetParam().status),
                                       Not(HasSubstr("X-Echo")), EndsWith("<closed>")));
  Raw next = server.connect();
  next.send(kGet);
  EXPECT_THAT(next.read_until("GET /ok"), HasSubstr("200 OK"));
}

std::string headers_of(std::size_t bytes) {
  return "GET / HTTP/1.1\r\nX-Long: " + std::string(bytes, 'x') + "\r\n\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    Each, BrokenRequests,
    ::testing::Values(
        Garbage{"Noise", std::string("\x00\x01\xFF\xFE\r\n\r\n", 8), "400 "},
        Garbage{"TlsHello", std::string("\x16\x03\x01\x00\xA5\x01\x00\x00\xA1\x03\x03", 11),
                "400 "},
        Garbage{"NoVersion", "GET /\r\n\r\n", "400 "},
        Garbage{"AnotherVersion", "GET / HTTP/2.0\r\n\r\n", "400 "},
        Garbage{"NoColon", "GET / HTTP/1.1\r\nHeader\r\n\r\n", "400 "},
        Garbage{"SpaceBeforeTheColon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 "},
        Garbage{"NulInAHeader", std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 27), "400 "},
        Garbage{"ContentLengthNotANumber", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 "},
        Garbage{"ContentLengthTwice",
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400 "},
        Garbage{
            "ContentLengthAndChunked",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 "},
        Garbage{"ChunkSizeNotANumber",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 "},
        Garbage{"HeaderBomb", headers_of(20 * 1024), "431 "},
        Garbage{"EndlessHeader", "GET / HTTP/1.1\r\nX: " + std::string(200 * 1024, 'x'), "431 "},
        Garbage{"BodyTooLong",
                "POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n" + std::string(65537, 'x'),
                "413 "},
        Garbage{"BodyMuchTooLong", "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                "413 "},
        Garbage{"ChunkedBodyTooLong",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n" +
                    std::string(0x11000, 'x'),
                "413 "}),
    [](const auto& row) { return row.param.name; });

TEST(Server, KeepsReadingAfterARefusalSoThatTheSenderCanReadIt) {
  const Running server;
  Raw raw = server.connect();
  raw.send("POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n");
  EXPECT_THAT(raw.read_until("too large\n"), HasSubstr(" 413 "));
  for (int i = 0; i < 5; ++i) {  // Into a closed connection the second or third would fail.
    EXPECT_TRUE(raw.send(std::string(1000, 'x')));
    std::this_thread::sleep_for(5ms);
  }
}

TEST(Server, TakesHeadersAndBodiesUpToTheLimit) {
  const Running server;
  Raw raw = server.connect();
  raw.send(headers_of(16 * 1024 - 64));
  EXPECT_THAT(raw.read_until("xxx|"), HasSubstr("200 OK"));
  raw.send("POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n" + std::string(65535, 'b') + "!");
  EXPECT_THAT(raw.read_until("b!"), HasSubstr("200 OK"));
}

TEST(Server, RefusesARequestThatEndsInTheMiddle) {
  const Running server;
  Raw raw = server.connect();
  raw.send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
  raw.finish_sending();
  EXPECT_THAT(raw.read_to_end(), AllOf(StartsWith("HTTP/1.1 400 "), EndsWith("<closed>")));
}

TEST(Server, ClosesAConnectionThatNeverFinishesItsRequest) {
  const Running server{{.idle = 200ms}};
  Raw silent = server.connect();
  Raw half = server.connect();
  half.send("GET / HTTP/1.1\r\nHo");
  EXPECT_EQ(silent.read_to_end(), "<closed>");
  EXPECT_EQ(half.read_to_end(), "<closed>");
}

TEST(Server, DoesNotLetDripsProlongTheTimeForARequest) {
  const Running server{{.idle = 300ms}};
  Raw raw = server.connect();
  raw.send("GET / HTTP/1.1\r\nX: ");
  std::string got;
  for (int i = 0; i < 100 && got.empty(); ++i) {  // A byte each 50 ms, for 5 s at most.
    raw.send("x");
    got = raw.read_until("\n", 50ms);
    if (got == "<timeout>") got.clear();
  }
  EXPECT_EQ(got, "<closed>");
}

TEST(Server, TakesNoMoreConnectionsThanItsLimitUntilOneCloses) {
  const Running server{{.connections = 2}};
  Raw first = server.connect();
  auto second = std::make_unique<Raw>(server.connect());
  first.send(kGet);
  second->send(kGet);
  first.read_until("GET /ok");
  second->read_until("GET /ok");
  Raw third = server.connect();  // In the kernel's queue.
  third.send(kGet);
  EXPECT_EQ(third.read_until("GET /ok", 300ms), "<timeout>");
  second.reset();
  EXPECT_THAT(third.read_until("GET /ok"), HasSubstr("200 OK"));
}

TEST(Server, StopsAtOnceWhenConnectionsAreIdleAndTakesNoMore) {
  Running server{{.idle = 60s, .grace = 60s}};
  Raw idle = server.connect();
  idle.send(kGet);
  idle.read_until("GET /ok");
  const auto before = std::chrono::steady_clock::now();
  server.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  EXPECT_THAT(idle.read_to_end(), EndsWith("<closed>"));
  OwnedFd fd{::socket(AF_INET, SOCK_STREAM, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

TEST(Server, LetsAnAnswerLeaveBeforeItStops) {
  Running server{{.grace = 10s}};
  Raw raw = server.connect();
  raw.send("GET /slow HTTP/1.1\r\n\r\n");
  std::string got =
      raw.read_until("\r\n\r\n");  // The rest waits for us: it is more than the kernel buffers.
  std::thread stopper{[&] { server.stop(); }};
  got += raw.read_to_end();
  stopper.join();
  EXPECT_GT(got.size(), std::size_t{8} << 20);
}

TEST(Server, DoesNotWaitForAReaderBeyondItsGrace) {
  Running server{{.grace = 200ms}};
  Raw raw = server.connect();
  raw.send("GET /slow HTTP/1.1\r\n\r\n");
  raw.read_until("\r\n\r\n");
  const auto before = std::chrono::steady_clock::now();
  server.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  EXPECT_LT(raw.read_to_end().size(), std::size_t{8} << 20);
}

TEST(Server, ServesAUnixSocketAndRemovesIt) {
  std::string directory = "/tmp/hsm-http-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/s";
  {
    Server server{echo, {}};
    ASSERT_THAT(server.listen_unix(path, 0600), Succeeds());
    std::thread thread{[&] { server.run(); }};
    Raw raw{connect_unix(path).value()};
    raw.send(kGet);
    EXPECT_THAT(raw.read_until("GET /ok"), HasSubstr("200 OK"));
    server.stop();
    thread.join();
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(directory);
}

TEST(Server, RefusesAPortThatIsTaken) {
  const Running running;
  Server second{echo, {}};
  EXPECT_THAT(second.listen_tcp(running.port()), ErrorIs(Code::usage, HasSubstr("127.0.0.1:")));
}

TEST(Server, ListensOnLoopbackOnly) {
  const Running running;
  OwnedFd fd{::socket(AF_INET, SOCK_STREAM, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(running.port());
  address.sin_addr.s_addr =
      htonl(INADDR_LOOPBACK + 1);  // 127.0.0.2 reaches only who listens on all.
  EXPECT_NE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

}  // namespace
}  // namespace hsm::http
