#include "hsm_signer/transport/server.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::transport {
namespace {

// Answers pings, after a while if told so; everything else is held for ever.
class Echo final : public Connection::Handler {
 public:
  void handle(const std::shared_ptr<Connection>& connection,
              const wire::FrameView& frame) override {
    if (frame.id() == kMarked) before_marked = frames;
    ++frames;
    if (frame.type() != wire::Type::ping) return;
    connection->answer(frame, wire::Done{});
  }
  void turn_over() override {}
  static constexpr std::uint64_t kMarked = 1 << 30;
  std::atomic<int> frames = 0;
  std::optional<int> before_marked;  // How many came before the marked one.
};

template <class Done>
bool eventually(Done done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!done() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return done();
}

Bytes greeting(const std::string& program = {}) {
  Bytes hello;
  EXPECT_THAT(wire::encode(hello, wire::Type::hello, 0, wire::Hello{.program = program}),
              Succeeds());
  return hello;
}

Bytes pings(std::uint64_t count, std::uint64_t first = 0) {
  Bytes frames;
  for (std::uint64_t id = first; id < first + count; ++id)
    EXPECT_THAT(wire::encode(frames, wire::Type::ping, id, wire::Done{}), Succeeds());
  return frames;
}

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
  // What of `bytes` the socket takes now.
  std::size_t send_some(ByteView bytes) {
    std::size_t sent = 0;
    for (ssize_t n = 0; sent < bytes.size(); sent += static_cast<std::size_t>(n)) {
      n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n <= 0) break;
    }
    return sent;
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
    if (!driven_) thread_ = std::thread{[this] { io_.run(); }};
  }
  // Clients send what their sockets take and the server does what it can, in turn, until neither
  // can: where that is depends on no clock.
  void drive(const std::vector<std::unique_ptr<Client>>& clients, ByteView what) {
    std::vector<std::size_t> sent(clients.size());
    for (bool moved = true; moved;) {
      moved = io_.poll() > 0;
      for (std::size_t i = 0; i < clients.size(); ++i) {
        const std::size_t more = clients[i]->send_some(what.subspan(sent[i]));
        sent[i] += more;
        moved |= more > 0;
      }
    }
    for (const std::size_t bytes : sent) EXPECT_LT(bytes, what.size()) << "it was not held back";
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
  bool driven_ = false;  // By the test: no thread.
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
  const Bytes hello = greeting(std::string(64, 'x'));
  std::size_t dripped = 0;
  for (pollfd answer{client.fd(), POLLIN, 0};
       dripped + 1 < hello.size() && ::poll(&answer, 1, 40) == 0; ++dripped)
    client.send(ByteView{hello}.subspan(dripped, 1));
  EXPECT_LT(dripped + 1, hello.size()) << "not while bytes still dripped: by the silence behind";
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
  client.send(pings(kPings));
  ASSERT_TRUE(eventually([&] { return echo_.frames == kPings; })) << echo_.frames;
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

// One that never lets its socket run empty may not keep the others from being read. Both have sent
// before the server looks; a turn is some hundred of these frames.
TEST_F(ServerTest, ReadsOthersWhileOneFloods) {
  listener_ = listening();
  Client flood{path()};
  flood.send(greeting());
  const int before = static_cast<int>(flood.send_some(pings(100'000)) / pings(1).size());
  ASSERT_GT(before, 2'000) << "the socket takes too little to show anything";
  Client other{path()};
  other.send(greeting());
  other.send(pings(1, Echo::kMarked));
  driven_ = true;
  serve({.unread_answers = 64 << 20});
  io_.poll();
  ASSERT_TRUE(echo_.before_marked.has_value());
  EXPECT_LT(*echo_.before_marked, before) << "it came behind the whole flood";
  EXPECT_GE(echo_.frames, before);
}

TEST_F(ServerTest, StopsReadingFromAClientWithTooManyOpenRequests) {
  serve({.outstanding = 10});
  Client client{path()};
  client.hello();
  for (std::uint64_t id = 0; id < 100; ++id) client.send(wire::Type::whoami, id, wire::Done{});
  ASSERT_TRUE(eventually([&] { return echo_.frames == 10; })) << echo_.frames;
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  EXPECT_EQ(echo_.frames, 10);
}

// A thousand connections that never read hold no more of our memory than sixty of them. The kernel
// holds some for each; one connection alone, which has all the room, shows how much.
TEST_F(ServerTest, SharesTheRoomForUnreadAnswersAmongTheConnectionsOfAUid) {
  constexpr int kMany = 8;
  constexpr int kRoom = (1 << 20) / 16;  // Answers of 16 bytes.
  driven_ = true;
  serve({.unread_answers = 1 << 20,
         .unread_answers_of_uid = 1 << 20,
         .least_unread_answers = 1 << 10});
  Bytes all = greeting();
  const Bytes flood = pings(500'000);
  all.insert(all.end(), flood.begin(), flood.end());
  std::vector<std::unique_ptr<Client>> inside;
  inside.push_back(std::make_unique<Client>(path()));
  drive(inside, all);
  const int alone = echo_.frames;
  ASSERT_GT(alone, kRoom);
  inside.clear();
  io_.poll();
  ASSERT_EQ(server_->connections(), 0U);
  for (int i = 0; i < kMany; ++i) inside.push_back(std::make_unique<Client>(path()));
  while (server_->connections() < kMany && io_.poll() > 0) continue;
  drive(inside, all);
  // Together as much as the one, beside what the kernel holds. Each would have it without a share.
  const int together = echo_.frames - alone;
  EXPECT_LT(together, kMany * alone - (kMany - 2) * kRoom);
}

TEST_F(ServerTest, ClosesOnAMessageFromAnotherProcess) {
  serve();
  Client client{path()};
  client.hello();
  const Bytes ping = pings(1);
  ASSERT_EQ(in_child([&] { return client.send_some(ping) == ping.size() ? 0 : 1; }).status, 0);
  EXPECT_EQ(client.read(), "protocol_error");
  EXPECT_THAT(client.sentence, ::testing::HasSubstr("sender"));
  EXPECT_EQ(client.read(), "closed");
  EXPECT_EQ(echo_.frames, 0);
}

}  // namespace
}  // namespace hsm::transport
