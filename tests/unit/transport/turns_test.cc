#include "hsm_signer/transport/turns.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <string>

namespace hsm::transport {
namespace {

// What ran, a letter each: who asks does so from within the loop, as connections do.
class TurnsTest : public ::testing::Test {
 protected:
  void ask(uid_t uid, char letter) {
    boost::asio::post(io_, [this, uid, letter] {
      if (turns_.take(uid, [this, uid, letter] { run(uid, letter); })) run(uid, letter);
    });
  }
  void run(uid_t uid, char letter) {
    ran_.push_back(letter);
    turns_.pass_on(uid);
  }

  boost::asio::io_context io_;
  Turns turns_{io_};
  std::string ran_;
};

TEST_F(TurnsTest, GivesEachUidOneTurnInARoundHoweverManyOfItsConnectionsAreReady) {
  for (const char letter : std::string{"abcdef"}) ask(1, letter);
  ask(2, 'X');
  ask(2, 'Y');
  io_.run();
  EXPECT_EQ(ran_, "aXbYcdef");
}

TEST_F(TurnsTest, LetsTheConnectionsOfAUidGoInTheOrderInWhichTheyCame) {
  for (const char letter : std::string{"abc"}) ask(1, letter);
  io_.run();
  EXPECT_EQ(ran_, "abc");
}

TEST_F(TurnsTest, LetsAUidComeBehindThoseThatAreReadyWhenItHasJustHadItsTurn) {
  ask(1, 'a');
  ask(2, 'X');
  ask(1, 'b');
  ask(3, 'M');
  io_.run();
  EXPECT_EQ(ran_, "aXMb");
}

TEST_F(TurnsTest, GivesAFreeTurnAtOnceAgain) {
  EXPECT_TRUE(turns_.take(1, {}));
  EXPECT_FALSE(turns_.take(1, [] {}));
  EXPECT_TRUE(turns_.take(2, {}));
  for (int i = 0; i < 2; ++i) {  // Its own turn, then that of the one who waited.
    turns_.pass_on(1);
    io_.run();
    io_.restart();
  }
  EXPECT_TRUE(turns_.take(1, {}));
}

}  // namespace
}  // namespace hsm::transport
