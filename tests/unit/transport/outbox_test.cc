// When answers leave: at the end of the turn that made them, whatever else the loop has to do.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "hsm_signer/transport/server.h"
#include "hsm_signer/wire/client.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::transport {
namespace {

constexpr int kMostRounds = 10'000;

// Holds what it is asked; the test answers.
class Held final : public Connection::Handler {
 public:
  void handle(const std::shared_ptr<Connection>& connection, const wire::FrameView&) override {
    from = connection;
    ++frames;
    open = true;
  }
  void turn_over() override { open = false; }

  std::shared_ptr<Connection> from;
  int frames = 0;
  bool open = false;  // Frames were handled and their turn has not ended.
};

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() {
    server_.start();
    send(wire::Type::hello, 0, wire::Hello{});
    run_until([&] { return receive() == 1; });
  }
  template <class Message>
  void send(wire::Type type, std::uint64_t id, const Message& message) {
    Bytes out;
    ASSERT_THAT(wire::encode(out, type, id, message), Succeeds());
    ASSERT_THAT(write_all(client_.get(), out, Code::internal, "to the server"), Succeeds());
  }
  template <class Condition>
  void run_until(Condition condition) {
    for (int round = 0; !condition(); ++round) {
      ASSERT_LT(round, kMostRounds);
      io_.restart();
      io_.run_for(std::chrono::milliseconds{1});
    }
  }
  void ask(std::uint64_t id) {
    const int before = held_.frames;
    send(wire::Type::ping, id, wire::Ping{});
    run_until([&] { return held_.frames > before; });
  }
  void answer(std::uint64_t id, std::size_t size = 0) {
    held_.from->answer(wire::answer_to(wire::Type::ping), id, wire::Ping{.echo = Bytes(size)});
  }
  // What has come without waiting; how many frames in all.
  std::size_t receive() {
    for (;;) {
      const auto room = in_.prepare();
      const ssize_t size = ::recv(client_.get(), room.data(), room.size(), MSG_DONTWAIT);
      if (size <= 0) return ids_.size();
      in_.commit(static_cast<std::size_t>(size));
      for (auto frame = in_.next(); frame && *frame; frame = in_.next())
        ids_.push_back((*frame)->id());
    }
  }

  TempDir dir_;
  boost::asio::io_context io_;
  Held held_;
  Server server_{io_,
                 *listen_unix(dir_ / "s.sock", 0600, static_cast<gid_t>(-1), Senders::told),
                 {},
                 held_,
                 [](const Peer&) { return Result<void>{}; }};
  OwnedFd client_{*connect_unix(dir_ / "s.sock")};
  wire::FrameBuffer in_;
  std::vector<std::uint64_t> ids_;
};

TEST_F(OutboxTest, TheHandlerHearsOfTheEndOfATurnBeforeTheLoopGoesOn) {
  send(wire::Type::ping, 1, wire::Ping{});
  send(wire::Type::ping, 2, wire::Ping{});
  run_until([&] {
    EXPECT_FALSE(held_.open);
    return held_.frames == 2;
  });
}

TEST_F(OutboxTest, AnswersOutsideOfATurnLeaveTogetherWithoutAnotherRoundOfTheLoop) {
  ask(1);
  answer(1);
  answer(2);
  EXPECT_EQ(receive(), 1U) << "each would have cost a write of its own";
  server_.send_answers();
  EXPECT_EQ(receive(), 3U);
}

TEST_F(OutboxTest, AnswersThatNobodySendsLeaveByThemselves) {
  ask(1);
  answer(1);
  run_until([&] { return receive() == 2; });
}

TEST_F(OutboxTest, WhatTheSocketDoesNotTakeFollowsInOrderAsTheClientReads) {
  constexpr std::uint64_t kAnswers = 20'000;  // 5 MB.
  ask(1);
  for (std::uint64_t id = 1; id <= kAnswers; ++id) answer(id, 250);
  server_.send_answers();
  answer(kAnswers + 1);  // Behind what is being written.
  server_.send_answers();
  EXPECT_LT(receive(), kAnswers) << "the socket took everything: this tests nothing";
  run_until([&] { return receive() == kAnswers + 2; });
  ASSERT_EQ(ids_.size(), kAnswers + 2);
  for (std::uint64_t id = 1; id <= kAnswers + 1; ++id) ASSERT_EQ(ids_[id], id);
}

TEST_F(OutboxTest, AClientThatLeftIsNotWrittenToAndItsConnectionEnds) {
  ask(1);
  client_ = OwnedFd{};
  answer(1);
  server_.send_answers();
  run_until([&] { return server_.connections() == 0; });
}

}  // namespace
}  // namespace hsm::transport
