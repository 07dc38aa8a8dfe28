#include "hsm_signer/transport/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <thread>
#include <utility>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::transport {
namespace {

// Answers pings, after a while if told so; everything else is held for ever.
class Echo final : public Connection::Handler {
 public:
  void handle(const std::shared_ptr<Connection>& connection,
              const wire::FrameView& frame) override {
    ++frames;
    if (frame.type() != wire::Type::ping) return;
    connection->answer(frame, wire::Done{});
  }
  void turn_over() override {}
  std::atomic<int> frames = 0;
};

// A client that blocks, on this thread, while the server runs on another.
class Client {
 public:
  explicit Client(const std::string& path) : fd_{*connect_unix(path)} {
    timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void send(ByteView bytes) { (void)write_all(fd_.get(), bytes, Code::internal, "to the server"); }
  template <class M>
  void send(wire::Type type, std::uint64_t id, const M& message) {
    Bytes out;
    ASSERT_THAT(wire::encode(out, type, id, message), Succeeds());
    send(out);
  }
  void hello() {
    send(wire::Type::hello, 0, wire::Hello{});
    EXPECT_EQ(read(), "hello");
  }
  // "hello", "answer", an error's code, or "closed".
  std::string read() {
    for (;;) {
      const auto frame = in_.next();
      if (!frame) return "garbage";
      if (*frame) {
        if ((*frame)->type() == wire::answer_to(wire::Type::hello)) return "hello";
        if ((*frame)->type() != wire::Type::error) return "answer";
        const auto failure = wire::decode<wire::Failure>(**frame);
        sentence = failure->sentence;
        return failure->code;
      }
      const auto room = in_.prepare();
      const ssize_t size = ::read(fd_.get(), room.data(), room.size());
      if (size <= 0) return "closed";
      in_.commit(static_cast<std::size_t>(size));
    }
  }
  int fd() const { return fd_.get(); }
  std::string sentence;

 private:
  OwnedFd fd_;
  wire::FrameBuffer in_;
};

class ServerTest : public ::testing::Test {
 protected:
  void serve(
      Limits limits = {}, Server::Gate gate = [](const Peer&) { return Result<void>{}; }) {
    server_ = std::make_unique<Server>(io_, listener_.valid() ? std::move(listener_) : listening(),
                                       limits, echo_, std::move(gate));
    server_->start();
    ::signal(SIGPIPE, SIG_IGN);  // As lock_down() does: the other side may close first.
    thread_ = std::thread{[this] { io_.run(); }};
  }
  void TearDown() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::string path() const { return dir_ / "s.sock"; }
  OwnedFd listening() const {
    return *listen_unix(path(), 0600, static_cast<gid_t>(-1), Senders::told);
  }

