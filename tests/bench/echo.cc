// The floor of our shape: a relay between the client and the processes that sign, and nothing else.
// No names, no policy, no nonce, no record; fixed frames, one read and one write per turn.
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "tests/bench/children.h"
#include "tests/bench/module_signer.h"
#include "tests/bench/pipeline.h"

namespace hsm::bench {
namespace {

// Request: slot, message. Answer: slot, MAC.
using Slot = std::uint32_t;
constexpr std::size_t kRequest = sizeof(Slot) + kMessageSize;
constexpr std::size_t kAnswer = sizeof(Slot) + sizeof(Mac);
constexpr std::size_t kRoom = 64 * 1024;

// A stream of frames of one size.
class Frames {
 public:
  explicit Frames(std::size_t size) : size_{size}, buffer_(kRoom) {}

  std::span<Byte> room() {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= std::exchange(begin_, 0);
    return std::span{buffer_}.subspan(end_);
  }
  void commit(std::size_t count) { end_ += count; }
  // False: the peer has gone.
  bool read_from(int socket) {
    const std::span<Byte> free = room();
    const ssize_t size = ::read(socket, free.data(), free.size());
    if (size > 0) commit(static_cast<std::size_t>(size));
    return size > 0;
  }
  std::optional<ByteView> next() {
    if (end_ - begin_ < size_) return std::nullopt;
    return ByteView{buffer_}.subspan(std::exchange(begin_, begin_ + size_), size_);
  }

 private:
  std::size_t size_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class EchoDialect final : public Dialect {
 public:
  void ask(unsigned slot, Bytes& out) override {
    const Slot number = slot;
    const ByteView head{reinterpret_cast<const Byte*>(&number), sizeof number};
    out.insert(out.end(), head.begin(), head.end());
    out.insert(out.end(), message().begin(), message().end());
  }
  std::span<Byte> room() override { return in_.room(); }
  void commit(std::size_t size) override { in_.commit(size); }
  Result<std::optional<unsigned>> next(bool check) override {
    const std::optional<ByteView> frame = in_.next();
    if (!frame) return std::optional<unsigned>{};
    Slot slot = 0;
    std::memcpy(&slot, frame->data(), sizeof slot);
    if (check) TRY_VOID(check_mac(message(), frame->subspan(sizeof slot)));
    return std::optional<unsigned>{slot};
  }

 private:
  Frames in_{kAnswer};
};

bool send_all(int socket, Bytes& out) {
  const bool sent =
      out.empty() || write_all(socket, out, Code::protocol_error, "the echo").has_value();
  out.clear();
  return sent;
}

// A process that signs.
int sign_for(int relay, const BenchToken& token) {
  ::setenv("SOFTHSM2_CONF", token.conf().c_str(), 1);
  const auto signer = ModuleSigner::open(test::kSoftHsmModule, token);
  const Byte ready = 1;
  if (!signer || ::write(relay, &ready, 1) != 1) return 1;
  Frames in{kRequest};
  for (Bytes out; in.read_from(relay);) {
    while (const auto frame = in.next()) {
      const auto mac = signer->sign(frame->subspan(sizeof(Slot)));
      if (!mac) return 1;
      out.insert(out.end(), frame->begin(), frame->begin() + sizeof(Slot));
      out.insert(out.end(), mac->begin(), mac->end());
    }
    if (!send_all(relay, out)) return 1;
  }
  return 0;
}

// Deals requests out in turn and carries answers back, until the client or a signing process goes.
class Relay {
 public:
  Relay(OwnedFd client, std::vector<OwnedFd> workers) {
    peers_.push_back({std::move(client), Frames{kRequest}, {}});
    for (OwnedFd& worker : workers) peers_.push_back({std::move(worker), Frames{kAnswer}, {}});
  }

