#include "hsm_signer/confine/confine.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "hsm_signer/base/log.h"
#include "hsm_signer/confine/filter.h"
#include "hsm_signer/confine/landlock.h"
#include "hsm_signer/confine/violation.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HSM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define HSM_SANITIZED 1
#endif
#endif

namespace hsm::confine {
namespace {

#ifdef HSM_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

Result<void> check_single_thread() {
  std::error_code error;
  const std::filesystem::directory_iterator threads{"/proc/self/task", error};
  if (error) return {};  // Without /proc nobody can tell.
  if (std::distance(begin(threads), end(threads)) == 1) return {};
  return fail(Code::internal, "confined too late", "another thread runs already");
}

// What holds of files, for the log.
Result<std::string> limit_files(const Confinement& confinement) {
  const int abi = landlock_abi();
  if (abi == 0)
    return std::string{"no Landlock ("} + std::strerror(errno) +
           "), so file modes alone guard files";
  TRY_VOID(restrict_self(confinement, abi));
  return "Landlock ABI " + std::to_string(abi);
}

Result<void> limit_calls(const Confinement& confinement) {
  if (confinement.violation == Violation::loud) TRY_VOID(install_loud_handler());
  return load_allow_list(confinement.calls, confinement.violation);
}

std::string_view name(Violation violation) {
  return violation == Violation::fatal ? "fatal" : "loud";
}

}  // namespace

bool is_built_to_confine() { return !kSanitized; }

std::vector<std::string> common_reads() {
  return {"/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/dev/null"};
}

Result<void> confine(const Confinement& confinement) {
  if (kSanitized) {
    if (confinement.announce)
      log(Level::warning, "not_confined", "a build with a sanitizer cannot run under the filter");
    return {};
  }
  TRY_VOID(check_single_thread());
  TRY(const std::string files, limit_files(confinement));
  const Result<void> limited = limit_calls(confinement);
  if (!limited && confinement.violation == Violation::fatal) return limited;
  if (!limited)
    log(Level::warning, "not_confined", limited.error().sentence() + "; files: " + files);
  if (limited && confinement.announce)
    log(Level::notice, "confined",
        "seccomp, violations " + std::string{name(confinement.violation)} + "; " + files);
  return {};
}

Result<void> forbid_new_code(Violation violation) {
  if (kSanitized) return {};
  const Result<void> forbidden = load_no_new_code(violation);
  if (!forbidden && violation == Violation::fatal) return forbidden;
  if (!forbidden) log(Level::warning, "not_confined", forbidden.error().sentence());
  return {};
}

}  // namespace hsm::confine
