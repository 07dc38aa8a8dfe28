#include "hsm_signer/confine/filter.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <type_traits>

#include "hsm_signer/base/os.h"
#include "hsm_signer/confine/calls.h"

namespace hsm::confine {
namespace {

constexpr std::string_view kKernel = "the kernel needs CONFIG_SECCOMP_FILTER";

std::uint32_t action(Violation violation) {
  // Trapped, not answered with an errno: the process is to say which call it was.
  return violation == Violation::fatal ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP;
}

scmp_arg_cmp compare(const Condition& condition) {
  if (condition.mask == kEveryBit) return {condition.argument, SCMP_CMP_EQ, condition.value, 0};
  return {condition.argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value};
}

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};

class Filter {
 public:
  static Result<Filter> create(std::uint32_t otherwise) {
    Filter filter{otherwise};
    if (filter.context_ == nullptr)
      return fail(Code::internal, "cannot make a seccomp filter", std::string{kKernel});
    // Another architecture's calls (i386, x32) have other numbers: they are no way around this.
    TRY_VOID(filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    TRY_VOID(filter.set(SCMP_FLTATR_CTL_TSYNC, 1));
    return filter;
  }

  Result<void> add(std::uint32_t what, const Rule& rule) {
    const int number = ::seccomp_syscall_resolve_name(rule.call);
    if (number < 0) return {};  // Of another processor or a younger kernel than libseccomp knows.
    const scmp_arg_cmp comparison = rule.condition ? compare(*rule.condition) : scmp_arg_cmp{};
    const int error =
        ::seccomp_rule_add_array(context_.get(), what, number, rule.condition ? 1 : 0, &comparison);
    if (error == 0 || error == -EEXIST) return {};
    return fail(os_error(Code::internal, "cannot filter a system call", rule.call, -error));
  }

  Result<void> load() {
    const int error = ::seccomp_load(context_.get());
    if (error == 0) return {};
    return fail(os_error(Code::internal, "cannot load a seccomp filter", kKernel, -error));
  }

  Result<Bytes> compiled() {
    const OwnedFd file{::memfd_create("filter", MFD_CLOEXEC)};
    const int error = file.valid() ? ::seccomp_export_bpf(context_.get(), file.get()) : -errno;
    if (error != 0)
      return fail(os_error(Code::internal, "cannot export a seccomp filter", "memfd", -error));
    Bytes program(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)));
    if (::pread(file.get(), program.data(), program.size(), 0) !=
        static_cast<ssize_t>(program.size()))
      return fail(os_error(Code::internal, "cannot read a seccomp filter", "memfd"));
    return program;
  }

 private:
  explicit Filter(std::uint32_t otherwise) : context_{::seccomp_init(otherwise)} {}

  Result<void> set(scmp_filter_attr attribute, std::uint32_t value) {
    const int error = ::seccomp_attr_set(context_.get(), attribute, value);
    if (error == 0) return {};
    return fail(
        os_error(Code::internal, "cannot set up a seccomp filter", "seccomp_attr_set", -error));
  }

  std::unique_ptr<void, Release> context_;
};

// abort(3) and what else signals the own threads. Who starts others hands its filter down to them,
// and their numbers are not known yet: there Landlock keeps signals within the family.
Rule rule_of_signals_to_oneself(std::span<const Calls> groups) {
  const bool starts_others =
      std::find(groups.begin(), groups.end(), Calls::processes) != groups.end();
  if (starts_others) return {.call = "tgkill"};
  const auto own = static_cast<std::uint64_t>(::getpid());
  return {"tgkill", Condition{0, kEveryBit, own}};
}

Result<Filter> allow_list(std::span<const Calls> groups, Violation violation) {
  TRY(Filter filter, Filter::create(action(violation)));
  for (const Calls group : groups) {
    for (const Rule& rule : rules_of(group)) TRY_VOID(filter.add(SCMP_ACT_ALLOW, rule));
  }
  for (const char* const call : answered_enosys())
    TRY_VOID(filter.add(SCMP_ACT_ERRNO(ENOSYS), {.call = call}));
  TRY_VOID(filter.add(SCMP_ACT_ALLOW, rule_of_signals_to_oneself(groups)));
  return filter;
}

}  // namespace

Result<void> load_allow_list(std::span<const Calls> groups, Violation violation) {
  TRY(Filter filter, allow_list(groups, violation));
  return filter.load();
}

Result<Bytes> compiled_allow_list(std::span<const Calls> groups, Violation violation) {
  TRY(Filter filter, allow_list(groups, violation));
  return filter.compiled();
}

Result<void> load_no_new_code(Violation violation) {
  TRY(Filter filter, Filter::create(SCMP_ACT_ALLOW));
  for (const char* const call : kMakesCode)
    TRY_VOID(filter.add(action(violation),
                        {call, Condition{kProtectionArgument, PROT_EXEC, PROT_EXEC}}));
  return filter.load();
}

}  // namespace hsm::confine
