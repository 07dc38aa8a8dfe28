// The operating system behind Result: descriptors, files, peers, clocks, lock-down.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm {

// Move-only: a copy would close the descriptor under its twin.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_{fd} {}
  OwnedFd(OwnedFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// The Error for errno as it stands: "what: subject: No such file or directory".
Error os_error(Code code, std::string_view what, std::string_view subject);
Error os_error(Code code, std::string_view what, std::string_view subject, int error_number);

// A whole regular file of at most `limit` bytes; too_large beyond that.
Result<Bytes> read_file(const std::string& path, std::size_t limit, Code code = Code::usage);
// The same for what must be wiped (a PIN, a secret): no copy is left behind. `path` "-" is standard
// input. Refuses more than `limit` bytes.
Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit);
// The second half of that.
Result<SecretBytes> read_open_secret(int fd, const std::string& path, std::size_t limit);
// The two halves of read_file(), for who judges the open file before reading it: what a path leads
// to may be another file at the second look. `path` is for sentences.
Result<OwnedFd> open_regular_file(const std::string& path, Code code = Code::usage);
Result<Bytes> read_open_file(int fd, const std::string& path, std::size_t limit,
                             Code code = Code::usage);
// Writes beside `path`, fsyncs, renames over it and fsyncs the directory, so that a crash leaves
// the old file or the new one.
Result<void> write_file_atomic(const std::string& path, ByteView bytes, mode_t mode,
                               Code code = Code::usage);
// Every byte, across short writes and EINTR.
Result<void> write_all(int fd, ByteView bytes, Code code, std::string_view what);
// "." for a path without a slash.
std::string directory_of(const std::string& path);
// As mkdir -p for the last component only; an existing directory is fine.
Result<void> make_directory(const std::string& path, mode_t mode);

// As gethostname(2) says. Errors: internal.
Result<std::string> host_name();

// Who is at the other end of a Unix socket, by the kernel's word (SO_PEERCRED, unix(7)).
struct Peer {
  uid_t uid;
  gid_t gid;
  pid_t pid;
  bool operator==(const Peer&) const = default;
};
Result<Peer> peer_of(int socket);

// sun_path holds 108 bytes with its NUL (unix(7)).
inline constexpr std::size_t kSocketPathLimit = 107;
Result<void> check_socket_path(std::string_view path);
// Whether each message that is received tells who sent it (SO_PASSCRED).
enum class Senders { untold, told };
// Binds and listens. A socket file that nobody answers on is replaced; one that answers is refused.
// With `group` other than -1 the socket belongs to that group.
Result<OwnedFd> listen_unix(const std::string& path, mode_t mode,
                            gid_t group = static_cast<gid_t>(-1),
                            Senders senders = Senders::untold);
Result<OwnedFd> connect_unix(const std::string& path);

// Injected wherever time decides something, so that tests own it.
class Clock {
 public:
  using Wall = std::chrono::sys_time<std::chrono::nanoseconds>;
  using Steady = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
  virtual ~Clock() = default;
  virtual Wall wall() const = 0;
  virtual Steady steady() const = 0;
  // As steady(), and goes on while the machine sleeps (CLOCK_BOOTTIME): for comparing with wall().
  virtual Steady awake_or_not() const { return steady(); }
};
class SystemClock final : public Clock {
 public:
  Wall wall() const override;
  Steady steady() const override;
  Steady awake_or_not() const override;
};
// RFC 3339 in UTC with microseconds: "2026-11-23T19:15:02.123456Z".
std::string rfc3339(Clock::Wall time);
// Exactly that form, of years 1970 to 2261; invalid_payload otherwise.
Result<Clock::Wall> parse_rfc3339(std::string_view text);

// Whether 0, 1 and 2 are taken, so that no file or socket that is opened later becomes one of them.
bool standard_descriptors_are_open();

// Called first in main() of every process that sees keys, PINs or payloads: not dumpable, no core,
// no new privileges; SIGPIPE is ignored. All memory is locked, now and later, where no limit binds
// (RLIMIT_MEMLOCK unlimited, or CAP_IPC_LOCK, which must then be kept), and none elsewhere.
enum class LockMemory : std::uint8_t {
  no,
  where_allowed,
  yes,  // As where_allowed, and says in the log that it was not.
};
Result<void> lock_down(LockMemory memory);

}  // namespace hsm
