#include "tests/bench/children.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace hsm::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;  // For a child beyond the time that it measures.
constexpr auto kStopPatience = 5s;
constexpr std::size_t kOutputLimit = 16 * 1024;

struct Pipe {
  OwnedFd reads, writes;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(os_error(Code::internal, "cannot make a pipe", "child"));
  return Pipe{OwnedFd{ends[0]}, OwnedFd{ends[1]}};
}

// What a child says: kReady; then kDone, the rate, the count and the latencies, or kFailed and a
// sentence.
constexpr Byte kReady = 'r', kDone = 'd', kFailed = 'f';

template <class T>
ByteView raw(const T& value) {
  return {reinterpret_cast<const Byte*>(&value), sizeof value};
}

void tell(int pipe, ByteView bytes) {
  if (!write_all(pipe, bytes, Code::internal, "the report of a child")) ::_exit(1);
}

void tell_failure(int pipe, const Error& error) {
  tell(pipe, raw(kFailed));
  tell(pipe, as_bytes(error.sentence()));
}

void tell_samples(int pipe, const Samples& samples) {
  tell(pipe, raw(kDone));
  tell(pipe, raw(samples.per_second));
  tell(pipe, raw(samples.latencies_ns.size()));
  tell(pipe, {reinterpret_cast<const Byte*>(samples.latencies_ns.data()),
              samples.latencies_ns.size() * sizeof(std::uint32_t)});
}

// Returns so that what `prepare` holds is let go before the child leaves.
void measure_in_child(const Prepare& prepare, int report, Pipe& go) {
  go.writes.reset();  // Before `prepare` forks: whoever holds this end keeps all of us waiting.
  const Result<Measure> measure = prepare();
  if (!measure) return tell_failure(report, measure.error());
  tell(report, raw(kReady));
  Byte nothing = 0;
  while (::read(go.reads.get(), &nothing, 1) < 0 && errno == EINTR) {
  }
  const Result<Samples> samples = (*measure)();
  if (!samples) return tell_failure(report, samples.error());
  tell_samples(report, *samples);
}

// One child as its parent sees it.
class Child {
 public:
  Child(pid_t pid, OwnedFd report) : pid_{pid}, report_{std::move(report)} {}
  Child(Child&& other) noexcept
      : pid_{std::exchange(other.pid_, 0)}, report_{std::move(other.report_)} {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);  // Has left by itself, or hangs.
    reap(pid_);
  }

  Result<void> ready(Time until) { return said(kReady, until); }

  Result<Samples> samples(Time until) {
    TRY_VOID(said(kDone, until));
    Samples samples;
    std::size_t count = 0;
    TRY_VOID(read_value(samples.per_second, until));
    TRY_VOID(read_value(count, until));
    samples.latencies_ns.resize(count);
    TRY_VOID(read_all(
        {reinterpret_cast<Byte*>(samples.latencies_ns.data()), count * sizeof(std::uint32_t)},
        until));
    reap(std::exchange(pid_, 0));
    return samples;
  }

 private:
  Result<void> said(Byte expected, Time until) {
    Byte word = 0;
    TRY_VOID(read_value(word, until));
    if (word == expected) return {};
    std::string sentence;
    for (Byte letter = 0; sentence.size() < kOutputLimit && read_value(letter, until);)
      sentence.push_back(static_cast<char>(letter));
    return fail(Code::internal, "a measuring child failed", std::move(sentence));
  }

  template <class T>
  Result<void> read_value(T& value, Time until) {
    return read_all({reinterpret_cast<Byte*>(&value), sizeof value}, until);
  }

  Result<void> read_all(std::span<Byte> room, Time until) {
    while (!room.empty()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now()).count();
      pollfd watched{report_.get(), POLLIN, 0};
      const int there = left <= 0 ? 0 : ::poll(&watched, 1, static_cast<int>(left));
      if (there < 0 && errno == EINTR) continue;
      if (there <= 0)
        return fail(Code::deadline_exceeded, "a measuring child hangs and was killed");
      const ssize_t size = ::read(report_.get(), room.data(), room.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return fail(Code::internal, "a measuring child died without a word");
      room = room.subspan(static_cast<std::size_t>(size));
    }
    return {};
  }

  pid_t pid_;
  OwnedFd report_;
};

Result<Child> start_child(const Prepare& prepare, Pipe& go) {
  TRY(Pipe report, make_pipe());
  const pid_t pid = fork_child([&] {
    measure_in_child(prepare, report.writes.get(), go);
    return 0;
  });
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork", "a measuring child"));
  return Child{pid, std::move(report.reads)};
}

// A file in memory to stand for standard input or output.
Result<OwnedFd> memory_file(std::string_view content) {
  OwnedFd file{::memfd_create("hsm-bench", MFD_CLOEXEC)};
  if (!file.valid()) return fail(os_error(Code::internal, "cannot make a file in", "memory"));
  TRY_VOID(write_all(file.get(), as_bytes(content), Code::internal, "cannot write in memory"));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

pid_t fork_program(const std::vector<std::string>& command, const Environment& environment,
                   int input, int output) {
  return fork_child([&] {
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const std::string why = command[0] + ": " + std::strerror(errno) + "\n";
    (void)write_all(STDERR_FILENO, as_bytes(why), Code::internal, "why");
    return 127;
  });
}

}  // namespace

pid_t fork_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);  // p11-kit's client would die of its server's end without a word.
  ::_exit(body());
}

int reap(pid_t pid) {
  int how = 0;
  while (::waitpid(pid, &how, 0) < 0 && errno == EINTR) {
  }
  return how;
}

Result<Samples> in_children(unsigned count, const Timing& timing, const Prepare& prepare) {
  TRY(Pipe go, make_pipe());
  const Time until = now() + timing.warm_up + timing.measured + kPatience;
  std::vector<Child> children;
  for (unsigned i = 0; i < count; ++i) {
    TRY(Child child, start_child(prepare, go));
    TRY_VOID(child.ready(until));
    children.push_back(std::move(child));
  }
  go.writes.reset();
  Samples all;
  for (Child& child : children) {
    TRY(const Samples samples, child.samples(until));
    all.join(samples);
  }
  return all;
}

Result<Program> Program::start(const std::vector<std::string>& command,
                               const Environment& environment, const std::string& log) {
  const OwnedFd output{::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  if (!output.valid()) return fail(os_error(Code::internal, "cannot open the log", log));
  const pid_t pid = fork_program(command, environment, -1, output.get());
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork for", command[0]));
  return Program{pid};
}

bool Program::runs() const {
  siginfo_t info{};
  const int looked = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  return looked == 0 && info.si_pid == 0;
}

Program::~Program() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  const Time until = now() + kStopPatience;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (now() > until) ::kill(pid_, SIGKILL);
    std::this_thread::sleep_for(5ms);
  }
}

Result<void> run_program(const std::vector<std::string>& command, const std::string& input) {
  TRY(const OwnedFd in, memory_file(input));
  TRY(const OwnedFd out, memory_file({}));
  const pid_t pid = fork_program(command, {}, in.get(), out.get());
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork for", command[0]));
  const int how = reap(pid);
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return {};
  std::string said(kOutputLimit, '\0');
  const ssize_t size = ::pread(out.get(), said.data(), said.size(), 0);
  said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return fail(Code::internal, "a program failed", command[0] + ": " + said);
}

}  // namespace hsm::bench
