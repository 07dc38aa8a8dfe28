#include "tests/bench/pipeline.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hsm::bench {
namespace {

constexpr std::uint64_t kChecked = 256;
constexpr timeval kSilence{.tv_sec = 10, .tv_usec = 0};

class Client {
 public:
  Client(int socket, Dialect& dialect, unsigned in_flight, const Timing& timing)
      : socket_{socket}, dialect_{dialect}, asked_(in_flight), meter_{timing} {}

  Result<Samples> run() {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &kSilence, sizeof kSilence);
    for (unsigned slot = 0; slot < asked_.size(); ++slot) ask(slot, now());
    while (on_their_way_ > 0) TRY_VOID(turn());
    return meter_.samples();
  }

 private:
  void ask(unsigned slot, Time at) {
    asked_[slot] = at;
    dialect_.ask(slot, out_);
    ++on_their_way_;
  }

  Result<void> turn() {
    if (!out_.empty())
      TRY_VOID(write_all(socket_, out_, Code::protocol_error, "the socket of the bench"));
    out_.clear();
    TRY_VOID(read_some());
    const Time at = now();
    over_ = over_ || meter_.over(at);
    for (;;) {
      TRY(const std::optional<unsigned> slot, dialect_.next(over_ || checked_ < kChecked));
      if (!slot) return {};
      ++checked_;
      if (*slot >= asked_.size())
        return fail(Code::protocol_error, "an answer to something that was not asked");
      --on_their_way_;
      if (over_) continue;
      meter_.answered(asked_[*slot], at);
      ask(*slot, at);
    }
  }

  Result<void> read_some() {
    const std::span<Byte> room = dialect_.room();
    for (;;) {
      const ssize_t size = ::read(socket_, room.data(), room.size());
      if (size > 0) {
        dialect_.commit(static_cast<std::size_t>(size));
        return {};
      }
      if (size == 0) return fail(Code::protocol_error, "the connection ended");
      if (errno == EAGAIN) return fail(Code::deadline_exceeded, "no answer in 10 s");
      if (errno != EINTR) return fail(os_error(Code::protocol_error, "cannot read", "socket"));
    }
  }

  int socket_;
  Dialect& dialect_;
  std::vector<Time> asked_;  // By slot.
  Meter meter_;
  Bytes out_;
  std::size_t on_their_way_ = 0;
  std::uint64_t checked_ = 0;
  bool over_ = false;
};

}  // namespace

Result<Samples> pipeline(int socket, Dialect& dialect, unsigned in_flight, const Timing& timing) {
  return Client{socket, dialect, in_flight, timing}.run();
}

}  // namespace hsm::bench
