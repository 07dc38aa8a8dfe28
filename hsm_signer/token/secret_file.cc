#include "hsm_signer/token/secret_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "hsm_signer/base/os.h"

namespace hsm::token {
namespace {

Result<void> check_owner(int fd, const std::string& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail(os_error(Code::usage, "cannot stat", file));
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

Result<SecretBytes> read_private_file(const std::string& path, std::string_view is,
                                      std::size_t limit) {
  const std::string file = std::string{is} + " " + path;
  TRY(const OwnedFd fd, open_regular_file(path));
  TRY_VOID(check_owner(fd.get(), file));
  auto read = read_open_secret(fd.get(), file, limit);
  if (!read) read.error().code = Code::usage;
  return read;
}

}  // namespace hsm::token
