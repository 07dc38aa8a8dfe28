#include "hsm_signer/token/serve.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/child.h"

namespace hsm::token {
namespace {

// A worker under load: there is always something to read.
class AlwaysReadable {
 public:
  AlwaysReadable() { made_ = ::pipe(ends_) == 0 && ::write(ends_[1], "x", 1) == 1; }
  bool made() const { return made_; }
  int fd() const { return ends_[0]; }

 private:
  int ends_[2] = {-1, -1};
  bool made_ = false;
};

// A signal that came is remembered by the process, so each test has its own.
int stopped_by(int signal) {
  const AlwaysReadable pipe;
  const StopSignal stop;
  if (!pipe.made()) return 1;
  if (!stop.readable(pipe.fd(), 0)) return 2;
  if (::raise(signal) != 0) return 3;
  if (StopSignal::came()) return 4;  // Blocked: a MAC and its answer are not to be torn apart.
  if (stop.readable(pipe.fd(), 0)) return 5;
  return StopSignal::came() ? 0 : 6;
}

TEST(StopSignals, AreSeenAlthoughThereIsAlwaysSomethingToRead) {
  for (const int signal : {SIGTERM, SIGINT})
    EXPECT_EQ(in_child([=] { return stopped_by(signal); }).status, 0) << signal;
}

TEST(StopSignals, EndAWaitThatHasNoEnd) {
  const Ended ended = in_child([] {
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    const StopSignal stop;
    if (::raise(SIGTERM) != 0) return 2;
    ::alarm(20);
    return !stop.readable(ends[0], -1) && StopSignal::came() ? 0 : 3;
  });
  EXPECT_EQ(ended.status, 0);
}

TEST(StopSignals, DoNotComeOfATimeoutOrOfAnotherSignal) {
  const Ended ended = in_child([] {
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    const StopSignal stop;
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    if (::raise(SIGUSR1) != 0) return 2;
    return !stop.readable(ends[0], 0) && !StopSignal::came() ? 0 : 3;
  });
  EXPECT_EQ(ended.status, 0);
}

}  // namespace
}  // namespace hsm::token