  int run() {
    std::vector<pollfd> watched;
    for (const Peer& peer : peers_) watched.push_back({peer.socket.get(), POLLIN, 0});
    for (;;) {
      if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return 1;
      for (std::size_t i = 0; i < peers_.size(); ++i) {
        if (watched[i].revents == 0) continue;
        if (!peers_[i].in.read_from(peers_[i].socket.get())) return 0;
        pass_on(i);
      }
      for (Peer& peer : peers_) {
        if (!send_all(peer.socket.get(), peer.out)) return 0;
      }
    }
  }

 private:
  struct Peer {
    OwnedFd socket;
    Frames in;
    Bytes out;
  };

  void pass_on(std::size_t from) {
    while (const auto frame = peers_[from].in.next()) {
      const std::size_t to = from == 0 ? 1 + next_++ % (peers_.size() - 1) : 0;
      peers_[to].out.insert(peers_[to].out.end(), frame->begin(), frame->end());
    }
  }

  std::vector<Peer> peers_;  // The client first.
  std::size_t next_ = 0;
};

// The relay and its signing processes, children of the client that measures.
class Hops {
 public:
  static Result<std::shared_ptr<Hops>> start(unsigned workers, const BenchToken& token) {
    const std::shared_ptr<Hops> hops{new Hops};
    std::vector<OwnedFd> behind;
    for (unsigned i = 0; i < workers; ++i) {
      TRY(Ends ends, make_ends());
      TRY_VOID(hops->fork([&] {
        ends.near.reset();
        behind.clear();
        return sign_for(ends.far.get(), token);
      }));
      // One login after the other, as for in_children().
      Byte ready = 0;
      if (::read(ends.near.get(), &ready, 1) != 1)
        return fail(Code::token_unavailable, "a signing process of the echo did not start");
      behind.push_back(std::move(ends.near));
    }
    TRY(Ends ends, make_ends());
    TRY_VOID(hops->fork([&] {
      ends.near.reset();
      return Relay{std::move(ends.far), std::move(behind)}.run();
    }));
    hops->client_ = std::move(ends.near);
    return hops;
  }
  // Each process ends when the one before it has gone.
  ~Hops() {
    client_.reset();
    for (auto pid = pids_.rbegin(); pid != pids_.rend(); ++pid) reap(*pid);
  }
  int client() const { return client_.get(); }

 private:
  struct Ends {
    OwnedFd near, far;
  };
  static Result<Ends> make_ends() {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
      return fail(os_error(Code::internal, "cannot make", "a pair of sockets"));
    return Ends{OwnedFd{pair[0]}, OwnedFd{pair[1]}};
  }
  Result<void> fork(const std::function<int()>& body) {
    const pid_t pid = fork_child(body);
    if (pid < 0) return fail(os_error(Code::internal, "cannot fork", "the echo"));
    pids_.push_back(pid);
    return {};
  }

  OwnedFd client_;
  std::vector<pid_t> pids_;
};

class Echo final : public Contender {
 public:
  explicit Echo(std::shared_ptr<BenchToken> token) : token_{std::move(token)} {}
  std::string name() const override { return kFloor; }
  std::vector<Load> loads() const override { return shape_loads(); }
  Result<Samples> run(const Load& load, const Timing& timing) override {
    return in_children(1, timing, [&]() -> Result<Measure> {
      TRY(const std::shared_ptr<Hops> hops, Hops::start(load.workers, *token_));
      return Measure{[&load, &timing, hops] {
        EchoDialect dialect;
        return pipeline(hops->client(), dialect, load.in_flight, timing);
      }};
    });
  }

 private:
  std::shared_ptr<BenchToken> token_;
};

}  // namespace

std::vector<Load> shape_loads() {
  std::vector<Load> loads;
  for (const unsigned workers : {1U, 2U}) {
    for (const unsigned in_flight : {1U, 16U, 64U})
      loads.push_back({.in_flight = in_flight, .workers = workers});
  }
  return loads;
}

std::unique_ptr<Contender> two_hop_echo(std::shared_ptr<BenchToken> token) {
  return std::make_unique<Echo>(std::move(token));
}

}  // namespace hsm::bench
