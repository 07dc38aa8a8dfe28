// Starting a worker process.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/dispatch.h"

namespace hsm::token {

struct Child {
  pid_t pid;
  OwnedFd status;  // Read end; does not block.
};

// Starts workers of one configuration, from the very file that this process runs.
class Spawner {
 public:
  static Result<Spawner> create(const Config& config);
  // Forks (this process has one thread and no module) and executes this program anew with three
  // inherited descriptors, an environment of module_env, LANG and TZ, and SIGTERM if the supervisor
  // dies.
  Result<Child> start(Role role, int listener) const;

 private:
  Spawner() = default;
  OwnedFd program_;
  std::vector<std::string> environment_;
  OwnedFd config_;
};

}  // namespace hsm::token
