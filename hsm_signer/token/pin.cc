#include "hsm_signer/token/pin.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "hsm_signer/base/os.h"

namespace hsm::token {
namespace {

constexpr std::string_view kScheme = "file:";
constexpr std::size_t kLongest = 255;  // SoftHSM's limit; other tokens take less.

// Whoever reads the PIN file and the token's files has the secrets.
Result<void> check_file(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return fail(os_error(Code::usage, "cannot stat the PIN file", path));
  if (!S_ISREG(status.st_mode))
    return fail(Code::usage, "the PIN file is not a regular file", path);
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return fail(Code::usage, "the PIN file belongs to another user", path);
  if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0)
    return fail(Code::usage, "the PIN file is open to other users; chmod 0600 it", path);
  if ((status.st_mode & S_IRGRP) != 0 && status.st_gid != ::getegid())
    return fail(Code::usage,
                "a group other than this process's own can read the PIN file; chmod 0600 it", path);
  return {};
}

}  // namespace

Result<std::string> parse_pin_source(const std::string& source) {
  if (!source.starts_with(kScheme)) return fail(Code::usage, "pin_source must be \"file:/path\"");
  std::string path = source.substr(kScheme.size());
  if (path.empty()) return fail(Code::usage, "pin_source must be \"file:/path\"");
  return path;
}

Result<Pin> read_pin(const std::string& path) {
  // O_NONBLOCK: a FIFO in this place is refused, not waited for.
  const OwnedFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (!fd.valid()) return fail(os_error(Code::usage, "cannot open the PIN file", path));
  TRY_VOID(check_file(fd.get(), path));
  SecretBytes bytes{kLongest + 3};  // A newline, a byte too many, the NUL.
  std::size_t size = 0;
  while (size < bytes.size() - 1) {
    const ssize_t n = ::read(fd.get(), bytes.span().data() + size, bytes.size() - 1 - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(Code::usage, "cannot read the PIN file", path));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > 0 && bytes.view()[size - 1] == '\n') --size;
  if (size == 0) return fail(Code::usage, "the PIN file is empty", path);
  if (size > kLongest) return fail(Code::usage, "the PIN is too long", path);
  const ByteView pin = bytes.view().first(size);
  if (std::find(pin.begin(), pin.end(), 0) != pin.end())
    return fail(Code::usage, "the PIN holds a NUL byte", path);
  bytes.span()[size] = 0;
  bytes.truncate(size + 1);
  return Pin{std::move(bytes)};
}

}  // namespace hsm::token
