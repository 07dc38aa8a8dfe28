// Landlock as older kernels have it: each ABI is a part of the next, so this kernel can play them.
#include "hsm_signer/confine/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

namespace hsm::confine {
namespace {

int errno_of_open(const std::string& path, int flags) {
  errno = 0;
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  return errno;
}

int errno_of_tcp() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in nobody{};  // Port 0: refused by the stack, but not with EACCES.
  nobody.sin_family = AF_INET;
  nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  errno = 0;
  ::bind(fd, reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody);
  return errno;
}

// 0, or the number of the step at which it was not as it should be.
int steps(const TempDir& dir, int abi) {
  Confinement confinement;
  confinement.paths.read = {dir / "read", "/nonexistent"};
  confinement.paths.write = {dir / "write"};
  confinement.paths.sockets = {dir / "sockets"};
  const pid_t parent = ::getppid();
  if (!restrict_self(confinement, abi)) return 1;
  if (errno_of_open(dir / "read" + "/file", O_RDONLY) != 0) return 2;
  if (errno_of_open(dir / "read" + "/file", O_WRONLY) != EACCES) return 3;
  if (errno_of_open(dir / "read" + "/new", O_WRONLY | O_CREAT) != EACCES) return 4;
  if (errno_of_open(dir / "write" + "/file", O_RDWR | O_CREAT) != 0) return 5;
  if (::rename((dir / "write" + "/file").c_str(), (dir / "write" + "/renamed").c_str()) != 0)
    return 6;
  if (errno_of_open(dir / "other", O_RDONLY) != EACCES) return 7;
  if (errno_of_open("/etc/passwd", O_RDONLY) != EACCES) return 8;
  if (errno_of_open(dir / "sockets" + "/file", O_WRONLY | O_CREAT) != EACCES) return 9;
  if (::unlink((dir / "read" + "/file").c_str()) == 0 || errno != EACCES) return 10;
  if (abi >= 3 && (::truncate((dir / "other").c_str(), 0) == 0 || errno != EACCES)) return 11;
  if (abi >= 4 && errno_of_tcp() != EACCES) return 12;
  if (abi >= 6 && (::kill(parent, 0) == 0 || errno != EPERM)) return 13;
  return 0;
}

TEST(Landlock, HoldsWithEachOlderAbi) {
  const int newest = landlock_abi();
  if (newest == 0) GTEST_SKIP() << "this kernel has no Landlock";
  for (int abi = 1; abi <= std::min(newest, 6); ++abi) {
    const TempDir dir;
    for (const char* const name : {"read", "write", "sockets"})
      ASSERT_EQ(::mkdir((dir / name).c_str(), 0700), 0);
    for (const char* const name : {"read/file", "other"})
      ASSERT_EQ(errno_of_open(dir / name, O_WRONLY | O_CREAT), 0);
    EXPECT_EQ(in_child([&] { return steps(dir, abi); }).status, 0) << "step of ABI " << abi;
  }
}

// What limits neither reads nor writes must not break renaming between directories, which Landlock
// denies unless it is granted (ABI 2).
TEST(Landlock, LeavesRenamingAloneWhereItLimitsNoWrites) {
  const int newest = landlock_abi();
  if (newest < 2) GTEST_SKIP() << "this kernel's Landlock denies it always";
  const TempDir dir;
  for (const char* const name : {"from", "to"}) ASSERT_EQ(::mkdir((dir / name).c_str(), 0700), 0);
  ASSERT_EQ(errno_of_open(dir / "from" + "/file", O_WRONLY | O_CREAT), 0);
  const Ended ended = in_child([&] {
    Confinement confinement;
    confinement.paths.limit_reads = false;
    confinement.paths.limit_writes = false;
    if (!restrict_self(confinement, newest)) return 1;
    return ::rename((dir / "from" + "/file").c_str(), (dir / "to" + "/file").c_str()) == 0 ? 0 : 2;
  });
  EXPECT_EQ(ended.status, 0);
}

}  // namespace
}  // namespace hsm::confine
