// A worker of hsm-tokend as the signer meets it, played by hand.
#pragma once

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/usage_text.h"
#include "hsm_signer/wire/token.h"
#include "tests/support/error_is.h"

namespace hsm::test {

// A listening socket and one accepted connection; each call blocks.
class FakeWorker {
 public:
  FakeWorker() {
    std::string pattern = "/tmp/hsm-worker-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    listener_ = *listen_unix(path(), 0600);
  }
  ~FakeWorker() { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/t.sock"; }

  void accept() { accept_for(*this); }
  // The next connection goes to another worker of the same host.
  void accept_for(FakeWorker& sibling) {
    sibling.connection_ = OwnedFd{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    // A frame that does not come fails the test instead of holding it up.
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(sibling.connection_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void greet(std::uint32_t depth = 4, Bytes audit_key = {}, std::uint32_t workers = 1) {
    EXPECT_EQ(read(), wire::Type::hello);
    EXPECT_EQ(read(), wire::Type::info);
    send(wire::Type::hello, 0, wire::Hello{});
    send(wire::Type::info, 0,
         wire::Info{.token = "t",
                    .profile = "softhsm",
                    .workers = workers,
                    .depth = depth,
                    .worker_id = 7,
                    .payload_limit = 8192,
                    .audit_key = std::move(audit_key)});
  }
  // Whether bytes lie there to be read.
  bool has_frame() const {
    pollfd watched{connection_.get(), POLLIN, 0};
    return ::poll(&watched, 1, 0) == 1;
  }
  // The type of the next frame; its id in last_id().
  wire::Type read() {
    for (;;) {
      const auto frame = in_.next();
      EXPECT_THAT(frame, Succeeds());
      if (*frame) {
        last_ = **frame;
        return last_->type();
      }
      const auto room = in_.prepare();
      const ssize_t size = ::read(connection_.get(), room.data(), room.size());
      if (size <= 0) return wire::Type::error;
      in_.commit(static_cast<std::size_t>(size));
    }
  }
  std::uint64_t last_id() const { return last_->id(); }
  template <class M>
  Result<M> last() const {
    return wire::decode<M>(*last_);
  }
  template <class M>
  void send(wire::Type type, std::uint64_t id, const M& message) {
    Bytes out;
    ASSERT_THAT(wire::encode(out, wire::answer_to(type), id, message), Succeeds());
    send_bytes(out);
  }
  void send_bytes(const Bytes& out) {
    ASSERT_THAT(write_all(connection_.get(), out, Code::internal, "answer"), Succeeds());
  }
  void answer_mac(std::uint64_t id, Byte mark) {
    wire::MacAnswer answer;
    answer.mac.fill(mark);
    answer.worker_id = 7;
    answer.counter = ++macs_;
    send(wire::Type::mac, id, answer);
  }
  // The text of a usage answer, signed by `sign`, with the last words of others.
  template <class Sign>
  void answer_usage(std::uint64_t count, const Sign& sign,
                    std::vector<wire::SignedUsage> ended = {}) {
    const std::string text = usage_text("t", 7, count, {});
    send(wire::Type::usage, last_id(),
         wire::Usage{.text = text, .signature = sign(text), .ended = std::move(ended)});
  }
  void hang_up() {
    connection_.reset();
    last_.reset();
    in_ = {};
  }

 private:
  std::string directory_;
  OwnedFd listener_;
  OwnedFd connection_;
  wire::FrameBuffer in_;
  std::uint64_t macs_ = 0;
  std::optional<wire::FrameView> last_;  // Into `in_`; until the next read().
};

}  // namespace hsm::test
