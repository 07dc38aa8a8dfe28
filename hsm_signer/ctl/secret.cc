#include "hsm_signer/ctl/secret.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "hsm_signer/base/os.h"
#include "hsm_signer/wire/blob.h"

namespace hsm::ctl {
namespace {

constexpr std::string_view kInstead =
    "leave it out and you are asked for it, or use --secret-file FILE ('-' is standard input)";
constexpr std::array<std::string_view, 6> kSecretOptions{
    "--secret", "--api-secret", "--key-secret", "--pin", "--password", "--passphrase"};

// GEMINI_API_SECRET, HSM_SIGNER_SECRET, MY_GEMINI_SECRET…
bool names_a_secret(std::string_view variable) {
  if (variable.find("SECRET") == std::string_view::npos) return false;
  return variable.find("GEMINI") != std::string_view::npos || variable.starts_with("HSM_") ||
         variable.find("API_SECRET") != std::string_view::npos;
}

volatile std::sig_atomic_t caught_signal = 0;
void catch_signal(int number) { caught_signal = number; }

// Echo off, and every signal that would leave it so held until it is on again.
class Quiet {
 public:
  explicit Quiet(int terminal) : terminal_{terminal} {
    caught_signal = 0;
    struct sigaction action {};
    action.sa_handler = catch_signal;
    sigset_t held;
    ::sigemptyset(&held);
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      ::sigaction(kSignals[i], &action, &before_signals_[i]);
      ::sigaddset(&held, kSignals[i]);
    }
    // Let through in wait() only: one that came just before a read() would leave it asleep.
    ::sigprocmask(SIG_BLOCK, &held, &before_mask_);
    quiet_ = ::tcgetattr(terminal_, &before_) == 0;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= ECHONL;
    quiet_ = quiet_ && ::tcsetattr(terminal_, TCSAFLUSH, &now) == 0;
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() {
    if (quiet_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      ::sigaction(kSignals[i], &before_signals_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &before_mask_, nullptr);
    if (caught_signal != 0) ::kill(::getpid(), caught_signal);
  }
  bool quiet() const { return quiet_; }
  // Until there is something to read; false: a signal came.
  bool wait() const {
    pollfd terminal{.fd = terminal_, .events = POLLIN, .revents = 0};
    while (caught_signal == 0) {
      if (::ppoll(&terminal, 1, nullptr, &before_mask_) > 0) return true;
      if (errno != EINTR) return true;  // read() will say what is wrong.
    }
    return false;
  }

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
  int terminal_;
  bool quiet_ = false;
  termios before_{};
  std::array<struct sigaction, kSignals.size()> before_signals_{};
  sigset_t before_mask_{};
};

Result<SecretBytes> read_line(int terminal, const Quiet& quiet) {
  SecretBytes line{wire::kSecretLimit + 1};
  std::size_t size = 0;
  for (;;) {
    Byte byte = 0;
    const ssize_t got = quiet.wait() ? ::read(terminal, &byte, 1) : -1;
    if (got < 0) return fail(Code::usage, "interrupted");
    if (got == 0 || byte == '\n') break;
    if (size == line.size())
      return fail(Code::too_large, "the secret is too long",
                  "the limit is " + std::to_string(wire::kSecretLimit) + " bytes");
    line.span()[size++] = byte;
  }
  line.truncate(size);
  return line;
}

Result<SecretBytes> ask(int terminal, const Quiet& quiet, std::string_view question) {
  TRY_VOID(write_all(terminal, as_bytes(question), Code::usage, "the terminal"));
  return read_line(terminal, quiet);
}

Result<SecretBytes> prompt() {
  const OwnedFd terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC)};
  if (!terminal.valid())
    return fail(Code::usage, "there is no terminal to ask for the secret",
                "use --secret-file FILE ('-' is standard input)");
  return prompt_twice(terminal.get());
}

}  // namespace

Result<void> refuse_secret_arguments(const std::vector<std::string_view>& arguments) {
  for (const std::string_view argument : arguments) {
    const std::string_view option = argument.substr(0, argument.find('='));
    if (std::find(kSecretOptions.begin(), kSecretOptions.end(), option) == kSecretOptions.end())
      continue;
    return fail(Code::usage, "a secret may not stand among the arguments",
                std::string{option} +
                    ": every process of this machine can read it there, and your shell keeps it; "
                    "take that one for known to others; " +
                    std::string{kInstead});
  }
  return {};
}

Result<void> refuse_secret_environment(const char* const* environment) {
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry{*environment};
    const std::string_view variable = entry.substr(0, entry.find('='));
    if (!names_a_secret(variable)) continue;
    return fail(
        Code::usage, "a secret may not stand in the environment",
        std::string{variable} + ": every child inherits it; unset it; " + std::string{kInstead});
  }
  return {};
}

Result<SecretBytes> prompt_twice(int terminal) {
  const Quiet quiet{terminal};
  if (!quiet.quiet())
    return fail(Code::usage, "the terminal cannot be kept from showing the secret",
                "use --secret-file FILE");
  TRY(SecretBytes first, ask(terminal, quiet, "API secret (not shown): "));
  TRY(const SecretBytes second, ask(terminal, quiet, "once more: "));
  if (!equal_constant_time(first.view(), second.view()))
    return fail(Code::usage, "the two entries differ", "nothing was done");
  return first;
}

Result<SecretBytes> read_secret(const std::string& file) {
  TRY_VOID(lock_down(LockMemory::where_allowed));
  TRY(SecretBytes secret, file.empty() ? prompt() : read_secret_file(file, wire::kSecretLimit + 1));
  return wire::canonical_secret(std::move(secret));
}

}  // namespace hsm::ctl
