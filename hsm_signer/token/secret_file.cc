#include "hsm_signer/token/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "hsm_signer/base/os.h"

namespace hsm::token {
namespace {

Result<void> check_file(int fd, const std::string& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail(os_error(Code::usage, "cannot stat", file));
  if (!S_ISREG(status.st_mode)) return fail(Code::usage, "not a regular file", file);
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return fail(Code::usage, "a secret file belongs to another user", file);
  if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0)
    return fail(Code::usage, "a secret file is open to other users; chmod 0600 it", file);
  if ((status.st_mode & S_IRGRP) != 0 && status.st_gid != ::getegid())
    return fail(Code::usage,
                "a group other than this process's own can read a secret file; chmod 0600 it",
                file);
  return {};
}

}  // namespace

Result<SecretFile> read_secret_file(const std::string& path, std::string_view is,
                                    std::size_t limit) {
  const std::string file = std::string{is} + " " + path;
  // O_NONBLOCK: a FIFO in this place is refused, not waited for.
  const OwnedFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (!fd.valid()) return fail(os_error(Code::usage, "cannot open", file));
  TRY_VOID(check_file(fd.get(), file));
  SecretFile read{.bytes = SecretBytes{limit + 2}, .size = 0};  // A byte too many, a zero.
  while (read.size < limit + 1) {
    const ssize_t n = ::read(fd.get(), read.bytes.span().data() + read.size, limit + 1 - read.size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(os_error(Code::usage, "cannot read", file));
    if (n == 0) break;
    read.size += static_cast<std::size_t>(n);
  }
  if (read.size > limit)
    return fail(Code::usage, "a secret file is too long",
                file + " has over " + std::to_string(limit) + " bytes");
  return read;
}

}  // namespace hsm::token
