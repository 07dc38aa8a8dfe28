// Daemons of a development directory: started, recognised and stopped by pid files in DIR/run.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "hsm_signer/config/signer_config.h"

namespace hsm::ctl {

struct DaemonFiles {
  std::string name;     // "hsm-tokend-dev", "hsm-signerd"
  std::string program;  // File name: "hsm-tokend"
  std::string config;
  std::string pid_file;
  std::string log_file;
};

// Two `up` at once would each start what the other has started. Held until the descriptor closes.
Result<OwnedFd> lock_directory(const std::string& directory);

// Token hosts first: the order of starting. Stopping goes the other way.
std::vector<DaemonFiles> daemons_of(const std::string& directory, const SignerConfig& config);

// A daemon that runs: the pidfd stands for this very process, whatever becomes of its number.
struct Running {
  OwnedFd pidfd;
  pid_t pid = -1;
};
// Invalid pidfd: does not run. A process counts only if its command line is this program with this
// configuration; a pid file that outlived its process, or names another, does not.
Running find_running(const DaemonFiles& daemon);

// Starts `program` from this program's own directory in a session of its own, standard error
// appended to the log.
Result<Running> start(const DaemonFiles& daemon);
bool has_ended(const Running& process);
// SIGTERM, then waits. internal when it still runs after `patience`.
Result<void> stop(const DaemonFiles& daemon, const Running& process,
                  std::chrono::milliseconds patience);
// For people: the end of a log, indented.
std::string last_lines(const std::string& log_file, std::size_t count);

// Where this program lies: "/usr/bin".
std::string own_directory();

}  // namespace hsm::ctl
