#include "tests/unit/client_shim/fake_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>

namespace hsm::client {
namespace {

// Whether `fd` became readable before the test said stop.
bool readable(int fd, int stop) {
  std::array<pollfd, 2> waited{pollfd{fd, POLLIN, 0}, pollfd{stop, POLLIN, 0}};
  while (::poll(waited.data(), waited.size(), -1) < 0) {
  }
  return waited[1].revents == 0;
}

}  // namespace

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "hsm-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
  path_ = name;
}

TempDir::~TempDir() { std::filesystem::remove_all(path_); }

FakeDaemon::FakeDaemon(const std::string& path) {
  auto listener = listen_unix(path, 0600);
  std::array<int, 2> pipe{};
  if (!listener || ::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error{"fake daemon"};
  listener_ = std::move(*listener);
  stop_read_ = OwnedFd{pipe[0]};
  stop_write_ = OwnedFd{pipe[1]};
  thread_ = std::thread{[this] { run(); }};
}

FakeDaemon::~FakeDaemon() {
  stop_write_.reset();
  thread_.join();
}

void FakeDaemon::on(wire::Type type, Answer answer) {
  const std::lock_guard lock{mutex_};
  answers_[type] = std::move(answer);
}

std::vector<wire::Type> FakeDaemon::asked() const {
  const std::lock_guard lock{mutex_};
  return asked_;
}

void FakeDaemon::run() {
  while (readable(listener_.get(), stop_read_.get())) {
    const OwnedFd connection{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (connection.valid()) serve(connection.get());
  }
}

void FakeDaemon::serve(int connection) {
  wire::FrameBuffer in;
  while (readable(connection, stop_read_.get())) {
    const std::span<Byte> room = in.prepare();
    const ssize_t size = ::recv(connection, room.data(), room.size(), 0);
    if (size <= 0) return;
    in.commit(static_cast<std::size_t>(size));
    for (;;) {
      const auto frame = in.next();
      if (!frame) return;
      if (!*frame) break;
      Bytes out;
      const bool stay = answer(**frame, out);
      if (::send(connection, out.data(), out.size(), MSG_NOSIGNAL) < 0 || !stay) return;
    }
  }
}

bool FakeDaemon::answer(const wire::FrameView& frame, Bytes& out) {
  Answer chosen;
  {
    const std::lock_guard lock{mutex_};
    const auto found = answers_.find(frame.type());
    if (found != answers_.end()) chosen = found->second;
    if (chosen || frame.type() != wire::Type::hello) asked_.push_back(frame.type());
  }
  if (chosen) return chosen(frame, out);
  if (frame.type() == wire::Type::hello) {
    const wire::Hello hello{.program = "fake/1"};
    return wire::encode(out, wire::answer_to(frame.type()), frame.id(), hello).has_value();
  }
  const wire::Failure failure{
      .code = "protocol_error", .sentence = "not listed for this socket", .approval = {}};
  return wire::encode(out, frame.id(), failure).has_value();
}

}  // namespace hsm::client
