// A benchmark of wrong MACs is none: whoever makes one ends the run.
#include "tests/bench/contender.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/bench/pipeline.h"
#include "tests/support/error_is.h"

namespace hsm::bench {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr Timing kShort{.warm_up = 0ms, .measured = 0ms};  // As many answers as have to be.

Mac right() { return hmac_sha384(as_bytes(kBenchKey), message()); }
Mac wrong() {
  Mac mac = right();
  mac.back() ^= 1;
  return mac;
}

// One after the other: all right but the one numbered `lie`, from 1; 0: from kLater on all are
// wrong.
constexpr int kLater = 40;
Result<Samples> measured(int lie) {
  int signed_so_far = 0;
  return one_by_one(kShort, [&](ByteView) -> Result<Mac> {
    ++signed_so_far;
    return signed_so_far == lie || (lie == 0 && signed_so_far >= kLater) ? wrong() : right();
  });
}

TEST(CheckMac, TakesWhatOpenSslMakesAndNothingElse) {
  EXPECT_THAT(check_mac(message(), right()), Succeeds());
  EXPECT_THAT(check_mac(message(), wrong()), ErrorIs(Code::verification_failed));
  EXPECT_THAT(check_mac(message(), ByteView{right()}.first(47)),
              ErrorIs(Code::verification_failed));
  EXPECT_THAT(check_mac(message(), {}), ErrorIs(Code::verification_failed));
}

TEST(CheckMac, RefusesAMessageOfAnotherLength) {
  const ByteView shorter = message().first(299);
  EXPECT_THAT(check_mac(shorter, hmac_sha384(as_bytes(kBenchKey), shorter)),
              ErrorIs(Code::verification_failed, HasSubstr("299 bytes instead of 300")));
}

TEST(OneByOne, CountsRightMacs) {
  const auto samples = measured(-1);
  ASSERT_THAT(samples, Succeeds());
  EXPECT_GE(samples->latencies_ns.size(), 100U);
}

TEST(OneByOne, EndsAtAWrongMacAmongTheFirst) {
  for (const int lie : {1, 2, 32}) EXPECT_THAT(measured(lie), ErrorIs(Code::verification_failed));
}

TEST(OneByOne, EndsWithAWrongMacWhereTheySpoilLater) {
  EXPECT_THAT(measured(0), ErrorIs(Code::verification_failed));
}

TEST(OneByOne, EndsAtARefusal) {
  EXPECT_THAT(one_by_one(kShort, [](ByteView) -> Result<Mac> { return fail(Code::denied, "no"); }),
              ErrorIs(Code::denied));
}

// A byte is a request; a MAC is its answer.
class MacDialect final : public Dialect {
 public:
  void ask(unsigned, Bytes& out) override { out.push_back(1); }
  std::span<Byte> room() override { return std::span{in_}.subspan(filled_); }
  void commit(std::size_t size) override { filled_ += size; }
  Result<std::optional<unsigned>> next(bool check) override {
    if (filled_ < in_.size()) return std::optional<unsigned>{};
    filled_ = 0;
    if (check) TRY_VOID(check_mac(message(), in_));
    return std::optional{0U};
  }

 private:
  Mac in_{};
  std::size_t filled_ = 0;
};

// Over a socket: as measured().
Result<Samples> piped(int lie) {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  OwnedFd ours{ends[0]};
  std::thread peer{[theirs = OwnedFd{ends[1]}, lie] {
    Byte request = 0;
    for (int answered = 1; ::read(theirs.get(), &request, 1) == 1; ++answered) {
      const bool lies = answered == lie || (lie == 0 && answered >= 300);
      if (!write_all(theirs.get(), lies ? wrong() : right(), Code::internal, "a socket")) return;
    }
  }};
  MacDialect dialect;
  auto samples = pipeline(ours.get(), dialect, 1, {.warm_up = 0ms, .measured = 100ms});
  ::shutdown(ours.get(), SHUT_RDWR);
  peer.join();
  return samples;
}

TEST(Pipeline, CountsRightMacs) { EXPECT_THAT(piped(-1), Succeeds()); }

TEST(Pipeline, EndsAtAWrongMacAmongTheFirst) {
  for (const int lie : {1, 100, 256}) EXPECT_THAT(piped(lie), ErrorIs(Code::verification_failed));
}

TEST(Pipeline, EndsWithAWrongMacWhereTheySpoilLater) {
  EXPECT_THAT(piped(0), ErrorIs(Code::verification_failed));
}

}  // namespace
}  // namespace hsm::bench
