// A PKCS#11 module that is another module, but for the faults it is told to have (plan.h).
//   HSM_FAULT_MODULE    the real module
//   HSM_FAULT_CONTROL   a file with rules, read again whenever it is replaced; may be absent.
//                       Beside it: FILE.struck (struck.h), FILE.rankN
//   HSM_FAULT_YUBIHSM   a directory: the token keeps to a YubiHSM's rules (yubihsm.h)
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <thread>
#include <tuple>
#include <utility>

#include "tests/fault_module/plan.h"
#include "tests/fault_module/struck.h"
#include "tests/fault_module/yubihsm.h"

namespace hsm::test::fault {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Effect = Rule::Effect;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "fault_module: %s\n", why.c_str());
  std::_Exit(99);
}

// The lowest number that no other process of this control file has; held until this one ends.
std::uint64_t take_rank(const std::string& control) {
  for (std::uint64_t rank = 0; rank < 256; ++rank) {
    const std::string path = control + ".rank" + std::to_string(rank);
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) give_up("cannot open " + path);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return rank;  // Never closed: the lock is the rank.
    ::close(fd);
  }
  give_up("too many processes");
}

// Overwrites what the heap has at random places.
void scribble(Triggers& triggers, std::uint64_t places) {
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[heap]") == std::string::npos) continue;
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    for (std::uint64_t i = 0; i < places; ++i)
      std::memset(reinterpret_cast<void*>(triggers.between(begin, end - 16)), 0x5a, 16);
    return;
  }
  give_up("there is no heap to scribble on");
}

class Faults {
 public:
  static Faults& get() {
    static Faults faults;
    return faults;
  }
  CK_FUNCTION_LIST& layer() { return layer_; }

  // What befalls a call before the module behind is asked.
  struct Verdict {
    std::optional<CK_RV> rv;
    std::vector<const Rule*> spoil;  // For what comes out.
  };
  Verdict before(std::string_view call);
  void after_sign(const Verdict& verdict, CK_BYTE* signature, CK_ULONG* length);
  CK_RV after_attributes(CK_ATTRIBUTE* attributes, CK_ULONG count);
  void opened(CK_SESSION_HANDLE session, CK_SLOT_ID slot) {
    sessions_.insert(session);
    slot_ = slot;
  }
  void closed(CK_SESSION_HANDLE session) { sessions_.erase(session); }
  bool full() {
    const Plan& plan = triggers_->plan();
    if (!plan.sessions || sessions_.size() < *plan.sessions) return false;
    struck_->count(plan.sessions_text());
    return true;
  }

 private:
  Faults();
  void reread();
  void die_of_idleness();
  void strike(const Rule& rule, Verdict& verdict);

  CK_FUNCTION_LIST layer_{};  // The real module, or a YubiHSM's rules over it.
  std::string control_;
  std::uint64_t rank_ = 0;
  struct stat seen_ {};
  std::unique_ptr<Triggers> triggers_ = std::make_unique<Triggers>(Plan{}, 0);
  std::optional<Struck> struck_;  // There is one where there are rules.
  std::set<CK_SESSION_HANDLE> sessions_;
  CK_SLOT_ID slot_ = 0;
  SteadyClock::time_point last_call_ = SteadyClock::now();
  SteadyClock::time_point removed_until_{};
};

Faults::Faults() {
  const char* path = std::getenv("HSM_FAULT_MODULE");
  void* library = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) give_up("HSM_FAULT_MODULE names no module");
  const auto get =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* real = nullptr;
  if (get == nullptr || get(&real) != CKR_OK) give_up("HSM_FAULT_MODULE is no PKCS#11 module");
  const char* yubihsm = std::getenv("HSM_FAULT_YUBIHSM");
  layer_ = yubihsm == nullptr ? *real : yubihsm_over(*real, yubihsm);
  if (const char* control = std::getenv("HSM_FAULT_CONTROL")) {
    control_ = control;
    rank_ = take_rank(control_);
    struck_.emplace(control_ + ".struck");
  }
}

// A file that was replaced (rename) or written to is another plan, with its counts from zero.
void Faults::reread() {
  if (control_.empty()) return;
  struct stat now {};
  if (::stat(control_.c_str(), &now) != 0) now = {};
  if (now.st_ino == seen_.st_ino && now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec && now.st_size == seen_.st_size)
    return;
  seen_ = now;
  std::ostringstream text;
  text << std::ifstream{control_}.rdbuf();
  auto parsed = Plan::parse(text.str());
  // A fault that is silently none would let every test pass.
  if (!parsed.error.empty()) give_up(control_ + ": " + parsed.error);
  // A fresh worker that meets the fate of the one before at the same call dies over and over.
  if (parsed.plan.seed == 0) parsed.plan.seed = static_cast<std::uint64_t>(::getpid());
  triggers_ = std::make_unique<Triggers>(std::move(parsed.plan), rank_);
  removed_until_ = {};
  struck_->begin(now.st_ctim);  // Of the rename, which is when the rules came.
}

