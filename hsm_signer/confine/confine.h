// What a daemon gives up once it has read its configuration: system calls it has no use for
// (seccomp(2)) and files that are none of its business (landlock(7)). It holds for the process and
// for all it starts, and nothing takes it back.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "hsm_signer/base/result.h"

namespace hsm::confine {

// Groups of system calls, a table each in calls.cc. What no group names is a violation.
enum class Calls {
  core,           // Memory, threads, time, descriptors, one's own signals and identity.
  files,          // Opening, making, removing; Landlock says where.
  local_sockets,  // AF_UNIX and no other family.
  network,        // AF_INET, AF_INET6 and the netlink that resolvers and libusb ask. Without it
                  // Landlock refuses TCP as well.
  hardware,       // ioctl(2) with any request, System V memory: what drivers need.
  new_code,       // Mappings that can be executed, as dlopen(3) makes.
  timers,         // timer_create(2): the deadline of a call into the module.
  further,        // What it takes to confine oneself further.
  start,          // What a program does to itself until it is confined.
  processes,      // fork, execveat, wait, and a signal that ends a child.
};

// A violation never takes effect. Fatal: the kernel kills the process with SIGSYS and says so in
// its own log. Loud: the call fails with EPERM and the process says so in the daemon's log, once
// for each system call. Not SECCOMP_RET_LOG: that would let the call through, and say so only where
// few developers look.
enum class Violation { fatal, loud };

// Paths stand for all that is beneath them; what does not exist is passed over. Everything else is
// refused with EACCES.
struct Paths {
  bool limit_reads = true;   // False: what may be read is left to file modes.
  bool limit_writes = true;  // The same of writing, making and removing.
  std::vector<std::string> read;
  std::vector<std::string> write;    // Read as well.
  std::vector<std::string> devices;  // Read and written, as /dev/null.
  std::vector<std::string> sockets;  // Directories in which sockets are made and removed.
  std::vector<std::string> execute;
};

struct Confinement {
  std::vector<Calls> calls;
  Paths paths;
  Violation violation = Violation::fatal;
  bool announce = true;  // One line in the log that says what holds.
};

// Call it before the first thread starts: Landlock holds for the calling thread and those it makes.
// Landlock is used as far as the kernel has it; where it has none the line says so. A kernel
// without seccomp is an error (internal) if violations are fatal, else a warning. In a build with a
// sanitizer nothing is confined and a line says so: the sanitizer's runtime needs what is refused
// here.
Result<void> confine(const Confinement& confinement);

// A second step, for who has loaded all the code it will run: no memory becomes executable any
// more. Needs Calls::further.
Result<void> forbid_new_code(Violation violation);

// False in a build with a sanitizer.
bool is_built_to_confine();

// Where every program may look, whatever it does: zones, the kernel's random numbers.
std::vector<std::string> common_reads();

}  // namespace hsm::confine
