// Stands in for a daemon: behaves as the file that --config names says.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  std::string behaviour;
  std::ifstream config{argc == 3 ? argv[2] : ""};
  std::getline(config, behaviour);
  config.close();
  if (behaviour == "dies") {
    for (int line = 1; line <= 20; ++line) std::fprintf(stderr, "line %d\n", line);
    return 3;
  }
  if (behaviour == "stubborn") std::signal(SIGTERM, SIG_IGN);
  int inherited = 0;
  for (int fd = STDERR_FILENO + 1; fd < 64; ++fd) inherited += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  std::fprintf(stderr, "own session: %s, inherited descriptors: %d\n",
               ::getsid(0) == ::getpid() ? "yes" : "no", inherited);
  for (;;) ::pause();
}
