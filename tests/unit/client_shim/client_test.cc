#include "client_shim/core/client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "hsm_signer/wire/client.h"
#include "tests/support/error_is.h"
#include "tests/unit/client_shim/fake_daemon.h"

namespace hsm::client {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using wire::FrameView;
using wire::Type;

constexpr milliseconds kShort{80};

wire::SignRequest sign(std::string payload) {
  wire::SignRequest request;
  request.key = "desk-a.trade";
  request.payload = std::move(payload);
  return request;
}
Result<wire::Ping> echo(const wire::Ping& ping) { return ping; }

struct ClientTest : ::testing::Test {
  TempDir dir;
  std::string path = dir / "signer.sock";
  FakeDaemon daemon{path};

  Result<Client> connect(milliseconds patience = milliseconds{5'000}) {
    return Client::connect(path, Options{.program = "client_test", .patience = patience});
  }
  Result<wire::Ping> ping(milliseconds patience = milliseconds{5'000}) {
    TRY(Client client, connect(patience));
    return client.call<wire::Ping>(wire::Ping{.echo = {1, 2, 3}});
  }
  void answer_ping_with(FakeDaemon::Answer answer) { daemon.on(Type::ping, std::move(answer)); }
};

TEST_F(ClientTest, GreetsAndGetsTheAnswerToItsOwnQuestion) {
  daemon.on<wire::Ping, wire::Ping>(Type::ping, echo);
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  EXPECT_EQ(client->peer_program(), "fake/1");
  const auto answer = client->call<wire::Ping>(wire::Ping{.echo = {1, 2, 3}});
  ASSERT_THAT(answer, Succeeds());
  EXPECT_EQ(answer->echo, (Bytes{1, 2, 3}));
}

TEST_F(ClientTest, ARefusalKeepsItsCodeSentenceAndConnection) {
  daemon.on<wire::Ping, wire::Ping>(Type::ping, echo);
  daemon.on<wire::SignRequest, wire::Signed>(Type::sign_request, [](const wire::SignRequest&) {
    return Result<wire::Signed>{fail(Error{.code = Code::rate_limited,
                                           .what = "rule \"slow\"",
                                           .detail = "20 per second",
                                           .retry_after_ms = 40})};
  });
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  const auto refused = client->call<wire::Signed>(sign("{}"));
  EXPECT_THAT(refused, ErrorIs(Code::rate_limited, "rule \"slow\": 20 per second"));
  EXPECT_EQ(refused.error().retry_after_ms, 40u);
  EXPECT_THAT(client->call<wire::Ping>(wire::Ping{}), Succeeds());
}

TEST_F(ClientTest, PipelinedAnswersMayComeInAnotherOrder) {
  Bytes held;
  answer_ping_with([&held](const FrameView& frame, Bytes& out) {
    const auto ping = wire::decode<wire::Ping>(frame);
    Bytes& to = held.empty() ? held : out;
    EXPECT_THAT(wire::encode(to, wire::answer_to(Type::ping), frame.id(), *ping), Succeeds());
    if (!out.empty()) out.insert(out.end(), held.begin(), held.end());
    return true;
  });
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  const auto first = client->send(wire::Ping{.echo = {1}});
  const auto second = client->send(wire::Ping{.echo = {2}});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(client->unanswered(), 2u);
  for (const auto& [id, echoed] : {std::pair{*second, Byte{2}}, std::pair{*first, Byte{1}}}) {
    const auto frame = client->receive();
    ASSERT_THAT(frame, Succeeds());
    EXPECT_EQ(frame->id(), id);
    EXPECT_EQ(Client::answer_in<wire::Ping>(*frame)->echo, Bytes{echoed});
  }
  EXPECT_EQ(client->unanswered(), 0u);
}

TEST_F(ClientTest, RefusesACallBetweenSendAndReceive) {
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  ASSERT_THAT(client->send(wire::Ping{}), Succeeds());
  EXPECT_THAT(client->call<wire::Ping>(wire::Ping{}), ErrorIs(Code::internal));
}

TEST_F(ClientTest, RefusesToReceiveWhatNobodyAskedFor) {
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  EXPECT_THAT(client->receive(kShort), ErrorIs(Code::internal));
}

TEST_F(ClientTest, ASlowPeerMeetsTheDeadlineAndACallThenClosesTheConnection) {
  answer_ping_with([](const FrameView&, Bytes&) { return true; });
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  const auto began = std::chrono::steady_clock::now();
  const auto late = client->call<wire::Ping>(Type::ping, wire::Ping{}, kShort);
  EXPECT_THAT(late, ErrorIs(Code::deadline_exceeded));
  EXPECT_GE(std::chrono::steady_clock::now() - began, kShort);
  EXPECT_FALSE(client->connected());
  EXPECT_THAT(client->call<wire::Ping>(wire::Ping{}), ErrorIs(Code::protocol_error));
}

TEST_F(ClientTest, ALateAnswerMayStillBeReceivedByPipeline) {
  answer_ping_with([](const FrameView&, Bytes&) { return true; });
  daemon.on<wire::WhoAmI, wire::Identity>(Type::whoami, [](const wire::WhoAmI&) {
    return Result<wire::Identity>{wire::Identity{.uid = 7, .gid = 8, .client = "c"}};
  });
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  ASSERT_THAT(client->send(wire::Ping{}), Succeeds());
  EXPECT_THAT(client->receive(kShort), ErrorIs(Code::deadline_exceeded));
  EXPECT_TRUE(client->connected());
  const auto id = client->send(wire::WhoAmI{});
  const auto frame = client->receive();
  ASSERT_THAT(frame, Succeeds());
  EXPECT_EQ(frame->id(), *id);
  EXPECT_EQ(Client::answer_in<wire::Identity>(*frame)->uid, 7u);
}

// Each row breaks the protocol in one way; the client says protocol_error and drops the connection.
struct Broken {
  const char* name;
  FakeDaemon::Answer answer;
  const char* sentence;
};
class BrokenPeer : public ClientTest, public ::testing::WithParamInterface<Broken> {};

TEST_P(BrokenPeer, IsAProtocolErrorAndTheConnectionIsDropped) {
  answer_ping_with(GetParam().answer);
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  const auto answer = client->call<wire::Ping>(wire::Ping{.echo = {1}});
  EXPECT_THAT(answer, ErrorIs(Code::protocol_error, HasSubstr(GetParam().sentence)));
  EXPECT_FALSE(client->connected());
}

Bytes ping_frame(std::uint64_t id, Type type = wire::answer_to(Type::ping)) {
  Bytes out;
  EXPECT_THAT(wire::encode(out, type, id, wire::Ping{.echo = {1}}), Succeeds());
  return out;
}

const Broken kBroken[] = {
    {"ClosesWithoutAWord", [](const FrameView&, Bytes&) { return false; }, "closed the connection"},
    {"EndsInsideAFrame",
     [](const FrameView& frame, Bytes& out) {
       out = ping_frame(frame.id());
       out.pop_back();
       return false;
     },
     "inside a frame"},
    {"SendsGarbage",
     [](const FrameView&, Bytes& out) {
       out.assign(64, 0xff);
       return true;
     },
     "frame too long"},
    {"AnnouncesAFrameShorterThanItsHeader",
     [](const FrameView&, Bytes& out) {
       out = {3, 0, 0, 0, 1, 2, 3};
       return true;
     },
     "shorter than its header"},
    {"SetsReservedFlags",
     [](const FrameView& frame, Bytes& out) {
       out = ping_frame(frame.id());
       out[5] = 1;
       return true;
     },
     "flags are reserved"},
    {"AnswersAnotherRequest",
     [](const FrameView& frame, Bytes& out) {
       out = ping_frame(frame.id() + 1);
       return true;
     },
     "nobody asked for"},
    {"AnswersWithAnotherType",
     [](const FrameView& frame, Bytes& out) {
       out = ping_frame(frame.id(), wire::answer_to(Type::whoami));
       return true;
     },
     "another type"},
    {"SendsTheRequestBack",
     [](const FrameView& frame, Bytes& out) {
       out = ping_frame(frame.id(), Type::ping);
       return true;
     },
     "another type"},
    {"AddsAFieldThatMustBeUnderstood",
     [](const FrameView& frame, Bytes& out) {
       wire::FrameWriter writer{out, wire::answer_to(Type::ping), frame.id()};
       writer.put(9, Bytes{1});
       return writer.finish().has_value();
     },
     "unknown field"},
};
INSTANTIATE_TEST_SUITE_P(Each, BrokenPeer, ::testing::ValuesIn(kBroken),
                         [](const auto& row) { return std::string{row.param.name}; });

TEST_F(ClientTest, HalfAFrameThenSilenceMeetsTheDeadline) {
  answer_ping_with([](const FrameView& frame, Bytes& out) {
    out = ping_frame(frame.id());
    out.pop_back();
    return true;
  });
  EXPECT_THAT(ping(kShort), ErrorIs(Code::deadline_exceeded));
}

TEST_F(ClientTest, TheLastWordOfADaemonIsHeard) {
  answer_ping_with([](const FrameView&, Bytes& out) {
    const wire::Failure failure{
        .code = "unauthorized", .sentence = "no client has this uid", .approval = {}};
    EXPECT_THAT(wire::encode(out, 0, failure), Succeeds());
    return false;
  });
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  EXPECT_THAT(client->call<wire::Ping>(wire::Ping{}),
              ErrorIs(Code::unauthorized, "no client has this uid"));
  EXPECT_FALSE(client->connected());
}

TEST_F(ClientTest, RefusesAGreetingOfAnotherVersion) {
  daemon.on(Type::hello, [](const FrameView& frame, Bytes& out) {
    const wire::Hello hello{.version = 2, .program = "future/2"};
    return wire::encode(out, wire::answer_to(Type::hello), frame.id(), hello).has_value();
  });
  EXPECT_THAT(connect(), ErrorIs(Code::protocol_error, HasSubstr("another protocol version: 2")));
}

TEST_F(ClientTest, RefusesAnAnswerInPlaceOfAGreeting) {
  daemon.on(Type::hello, [](const FrameView& frame, Bytes& out) {
    out = ping_frame(frame.id());
    return true;
  });
  EXPECT_THAT(connect(), ErrorIs(Code::protocol_error, HasSubstr("did not greet")));
}

TEST_F(ClientTest, AnUnknownCallerHearsWhy) {
  daemon.on(Type::hello, [](const FrameView& frame, Bytes& out) {
    const wire::Failure failure{
        .code = "unauthorized", .sentence = "no client has uid 7", .approval = {}};
    EXPECT_THAT(wire::encode(out, frame.id(), failure), Succeeds());
    return false;
  });
  EXPECT_THAT(connect(), ErrorIs(Code::unauthorized, "no client has uid 7"));
}

TEST_F(ClientTest, APeerThatNeverGreetsMeetsTheDeadline) {
  daemon.on(Type::hello, [](const FrameView&, Bytes&) { return true; });
  EXPECT_THAT(connect(kShort), ErrorIs(Code::deadline_exceeded));
}

TEST_F(ClientTest, AMessageThatFitsNoFrameIsRefusedBeforeItLeaves) {
  daemon.on<wire::Ping, wire::Ping>(Type::ping, echo);
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  const std::string huge(70'000, 'x');
  EXPECT_THAT(client->call<wire::Signed>(sign(huge)), ErrorIs(Code::too_large));
  EXPECT_THAT(client->call<wire::Ping>(wire::Ping{}), Succeeds());
  EXPECT_EQ(daemon.asked(), std::vector{Type::ping});
}

TEST_F(ClientTest, TheSocketIsNotInherited) {
  auto client = connect();
  ASSERT_THAT(client, Succeeds());
  EXPECT_EQ(::fcntl(client->native(), F_GETFD), FD_CLOEXEC);
}

TEST(ConnectTest, NobodyThereSaysThePathAndHowToStart) {
  TempDir dir;
  EXPECT_THAT(Client::connect(dir / "none.sock"),
              ErrorIs(Code::token_unavailable,
                      AllOf(HasSubstr(dir / "none.sock"), HasSubstr("is hsm-signerd running?"),
                            HasSubstr("hsm-signerctl up"))));
}

TEST(ConnectTest, APathTooLongForTheKernelIsAUsageError) {
  EXPECT_THAT(Client::connect("/" + std::string(120, 'x')), ErrorIs(Code::usage, HasSubstr("107")));
}

TEST(ConnectTest, AFullBacklogMeetsTheDeadline) {
  TempDir dir;
  const std::string path = dir / "busy.sock";
  const OwnedFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const auto first = connect_unix(path);
  ASSERT_THAT(first, Succeeds());
  EXPECT_THAT(Client::connect(path, Options{.patience = kShort}),
              ErrorIs(Code::deadline_exceeded, HasSubstr("no connection in time")));
}

TEST(ConnectTest, APeerThatReadsNothingMeetsTheDeadlineOfSend) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const OwnedFd peer{pair[1]};
  Bytes hello;
  ASSERT_THAT(wire::encode(hello, wire::answer_to(Type::hello), 0, wire::Hello{}), Succeeds());
  ASSERT_THAT(write_all(peer.get(), hello, Code::internal, "hello"), Succeeds());
  auto client = Client::greet(OwnedFd{pair[0]}, Options{.patience = kShort});
  ASSERT_THAT(client, Succeeds());
  const wire::SignRequest large = sign(std::string(60'000, 'x'));
  Result<std::uint64_t> sent{0u};
  for (int i = 0; i < 100 && sent; ++i) sent = client->send(large);
  EXPECT_THAT(sent, ErrorIs(Code::deadline_exceeded));
  EXPECT_FALSE(client->connected());
}

TEST(FindSocketTest, TheFlagWinsThenTheConfigurationThenTheEnvironmentThenTheDefault) {
  ::setenv(kSocketVariable, "/from/environment", 1);
  EXPECT_EQ(find_socket("/from/flag", "/from/config"), "/from/flag");
  EXPECT_EQ(find_socket("", "/from/config"), "/from/config");
  EXPECT_EQ(find_socket("", ""), "/from/environment");
  ::setenv(kSocketVariable, "", 1);
  EXPECT_EQ(find_socket("", ""), kDefaultSocket);
  ::unsetenv(kSocketVariable);
  EXPECT_EQ(find_socket("", ""), kDefaultSocket);
}

}  // namespace
}  // namespace hsm::client
