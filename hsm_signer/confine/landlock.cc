#include "hsm_signer/confine/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"

namespace hsm::confine {
namespace {

// Debian 12's header ends with ABI 2; the names are those of later ones.
constexpr std::uint64_t kTruncate = 1ULL << 14;     // LANDLOCK_ACCESS_FS_TRUNCATE, ABI 3.
constexpr std::uint64_t kIoctlDevice = 1ULL << 15;  // LANDLOCK_ACCESS_FS_IOCTL_DEV, ABI 5.
constexpr std::uint64_t kBindTcp = 1ULL << 0;
constexpr std::uint64_t kConnectTcp = 1ULL << 1;     // Both of ABI 4.
constexpr std::uint64_t kScopeAbstract = 1ULL << 0;  // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, ABI 6.
constexpr std::uint64_t kScopeSignal = 1ULL << 1;    // LANDLOCK_SCOPE_SIGNAL, ABI 6.
constexpr int kTruncateAbi = 3, kTcpAbi = 4, kIoctlAbi = 5, kScopeAbi = 6;

struct RulesetAttributes {  // landlock_ruleset_attr of ABI 6; each older kernel knows a beginning.
  std::uint64_t files;
  std::uint64_t net;
  std::uint64_t scoped;
};

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kMakeSocket = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
constexpr std::uint64_t kMakeFiles = LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr std::uint64_t kEveryWrite = kWriteFile | kMakeFiles | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                      LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
// All that may be granted for what is no directory.
constexpr std::uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | kWriteFile | kIoctlDevice;

std::uint64_t known_to(int abi) {
  std::uint64_t known = LANDLOCK_ACCESS_FS_EXECUTE | kRead | kEveryWrite | kIoctlDevice;
  if (abi < 2) known &= ~static_cast<std::uint64_t>(LANDLOCK_ACCESS_FS_REFER);
  if (abi < kTruncateAbi) known &= ~kTruncate;
  if (abi < kIoctlAbi) known &= ~kIoctlDevice;
  return known;
}

std::uint64_t handled_files(const Paths& paths) {
  // Nobody executes what is not named. REFER is denied unless it is handled and granted.
  std::uint64_t handled = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REFER;
  if (paths.limit_reads) handled |= kRead | kIoctlDevice;
  if (paths.limit_writes) handled |= kEveryWrite;
  return handled;
}

// A service manager may listen at an abstract address (sd_notify(3)): then the scope would cut it
// off.
bool is_notified_abstractly() {
  const char* const address = std::getenv("NOTIFY_SOCKET");
  return address != nullptr && address[0] == '@';
}

class Ruleset {
 public:
  static Result<Ruleset> create(const Confinement& confinement, int abi) {
    RulesetAttributes attributes{handled_files(confinement.paths) & known_to(abi), 0, 0};
    const auto& calls = confinement.calls;
    const bool network = std::find(calls.begin(), calls.end(), Calls::network) != calls.end();
    if (abi >= kTcpAbi && !network) attributes.net = kBindTcp | kConnectTcp;
    if (abi >= kScopeAbi)
      attributes.scoped = kScopeSignal | (is_notified_abstractly() ? 0 : kScopeAbstract);
    const std::size_t size = abi >= kScopeAbi ? 24 : abi >= kTcpAbi ? 16 : 8;
    OwnedFd fd{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0))};
    if (!fd.valid())
      return fail(
          os_error(Code::internal, "cannot make a Landlock ruleset", "ABI " + std::to_string(abi)));
    return Ruleset{std::move(fd), attributes.files};
  }

  // What is not there is passed over: who needs it says so in its own words.
  Result<void> grant(const std::string& path, std::uint64_t access) {
    const OwnedFd parent{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    if (!parent.valid()) return {};
    struct stat status {};
    if (::fstat(parent.get(), &status) != 0)
      return fail(os_error(Code::internal, "cannot stat", path));
    access &= handled_;
    if (!S_ISDIR(status.st_mode)) access &= kOfFiles;
    if (access == 0) return {};
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = parent.get();
    if (::syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
      return fail(os_error(Code::internal, "cannot add a Landlock rule", path));
    return {};
  }

  Result<void> restrict_self() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        ::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0)
      return {};
    return fail(os_error(Code::internal, "cannot be confined by Landlock", "restrict_self"));
  }

 private:
  Ruleset(OwnedFd fd, std::uint64_t handled) : fd_{std::move(fd)}, handled_{handled} {}

  OwnedFd fd_;
  std::uint64_t handled_;
};

}  // namespace

int landlock_abi() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

Result<void> restrict_self(const Confinement& confinement, int abi) {
  const Paths& paths = confinement.paths;
  TRY(Ruleset ruleset, Ruleset::create(confinement, abi));
  for (const std::string& path : paths.read) TRY_VOID(ruleset.grant(path, kRead));
  for (const std::string& path : paths.write)
    TRY_VOID(ruleset.grant(path, kRead | kWriteFile | kMakeFiles));
  for (const std::string& path : paths.devices)
    TRY_VOID(ruleset.grant(path, LANDLOCK_ACCESS_FS_READ_FILE | kWriteFile));
  for (const std::string& path : paths.sockets) TRY_VOID(ruleset.grant(path, kMakeSocket));
  for (const std::string& path : paths.execute)
    TRY_VOID(ruleset.grant(path, LANDLOCK_ACCESS_FS_EXECUTE));
  if (!paths.limit_writes) TRY_VOID(ruleset.grant("/", LANDLOCK_ACCESS_FS_REFER));
  return ruleset.restrict_self();
}

}  // namespace hsm::confine
