// What cannot be taken back is tried in a child.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

namespace hsm {

struct Ended {
  int status = -1;     // 128 + the signal where there was one; -1: there was no child.
  std::string said{};  // On standard error.
};

inline Ended in_child(const std::function<int()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::_exit(work());
  }
  ::close(ends[1]);
  Ended ended;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    ended.said.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  if (child < 0) return ended;  // waitpid(-1) would wait for somebody else's.
  int how = 0;
  while (::waitpid(child, &how, 0) < 0) {
    if (errno != EINTR) return ended;
  }
  ended.status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
  return ended;
}

}  // namespace hsm
