// Processes of the benchmark: children that measure and report, programs that run meanwhile.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hsm_signer/base/os.h"
#include "tests/bench/contender.h"

namespace hsm::bench {

// The first half of a child's work makes everything ready and gives the second, which measures.
using Measure = std::function<Result<Samples>()>;
using Prepare = std::function<Result<Measure>()>;

// Forks `count` children, each when the one before it is ready, lets them measure at the same time
// and joins what they saw. A child that fails fails all of them, one that hangs is killed.
// Not ready at the same time: SoftHSM 2.6.1 empties token.object at each login, gives up its lock
// and only then writes it anew, and who looks in between finds no token.
Result<Samples> in_children(unsigned count, const Timing& timing, const Prepare& prepare);

// A forked child that runs `body` and then leaves with its status; dies with this process.
pid_t fork_child(const std::function<int()>& body);
// Waits for its end; 0 where that was a clean one.
int reap(pid_t pid);

using Environment = std::vector<std::pair<std::string, std::string>>;

// A program that runs until this object dies. What it says goes to `log`.
class Program {
 public:
  static Result<Program> start(const std::vector<std::string>& command,
                               const Environment& environment, const std::string& log);
  Program(Program&& other) noexcept : pid_{std::exchange(other.pid_, 0)} {}
  Program& operator=(Program&&) = delete;
  Program(const Program&) = delete;  // A copy would end it under its twin.
  Program& operator=(const Program&) = delete;
  ~Program();

  bool runs() const;

 private:
  explicit Program(pid_t pid) : pid_{pid} {}
  pid_t pid_;
};

// Runs it to its end with `input` on standard input. Fails with what it said where its status is
// not 0.
Result<void> run_program(const std::vector<std::string>& command, const std::string& input = {});

}  // namespace hsm::bench
