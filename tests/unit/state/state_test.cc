// The thread: answers come back in order, through the owner's loop, once each.
#include "hsm_signer/state/state.h"

#include <filesystem>
#include <future>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::state {
namespace {

class Loop {
 public:
  Post poster() {
    return [this](std::function<void()> work) {
      const std::lock_guard lock{mutex_};
      queue_.push_back(std::move(work));
      wake_.notify_one();
    };
  }
  void run(std::size_t count) {
    for (; count > 0; --count) {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return !queue_.empty(); });
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
    }
  }
  std::size_t waiting() {
    const std::lock_guard lock{mutex_};
    return queue_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
};

class States : public ::testing::Test {
 protected:
  std::unique_ptr<State> open() {
    auto state = State::open(path_, loop_.poster());
    EXPECT_THAT(state, Succeeds());
    return state ? *std::move(state) : nullptr;
  }
  const TempDir dir_;
  const std::string path_ = dir_ / "state.db";
  Loop loop_;
};

KeyRow row() {
  KeyRow row;
  row.key = "k";
  row.version = 1;
  row.token = "t";
  row.cka_id = 1;
  row.state = "staged";
  return row;
}

TEST_F(States, AnswerInTheOrderAskedOnTheOwnersThread) {
  const auto state = open();
  std::vector<std::uint64_t> firsts;
  for (std::uint64_t i = 1; i <= 50; ++i)
    state->reserve("a", i * 10, [&, here = std::this_thread::get_id()](Result<Reservation> got) {
      ASSERT_THAT(got, Succeeds());
      EXPECT_EQ(std::this_thread::get_id(), here);
      firsts.push_back(static_cast<std::uint64_t>(got->first));
    });
  loop_.run(50);
  ASSERT_EQ(firsts.size(), 50U);
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_EQ(firsts[i], i * 10 + 1);
}

TEST_F(States, AreDurableBeforeTheyAnswer) {
  const auto state = open();
  state->reserve("a", 77, [](const Result<Reservation>&) {});
  while (loop_.waiting() == 0) std::this_thread::yield();
  // The answer has not been looked at, and yet a copy of the files as they are now has the mark.
  const TempDir copy;
  for (const char* suffix : {"", "-wal"})
    std::filesystem::copy_file(path_ + suffix, copy / (std::string{"state.db"} + suffix));
  EXPECT_EQ((*Store::open(copy / "state.db"))->reserve("a", 0)->last, 77U);
}

TEST_F(States, PassOnEveryKindOfCall) {
  const auto state = open();
  std::vector<std::string> said;
  state->reserve("a", 100, [&](const Result<Reservation>& got) {
    said.push_back(got ? "reserved" : got.error().sentence());
  });
  state->settle("a", 50, 1, [&](const Result<void>& got) {
    said.push_back(got ? "settled" : got.error().sentence());
  });
  state->raise("a", 60, [&](const Result<Uint128>& got) {
    said.push_back(got ? std::to_string(static_cast<int>(*got)) : got.error().sentence());
  });
  state->put_keys({row()}, [&](const Result<void>& got) {
    said.push_back(got ? "put" : got.error().sentence());
  });
  state->run<std::size_t>(
      [](Store& store) -> Result<std::size_t> { return store.keys()->size(); },
      [&](const Result<std::size_t>& got) { said.push_back(std::to_string(*got)); });
  state->put_note("k", "n", "v", [&](const Result<void>& got) {
    said.push_back(got ? "noted" : got.error().sentence());
  });
  state->notes("k", [&](const Result<std::vector<Note>>& got) {
    said.push_back(got->front().name + "=" + got->front().value);
  });
  state->erase_note("k", "n", [&](const Result<void>& got) {
    said.push_back(got ? "erased" : got.error().sentence());
  });
  loop_.run(8);
  EXPECT_EQ(said, (std::vector<std::string>{"reserved", "settled", "50", "put", "1", "noted", "n=v",
                                            "erased"}));
}

TEST_F(States, PassOnRefusals) {
  const auto state = open();
  state->settle("a", 50, 99,
                [](const Result<void>& got) { EXPECT_THAT(got, ErrorIs(Code::internal)); });
  KeyRow malformed = row();
  malformed.version = 0;
  state->put_keys({malformed},
                  [](const Result<void>& got) { EXPECT_THAT(got, ErrorIs(Code::internal)); });
  loop_.run(2);
}

TEST_F(States, KnowTheKeysFromTheStart) {
  {
    const auto state = open();
    EXPECT_TRUE(state->keys_at_open().empty());
    state->put_keys({row()}, {});
  }
  EXPECT_EQ(open()->keys_at_open(), std::vector<KeyRow>{row()});
}

TEST_F(States, FinishWhatWasAskedForWhenTheyEnd) {
  int answers = 0;
  {
    const auto state = open();
    for (std::uint64_t i = 1; i <= 20; ++i)
      state->reserve("a", i, [&](const Result<Reservation>&) { ++answers; });
  }
  EXPECT_EQ(loop_.waiting(), 20U);
  loop_.run(20);
  EXPECT_EQ(answers, 20);
  EXPECT_EQ((*Store::open(path_))->reserve("a", 0)->last, 20U);
}

TEST_F(States, DoNotHoldUpTheCaller) {
  const auto state = open();
  std::promise<void> go_on;
  state->run<int>(
      [&](Store&) -> Result<int> {
        go_on.get_future().wait();
        return 1;
      },
      [](const Result<int>&) {});
  // Would never return if it waited for the call before it.
  state->reserve("a", 5, [](const Result<Reservation>&) {});
  EXPECT_EQ(loop_.waiting(), 0U);
  go_on.set_value();
  loop_.run(2);
}

TEST_F(States, OpeningSaysWhyItFailed) {
  std::filesystem::create_directory(dir_ / "d");
  EXPECT_THAT(State::open(dir_ / "d", loop_.poster()), ErrorIs(Code::state_unavailable));
}

}  // namespace
}  // namespace hsm::state
