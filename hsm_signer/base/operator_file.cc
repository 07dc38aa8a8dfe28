#include "hsm_signer/base/operator_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "hsm_signer/base/os.h"

namespace hsm {
namespace {

constexpr std::size_t kFileLimit = 1 << 20;

Result<void> check_owner(int fd, const std::string& path, FileOwner owner) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail(os_error(Code::usage, "cannot stat", path));
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(Code::usage, "others than its owner can write this file; chmod 0644", path);
  if (status.st_uid == 0) return {};
  if (owner == FileOwner::root) return fail(Code::usage, "root must own this file", path);
  if (status.st_uid != ::geteuid())
    return fail(Code::usage, "this file belongs to another user", path);
  return {};
}

}  // namespace

Result<Bytes> read_operator_file(const std::string& path, FileOwner owner) {
  TRY(const OwnedFd file, open_regular_file(path));
  TRY_VOID(check_owner(file.get(), path, owner));
  return read_open_file(file.get(), path, kFileLimit);
}

}  // namespace hsm