  TempDir dir_;
  OwnedFd listener_;  // Made by serve() unless a test had it listen before.
  Echo echo_;
  boost::asio::io_context io_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, AnswersAfterAGreeting) {
  serve();
  Client client{path()};
  client.hello();
  client.send(wire::Type::ping, 1, wire::Done{});
  EXPECT_EQ(client.read(), "answer");
}

// Clients of a signer that was killed knock at the next one as soon as it listens.
TEST_F(ServerTest, KnowsTheSenderOfWhatCameBeforeItServed) {
  listener_ = listening();
  Client client{path()};
  client.send(wire::Type::hello, 0, wire::Hello{});
  serve();
  EXPECT_EQ(client.read(), "hello") << client.sentence;
}

TEST_F(ServerTest, RefusesAFrameBeforeTheGreeting) {
  serve();
  Client client{path()};
  client.send(wire::Type::ping, 1, wire::Done{});
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_EQ(client.read(), "closed");
  EXPECT_EQ(echo_.frames, 0);
}

TEST_F(ServerTest, RefusesAnotherVersion) {
  serve();
  Client client{path()};
  client.send(wire::Type::hello, 0, wire::Hello{.version = 2, .program = {}});
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_THAT(client.sentence, ::testing::HasSubstr("2"));
}

TEST_F(ServerTest, TellsTheGatesReasonAndCloses) {
  serve({}, [](const Peer&) -> Result<void> { return fail(Code::unauthorized, "not you"); });
  Client client{path()};
  EXPECT_EQ(client.read(), "unauthorized");
  EXPECT_EQ(client.sentence, "not you");
  EXPECT_EQ(client.read(), "closed");
}

TEST_F(ServerTest, GivesUpOnAGreetingThatDoesNotCome) {
  serve({.greeting = std::chrono::milliseconds{50}});
  Client client{path()};
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_EQ(client.read(), "closed");
}

TEST_F(ServerTest, GivesUpOnAGreetingThatDripsInByteByByte) {
  serve({.greeting = std::chrono::milliseconds{300}});
  Client client{path()};
  Bytes hello;
  ASSERT_THAT(wire::encode(hello, wire::Type::hello, 0, wire::Hello{}), Succeeds());
  for (std::size_t i = 0; i + 1 < hello.size(); ++i) {
    client.send(ByteView{hello}.subspan(i, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds{40});
  }
  // It came while bytes still dripped, not by the silence behind them.
  const timeval at_once{.tv_sec = 0, .tv_usec = 20'000};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &at_once, sizeof at_once);
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_THAT(client.sentence, ::testing::HasSubstr("hello"));
}

// Whole frames that lie unread because of us are no silence of the client's.
TEST_F(ServerTest, DoesNotBlameAClientForFramesThatItHoldsBackItself) {
  serve({.outstanding = 1, .half_frame = std::chrono::milliseconds{50}});
  Client client{path()};
  client.hello();
  Bytes both;
  ASSERT_THAT(wire::encode(both, wire::Type::whoami, 1, wire::Done{}), Succeeds());
  ASSERT_THAT(wire::encode(both, wire::Type::ping, 2, wire::Done{}), Succeeds());
  client.send(both);
  std::this_thread::sleep_for(std::chrono::milliseconds{700});
  EXPECT_EQ(echo_.frames, 1);
  timeval patience{.tv_sec = 0, .tv_usec = 100'000};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  EXPECT_EQ(client.read(), "closed") << "a read that timed out: no error frame came";
}

TEST_F(ServerTest, LetsAnswersLeaveBeforeItEnds) {
  serve({.unread_answers = 4 << 20});
  Client client{path()};
  client.hello();
  constexpr int kPings = 40'000;  // More than a socket buffer holds.
  Bytes pings;
  for (std::uint64_t id = 0; id < kPings; ++id)
    ASSERT_THAT(wire::encode(pings, wire::Type::ping, id, wire::Done{}), Succeeds());
  client.send(pings);
  while (echo_.frames < kPings) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  boost::asio::post(io_, [this] { server_->finish_all(); });
  for (int i = 0; i < kPings; ++i) ASSERT_EQ(client.read(), "answer") << i;
  EXPECT_EQ(client.read(), "closed");
}

TEST_F(ServerTest, GivesUpOnHalfAFrame) {
  serve({.half_frame = std::chrono::milliseconds{50}});
  Client client{path()};
  client.hello();
  client.send(Bytes{16, 0, 0});
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_THAT(client.sentence, ::testing::HasSubstr("silence"));
}

TEST_F(ServerTest, LeavesAnIdleConnectionAlone) {
  serve({.greeting = std::chrono::milliseconds{50}, .half_frame = std::chrono::milliseconds{50}});
  Client client{path()};
  client.hello();
  std::this_thread::sleep_for(std::chrono::milliseconds{700});  // Beyond both limits and two ticks.
  client.send(wire::Type::ping, 1, wire::Done{});
  EXPECT_EQ(client.read(), "answer");
}

TEST_F(ServerTest, TurnsAwayMoreThanAUidsShareAndLetsItInAgain) {
  serve({.connections_per_uid = 2});
  auto first = std::make_unique<Client>(path());
  Client second{path()};
  first->hello();
  second.hello();
  Client third{path()};
  EXPECT_EQ(third.read(), "overloaded");
  EXPECT_EQ(third.read(), "closed");
  first.reset();
  for (int i = 0; i < 100; ++i) {
    Client again{path()};
    again.send(wire::Type::hello, 0, wire::Hello{});
    if (again.read() == "hello") return;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  FAIL() << "the place of a closed connection was not given again";
}

TEST_F(ServerTest, KeepsTheLastQuarterOfItsPlacesForThoseWhoHaveFew) {
  serve({.connections = 8, .connections_per_uid = 8, .connections_per_uid_when_scarce = 2});
  std::vector<std::unique_ptr<Client>> inside;
  for (int i = 0; i < 6; ++i) {
    inside.push_back(std::make_unique<Client>(path()));
    inside.back()->hello();
  }
  Client seventh{path()};
  EXPECT_EQ(seventh.read(), "overloaded");
  EXPECT_EQ(seventh.read(), "closed");
}

// One that never lets its socket run empty may not keep the others from being read.
TEST_F(ServerTest, ReadsOthersWhileOneFloods) {
  serve({.unread_answers = 64 << 20});
  std::atomic<bool> flooding = true;
  std::thread flood{[&] {
    Client client{path()};
    client.hello();
    Bytes frames;
    for (std::uint64_t id = 0; id < 2000; ++id)
      ASSERT_THAT(wire::encode(frames, wire::Type::ping, id, wire::Done{}), Succeeds());
    std::thread reader{[&] {
      while (client.read() == "answer") continue;
    }};
    while (flooding) client.send(frames);
    ::shutdown(client.fd(), SHUT_RDWR);
    reader.join();
  }};
  while (echo_.frames < 10'000) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  // A turn is some hundred of these frames; without turns it is all that the answers' limit allows.
  std::vector<int> meanwhile;
  for (int i = 0; i < 20; ++i) {
    const int before = echo_.frames;
    Client client{path()};
    client.hello();
    client.send(wire::Type::ping, 1, wire::Done{});
    EXPECT_EQ(client.read(), "answer");
    meanwhile.push_back(echo_.frames - before);
  }
  flooding = false;
  flood.join();
  EXPECT_LT(*std::max_element(meanwhile.begin(), meanwhile.end()), 200'000);
}

TEST_F(ServerTest, StopsReadingFromAClientWithTooManyOpenRequests) {
  serve({.outstanding = 10});
  Client client{path()};
  client.hello();
  for (std::uint64_t id = 0; id < 100; ++id) client.send(wire::Type::whoami, id, wire::Done{});
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  EXPECT_EQ(echo_.frames, 10);
}

// A thousand connections that never read hold no more of our memory than sixty of them.
TEST_F(ServerTest, SharesTheRoomForUnreadAnswersAmongTheConnectionsOfAUid) {
  constexpr int kMany = 8;
  serve({.unread_answers = 1 << 20,
         .unread_answers_of_uid = 1 << 20,
         .least_unread_answers = 1 << 10});
  Bytes pings;
  for (std::uint64_t id = 0; id < 200'000; ++id)  // Answers of 16 bytes.
    ASSERT_THAT(wire::encode(pings, wire::Type::ping, id, wire::Done{}), Succeeds());
  std::vector<std::unique_ptr<Client>> inside;
  for (int i = 0; i < kMany; ++i) {
    inside.push_back(std::make_unique<Client>(path()));
    inside.back()->hello();
    const timeval patience{.tv_sec = 0, .tv_usec = 50'000};
    ::setsockopt(inside.back()->fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  for (const auto& client : inside) client->send(pings);
  for (int before = -1; std::exchange(before, echo_.frames) != echo_.frames;)
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  // About 170,000, most of which the kernel holds; 65,536 more of each without a share.
  EXPECT_LT(echo_.frames, 350'000);
}

TEST_F(ServerTest, ClosesOnAMessageFromAnotherProcess) {
  serve();
  Client client{path()};
  client.hello();
  const pid_t child = ::fork();
  if (child == 0) {
    Bytes out;
    (void)wire::encode(out, wire::Type::ping, 1, wire::Done{});
    [[maybe_unused]] const ssize_t ignored = ::write(client.fd(), out.data(), out.size());
    ::_exit(0);
  }
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_THAT(client.sentence, ::testing::HasSubstr("sender"));
  EXPECT_EQ(client.read(), "closed");
  EXPECT_EQ(echo_.frames, 0);
}

}  // namespace
}  // namespace hsm::transport
