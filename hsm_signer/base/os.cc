#include "hsm_signer/base/os.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "hsm_signer/base/log.h"

namespace hsm {
namespace {

// As many bytes as there are, up to the size of `into`.
Result<std::size_t> read_up_to(int fd, std::span<Byte> into, Code code, const std::string& path) {
  std::size_t got = 0;
  while (got < into.size()) {
    const ssize_t n = ::read(fd, into.data() + got, into.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(code, "cannot read", path));
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

Result<sockaddr_un> address_of(std::string_view path) {
  TRY_VOID(check_socket_path(path));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Under a finite limit mlockall() succeeds as long as little is mapped, and each allocation that
// would exceed it fails later. With the limit at 0 it succeeds for nobody but who has
// CAP_IPC_LOCK, whom no limit binds (mlockall(2)): the kernel's own word, also in a user namespace.
bool lock_all_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  const bool finite = limit.rlim_cur != RLIM_INFINITY;
  const rlimit nothing{0, limit.rlim_max};
  if (finite && ::setrlimit(RLIMIT_MEMLOCK, &nothing) != 0) return false;
  const bool locked = ::mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
  if (finite) ::setrlimit(RLIMIT_MEMLOCK, &limit);
  return locked;
}

Clock::Wall now_wall() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return Clock::Wall{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this == &other) return *this;
  reset();
  fd_ = other.release();
  return *this;
}

void OwnedFd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Error os_error(Code code, std::string_view what, std::string_view subject, int error_number) {
  return {.code = code,
          .what = what,
          .detail = std::string{subject} + ": " + std::strerror(error_number)};
}

Error os_error(Code code, std::string_view what, std::string_view subject) {
  return os_error(code, what, subject, errno);
}

Result<OwnedFd> open_regular_file(const std::string& path, Code code) {
  OwnedFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd.valid()) return fail(os_error(code, "cannot open", path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail(os_error(code, "cannot stat", path));
  if (!S_ISREG(status.st_mode)) return fail(code, "not a regular file", path);
  return fd;
}

Result<Bytes> read_open_file(int fd, const std::string& path, std::size_t limit, Code code) {
  Bytes bytes(limit + 1);
  TRY(const std::size_t size, read_up_to(fd, bytes, code, path));
  if (size > limit)
    return fail(Code::too_large, "file too large",
                path + " (limit " + std::to_string(limit) + " bytes)");
  bytes.resize(size);
  return bytes;
}

Result<Bytes> read_file(const std::string& path, std::size_t limit, Code code) {
  TRY(const OwnedFd fd, open_regular_file(path, code));
  return read_open_file(fd.get(), path, limit, code);
}

Result<SecretBytes> read_open_secret(int fd, const std::string& path, std::size_t limit) {
  SecretBytes secret{limit + 1};
  TRY(const std::size_t size, read_up_to(fd, secret.span(), Code::usage, path));
  if (size > limit)
    return fail(Code::too_large, "secret too large",
                path + " (limit " + std::to_string(limit) + " bytes)");
  secret.truncate(size);
  return secret;
}

Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit) {
  if (path == "-") return read_open_secret(STDIN_FILENO, path, limit);
  const OwnedFd opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  if (!opened.valid()) return fail(os_error(Code::usage, "cannot open", path));
  return read_open_secret(opened.get(), path, limit);
}

Result<void> write_all(int fd, ByteView bytes, Code code, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(code, "cannot write", what));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> write_file_atomic(const std::string& path, ByteView bytes, mode_t mode, Code code) {
  // A device, a pipe or a link would be gone for a file.
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
    return fail(Code::usage, "exists and is not a regular file", path);
  const std::string beside = path + ".new";
  if (::unlink(beside.c_str()) != 0 && errno != ENOENT)
    return fail(os_error(code, "cannot replace", beside));
  OwnedFd fd{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
  if (!fd.valid()) return fail(os_error(code, "cannot create", beside));
  if (::fchmod(fd.get(), mode) != 0) return fail(os_error(code, "cannot set the mode of", beside));
  const auto renamed = [&]() -> Result<void> {
    TRY_VOID(write_all(fd.get(), bytes, code, beside));
    if (::fsync(fd.get()) != 0) return fail(os_error(code, "cannot fsync", beside));
    if (::rename(beside.c_str(), path.c_str()) != 0)
      return fail(os_error(code, "cannot rename to", path));
    return {};
  }();
  if (!renamed) {
    ::unlink(beside.c_str());
    return renamed;
  }
  const OwnedFd directory{::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory.valid() || ::fsync(directory.get()) != 0)
    return fail(os_error(code, "cannot fsync the directory of", path));
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> host_name() {
  std::array<char, 65> name{};  // HOST_NAME_MAX of Linux is 64.
  if (::gethostname(name.data(), name.size() - 1) != 0)
    return fail(os_error(Code::internal, "cannot learn the name of this host", "gethostname"));
  return std::string{name.data()};
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno != EEXIST) return fail(os_error(Code::usage, "cannot make directory", path));
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
    return fail(Code::usage, "exists and is not a directory", path);
  return {};
}

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail(os_error(Code::unauthorized, "cannot learn the peer of a socket", "SO_PEERCRED"));
  return Peer{.uid = credentials.uid, .gid = credentials.gid, .pid = credentials.pid};
}

Result<void> check_socket_path(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos)
    return fail(Code::usage, "a socket path may not be empty or hold a NUL");
  if (path.size() > kSocketPathLimit) {
    return fail(Code::usage, "socket path too long",
                std::string{path} + " has " + std::to_string(path.size()) +
                    " bytes, the kernel takes " + std::to_string(kSocketPathLimit) +
                    "; choose a shorter directory");
  }
  return {};
}

Result<OwnedFd> connect_unix(const std::string& path) {
  TRY(const sockaddr_un address, address_of(path));
  OwnedFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot make a socket", path));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(os_error(Code::token_unavailable, "cannot connect to", path));
  return fd;
}

Result<OwnedFd> listen_unix(const std::string& path, mode_t mode, gid_t group, Senders senders) {
  TRY(const sockaddr_un address, address_of(path));
  if (connect_unix(path)) return fail(Code::usage, "another process serves this socket", path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
    return fail(Code::usage, "exists and is not a socket", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(os_error(Code::usage, "cannot replace the socket", path));
  OwnedFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot make a socket", path));
  // Accepted sockets inherit it; since Linux 6.16 as the listener had it when the peer connected.
  const int told = senders == Senders::told ? 1 : 0;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &told, sizeof told) != 0)
    return fail(os_error(Code::internal, "cannot have senders told on", path));
  // Between bind and chmod nobody may connect: listen() comes last.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(os_error(Code::usage, "cannot bind", path));
  if (::chown(path.c_str(), static_cast<uid_t>(-1), group) != 0)
    return fail(os_error(Code::usage, "cannot give the socket to its group", path));
  if (::chmod(path.c_str(), mode) != 0)
    return fail(os_error(Code::usage, "cannot set the mode of", path));
  if (::listen(fd.get(), SOMAXCONN) != 0)
    return fail(os_error(Code::usage, "cannot listen on", path));
  return fd;
}

Clock::Wall SystemClock::wall() const { return now_wall(); }
Clock::Steady SystemClock::steady() const { return std::chrono::steady_clock::now(); }
Clock::Steady SystemClock::awake_or_not() const {
  timespec now{};
  if (::clock_gettime(CLOCK_BOOTTIME, &now) != 0) return steady();
  return Steady{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

std::string rfc3339(Clock::Wall time) {
  using namespace std::chrono;
  const auto whole = floor<microseconds>(time);
  const sys_days day = floor<days>(whole);
  const year_month_day date{day};
  const hh_mm_ss clock{whole - day};
  std::string text = "0000-00-00T00:00:00.000000Z";
  const auto put = [&text](std::size_t last, std::size_t digits, std::uint64_t value) {
    for (std::size_t i = 0; i < digits; ++i, value /= 10)
      text[last - i] = static_cast<char>('0' + value % 10);
  };
  put(3, 4, static_cast<std::uint64_t>(int{date.year()}));
  put(6, 2, unsigned{date.month()});
  put(9, 2, unsigned{date.day()});
  put(12, 2, static_cast<std::uint64_t>(clock.hours().count()));
  put(15, 2, static_cast<std::uint64_t>(clock.minutes().count()));
  put(18, 2, static_cast<std::uint64_t>(clock.seconds().count()));
  put(25, 6, static_cast<std::uint64_t>(clock.subseconds().count()));
  return text;
}

Result<Clock::Wall> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000000Z";
  const auto refuse = [] {
    return fail(Code::invalid_payload, "not a time of the form 2026-11-23T19:15:02.123456Z");
  };
  if (text.size() != kForm.size()) return refuse();
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return refuse();
  }
  const auto number = [text](std::size_t first, std::size_t digits) {
    int value = 0;
    for (std::size_t i = first; i < first + digits; ++i) value = 10 * value + (text[i] - '0');
    return value;
  };
  const year_month_day date{year{number(0, 4)}, month{static_cast<unsigned>(number(5, 2))},
                            day{static_cast<unsigned>(number(8, 2))}};
  // Nanoseconds in 64 bits end in 2262.
  const bool fits = date.ok() && date.year() >= year{1970} && date.year() <= year{2261} &&
                    number(11, 2) < 24 && number(14, 2) < 60 && number(17, 2) < 60;
  if (!fits) return refuse();
  return Clock::Wall{sys_days{date}} + hours{number(11, 2)} + minutes{number(14, 2)} +
         seconds{number(17, 2)} + microseconds{number(20, 6)};
}

bool standard_descriptors_are_open() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) return false;
  }
  return true;
}

Result<void> lock_down(LockMemory memory) {
  std::signal(SIGPIPE, SIG_IGN);
  // A log line is never to go into a socket that was opened where standard error had been.
  while (!standard_descriptors_are_open()) {
    if (::open("/dev/null", O_RDWR) < 0)
      return fail(os_error(Code::internal, "cannot open", "/dev/null"));
  }
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0)
    return fail(os_error(Code::internal, "cannot forbid cores", "setrlimit"));
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return fail(os_error(Code::internal, "cannot become undumpable", "prctl"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(os_error(Code::internal, "cannot give up new privileges", "prctl"));
  if (memory == LockMemory::no || lock_all_memory()) return {};
  if (memory == LockMemory::yes)
    log(Level::warning, "memory_not_locked",
        "secrets may reach the swap; set LimitMEMLOCK=infinity or encrypt the swap");
  return {};
}

}  // namespace hsm