void Faults::die_of_idleness() {
  const auto now = SteadyClock::now();
  const auto idle = now - std::exchange(last_call_, now);
  const Plan& plan = triggers_->plan();
  if (!plan.idle_ms || sessions_.empty() || idle < std::chrono::milliseconds{*plan.idle_ms}) return;
  struck_->count(plan.idle_text());
  sessions_.clear();
  layer_.C_CloseAllSessions(slot_);
}

void Faults::strike(const Rule& rule, Verdict& verdict) {
  if (rule.effect == Effect::logout && sessions_.empty()) return;
  if (!spoils_a_mac(rule.effect)) struck_->count(rule.text);
  switch (rule.effect) {
    case Effect::rv:
      verdict.rv = rule.first;
      return;
    case Effect::delay:
      std::this_thread::sleep_for(
          std::chrono::microseconds{triggers_->between(rule.first, rule.second)});
      return;
    case Effect::hang:
      for (;;) ::pause();
    case Effect::segv:
      ::raise(SIGSEGV);
      return;
    case Effect::abort:
      std::abort();
    case Effect::exit:
      ::_exit(0);  // A module that ends the process as if all was well.
    case Effect::scribble:
      scribble(*triggers_, rule.first);
      return;
    case Effect::logout:
      layer_.C_Logout(*sessions_.begin());
      return;
    case Effect::remove:
      removed_until_ = SteadyClock::now() + std::chrono::milliseconds{rule.first};
      return;
    case Effect::short_mac:
    case Effect::flip:
    case Effect::overrun:
      verdict.spoil.push_back(&rule);
  }
}

Faults::Verdict Faults::before(std::string_view call) {
  reread();
  die_of_idleness();
  Verdict verdict;
  for (const Rule* rule : triggers_->due(call)) strike(*rule, verdict);
  if (SteadyClock::now() < removed_until_) verdict.rv = CKR_DEVICE_REMOVED;
  return verdict;
}

void Faults::after_sign(const Verdict& verdict, CK_BYTE* signature, CK_ULONG* length) {
  if (signature == nullptr) return;
  for (const Rule* rule : verdict.spoil) {
    struck_->count(rule->text);
    if (rule->effect == Effect::short_mac) *length = *length - 1;
    if (rule->effect == Effect::flip) signature[0] ^= 1;
    if (rule->effect == Effect::overrun) std::memset(signature + *length, 0x5a, rule->first);
  }
}

CK_RV Faults::after_attributes(CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const std::string& withheld = triggers_->plan().withheld;
  for (CK_ATTRIBUTE& attribute : std::span{attributes, count}) {
    if (withheld.empty() || attribute.type != CKA_LABEL || attribute.pValue == nullptr) continue;
    if (std::string_view{static_cast<const char*>(attribute.pValue), attribute.ulValueLen} !=
        withheld)
      continue;
    struck_->count(triggers_->plan().withheld_text());
    attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    return CKR_ATTRIBUTE_TYPE_INVALID;
  }
  return CKR_OK;
}

template <std::size_t N>
struct Name {
  char text[N]{};
  constexpr Name(const char (&from)[N]) { std::copy_n(from, N, text); }  // NOLINT: a literal.
  constexpr bool operator==(std::string_view other) const { return other == text; }
};

template <Name name, auto member>
struct Hook;
template <Name name, class... A, CK_RV (*CK_FUNCTION_LIST::*member)(A...)>
struct Hook<name, member> {
  static CK_RV call(A... given) {
    Faults& faults = Faults::get();
    const Faults::Verdict verdict = faults.before(name.text);
    if (verdict.rv) return *verdict.rv;
    const auto arguments = std::tuple<A...>{given...};
    if constexpr (name == "C_OpenSession") {
      if (faults.full()) return CKR_SESSION_COUNT;
    }
    const CK_RV rv = (faults.layer().*member)(given...);
    if (rv != CKR_OK) return rv;
    if constexpr (name == "C_OpenSession")
      faults.opened(*std::get<4>(arguments), std::get<0>(arguments));
    if constexpr (name == "C_CloseSession") faults.closed(std::get<0>(arguments));
    if constexpr (name == "C_GetAttributeValue")
      return faults.after_attributes(std::get<2>(arguments), std::get<3>(arguments));
    if constexpr (name == "C_Sign")
      faults.after_sign(verdict, std::get<3>(arguments), std::get<4>(arguments));
    return rv;
  }
};

CK_FUNCTION_LIST hooked() {
  CK_FUNCTION_LIST list = Faults::get().layer();
#define HOOK(name) list.name = &Hook<#name, &CK_FUNCTION_LIST::name>::call;
  HSM_FAULT_HOOKED(HOOK)
#undef HOOK
  return list;
}

}  // namespace
}  // namespace hsm::test::fault

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  static CK_FUNCTION_LIST functions = hsm::test::fault::hooked();
  *list = &functions;
  return CKR_OK;
}
