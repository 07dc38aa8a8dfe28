#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <deque>
#include <functional>
#include <ostream>

#include "hsm_signer/audit/segments.h"
#include "hsm_signer/ctl/record_words.h"
#include "hsm_signer/ctl/verbs.h"

namespace hsm::ctl {
namespace {

// How late a line may be shown. The log has no other way to tell than to look.
constexpr int kLookEveryMs = 200;
// Lines gathered for one write.
constexpr std::size_t kGather = 64 * 1024;

// SIGINT and SIGTERM as something to poll, as long as this lives.
class Interrupts {
 public:
  static Result<Interrupts> take() {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGINT);
    ::sigaddset(&wanted, SIGTERM);
    Interrupts made;
    ::pthread_sigmask(SIG_BLOCK, &wanted, &made.before_);
    made.fd_ = OwnedFd{::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!made.fd_.valid()) return fail(os_error(Code::internal, "cannot wait for", "signals"));
    return made;
  }
  Interrupts(Interrupts&&) = default;
  Interrupts& operator=(Interrupts&&) = default;
  ~Interrupts() {
    if (!fd_.valid()) return;
    signalfd_siginfo taken{};  // It was obeyed: unblocked, it would kill.
    while (::read(fd_.get(), &taken, sizeof taken) > 0) continue;
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  int fd() const { return fd_.get(); }

 private:
  Interrupts() = default;
  OwnedFd fd_;
  sigset_t before_{};
};

// Standard output of somebody who may have gone away.
class Follower {
 public:
  // Where `put` is not empty it takes the place of standard output.
  using Put = std::function<bool(std::string_view)>;
  Follower(const Interrupts& interrupts, Put put) : interrupts_{interrupts}, put_{std::move(put)} {}

  // False where it is over: interrupted, or nobody reads any more.
  bool wait() { return poll_for(0, kLookEveryMs); }
  bool put(std::string_view text) {
    if (put_) return put_(text);
    while (!text.empty()) {
      if (!poll_for(POLLOUT, -1)) return false;
      // So much a pipe takes without blocking once it is writable (pipe(7)): a signal is obeyed
      // however slow the reader is.
      const ssize_t wrote =
          ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
      if (wrote < 0 && errno != EINTR && errno != EAGAIN) return false;
      if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return true;
  }

 private:
  bool poll_for(short output, int timeout_ms) {
    std::array<pollfd, 2> wanted{pollfd{interrupts_.fd(), POLLIN, 0},
                                 pollfd{STDOUT_FILENO, output, 0}};
    const int ready = ::poll(wanted.data(), wanted.size(), timeout_ms);
    if (ready < 0) return errno == EINTR;
    return wanted[0].revents == 0 && (wanted[1].revents & (POLLERR | POLLNVAL)) == 0;
  }

  const Interrupts& interrupts_;
  const Put put_;
};

// Lines for the journal; `failed` says why it took one no more.
bool put_in_journal(std::string_view lines, std::optional<Error>& failed) {
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    if (auto sent = send_to_journal(lines.substr(0, end)); !sent) {
      failed = std::move(sent).error();
      return false;
    }
    lines.remove_prefix(end + 1);
  }
  return true;
}

// What is there now: the last lines, or all behind a sequence. Leaves the reader at the end.
Result<void> read_present(audit::SegmentReader& reader, const TailOptions& options,
                          std::uint64_t after, const std::function<bool(std::string_view)>& put) {
  std::deque<std::string> last;
  for (;;) {
    TRY(const std::optional<audit::LogLine> line, reader.next());
    if (!line) break;
    if (!options.after.empty()) {
      if (line->seq > after && !put(std::string{line->text} + "\n")) return {};
      continue;
    }
    if (options.lines == 0) continue;
    if (last.size() == options.lines) last.pop_front();
    last.push_back(std::string{line->text} + "\n");
  }
  for (const std::string& line : last)
    if (!put(line)) return {};
  return {};
}

Result<void> follow(audit::SegmentReader& reader, Follower& follower) {
  while (follower.wait()) {
    TRY_VOID(reader.look_again());
    std::string gathered;
    for (;;) {
      TRY(const std::optional<audit::LogLine> line, reader.next());
      if (line) gathered.append(line->text).push_back('\n');
      if (line && gathered.size() < kGather) continue;
      if (!follower.put(gathered)) return {};
      if (!line) break;
      gathered.clear();
    }
  }
  return {};
}

Result<std::uint64_t> sequence_of(const std::string& after) {
  if (after.empty()) return std::uint64_t{0};
  std::uint64_t value = 0;
  const char* end = after.data() + after.size();
  if (const auto [at, error] = std::from_chars(after.data(), end, value);
      error != std::errc{} || at != end)
    return fail(Code::usage, "not a sequence", "--after");
  return value;
}

}  // namespace

Result<void> audit_tail(Context& context, const TailOptions& options) {
  TRY(const std::uint64_t after, sequence_of(options.after));
  TRY(audit::SegmentReader reader, audit::SegmentReader::open(options.directory));
  note_what_was_let_go(context, reader);
  std::optional<Error> failed;
  Follower::Put journal;
  if (options.journald)
    journal = [&failed](std::string_view lines) { return put_in_journal(lines, failed); };
  if (!options.follow) {
    TRY_VOID(read_present(reader, options, after, [&](std::string_view line) {
      if (journal) return journal(line);
      context.out() << line;
      return context.out().good();
    }));
    return failed ? Result<void>{fail(*failed)} : Result<void>{};
  }
  TRY(const Interrupts interrupts, Interrupts::take());
  Follower follower{interrupts, std::move(journal)};
  bool goes_on = true;
  TRY_VOID(read_present(reader, options, after, [&](std::string_view line) {
    goes_on = follower.put(line);
    return goes_on;
  }));
  if (goes_on) TRY_VOID(follow(reader, follower));
  return failed ? Result<void>{fail(*failed)} : Result<void>{};
}

}  // namespace hsm::ctl
