// A daemon of one's own choosing behind a real Unix socket: greets, then answers each frame as the
// test says. One connection at a time, on a thread of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/wire/hello.h"

namespace hsm::client {

// A directory of its own for each test, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  std::string text() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

class FakeDaemon {
 public:
  // Writes what shall go back; nothing written: silence. False: the connection is closed then.
  using Answer = std::function<bool(const wire::FrameView& request, Bytes& out)>;

  explicit FakeDaemon(const std::string& path);
  ~FakeDaemon();

  // The frames of one type get this answer. Types without one get protocol_error.
  void on(wire::Type type, Answer answer);
  template <class Request, class Reply>
  void on(wire::Type type, std::function<Result<Reply>(const Request&)> answer) {
    on(type, [answer](const wire::FrameView& frame, Bytes& out) {
      const Result<Request> request = wire::decode<Request>(frame);
      const Result<Reply> reply = request ? answer(*request) : fail(request.error());
      if (!reply) return wire::encode(out, frame.id(), wire::to_failure(reply.error())).has_value();
      return wire::encode(out, wire::answer_to(frame.type()), frame.id(), *reply).has_value();
    });
  }
  // Types in the order they came, hello left out unless a test answers it itself.
  std::vector<wire::Type> asked() const;

 private:
  void run();
  void serve(int connection);
  bool answer(const wire::FrameView& frame, Bytes& out);

  OwnedFd listener_, stop_read_, stop_write_;
  mutable std::mutex mutex_;
  std::map<wire::Type, Answer> answers_;
  std::vector<wire::Type> asked_;
  std::thread thread_;
};

}  // namespace hsm::client
