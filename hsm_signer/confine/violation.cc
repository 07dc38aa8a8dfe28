#include "hsm_signer/confine/violation.h"

#include <seccomp.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/confine/calls.h"

namespace hsm::confine {
namespace {

// A trap may come in the middle of malloc(3): the handler allocates nothing, names are looked up
// beforehand.
struct Known {
  std::array<char, 32> name{};
  int argument = -1;  // By which it is judged; -1: by none.
  std::atomic<bool> said = false;
};
constexpr std::size_t kCalls = 512;  // The highest number of today is below 480.
std::array<Known, kCalls>& table() {
  static std::array<Known, kCalls> known;
  return known;
}

#if defined(__x86_64__)
std::uint64_t argument_of(const ucontext_t& context, int index) {
  constexpr std::array kRegisters{REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  return static_cast<std::uint64_t>(
      context.uc_mcontext.gregs[kRegisters[static_cast<std::size_t>(index)]]);
}
void answer(ucontext_t& context, int error) { context.uc_mcontext.gregs[REG_RAX] = -error; }
#elif defined(__aarch64__)
std::uint64_t argument_of(const ucontext_t& context, int index) {
  return context.uc_mcontext.regs[index];
}
void answer(ucontext_t& context, int error) {
  context.uc_mcontext.regs[0] = static_cast<std::uint64_t>(-error);
}
#else
#error "Say where this processor has the arguments and the result of a system call."
#endif

class Text {
 public:
  Text& add(std::string_view part) {
    const std::size_t size = std::min(part.size(), bytes_.size() - size_);
    std::memcpy(bytes_.data() + size_, part.data(), size);
    size_ += size;
    return *this;
  }
  Text& add(std::uint64_t number, int base) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
    return add({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, 256> bytes_;
  std::size_t size_ = 0;
};

void say(const Known* known, int number, const ucontext_t& context) {
  Text text;
  text.add("system call ");
  if (known != nullptr && known->name[0] != '\0') {
    text.add(known->name.data());
  } else {
    text.add("number ").add(static_cast<std::uint64_t>(number), 10);
  }
  if (known != nullptr && known->argument >= 0) {
    text.add(" (argument ").add(static_cast<std::uint64_t>(known->argument) + 1, 10);
    text.add(": 0x").add(argument_of(context, known->argument), 16).add(")");
  }
  text.add(" is outside the filter and failed with EPERM; in production mode it would be fatal");
  log_in_signal_handler(Level::error, "confinement_violation", text.view());
}

void on_trap(int, siginfo_t* info, void* opaque) {
  const int before = errno;
  auto& context = *static_cast<ucontext_t*>(opaque);
  const int number = info->si_syscall;
  const bool listed = number >= 0 && static_cast<std::size_t>(number) < kCalls;
  Known* const known = listed ? &table()[static_cast<std::size_t>(number)] : nullptr;
  if (known == nullptr || !known->said.exchange(true)) say(known, number, context);
  answer(context, EPERM);
  errno = before;
}

void learn_names() {
  for (std::size_t number = 0; number < kCalls; ++number) {
    char* const name =
        ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number));
    if (name == nullptr) continue;
    std::strncpy(table()[number].name.data(), name, table()[number].name.size() - 1);
    std::free(name);
  }
}

void learn_arguments() {
  for (const Rule& rule : every_rule()) {
    const int number = ::seccomp_syscall_resolve_name(rule.call);
    if (!rule.condition || number < 0 || static_cast<std::size_t>(number) >= kCalls) continue;
    table()[static_cast<std::size_t>(number)].argument = static_cast<int>(rule.condition->argument);
  }
}

}  // namespace

Result<void> install_loud_handler() {
  learn_names();
  learn_arguments();
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;  // The handler's own calls may trap too.
  ::sigemptyset(&action.sa_mask);
  sigset_t trap;
  ::sigemptyset(&trap);
  ::sigaddset(&trap, SIGSYS);
  // A blocked SIGSYS would kill where it should speak.
  if (::sigaction(SIGSYS, &action, nullptr) != 0 || ::sigprocmask(SIG_UNBLOCK, &trap, nullptr) != 0)
    return fail(os_error(Code::internal, "cannot make violations loud", "SIGSYS"));
  return {};
}

}  // namespace hsm::confine
