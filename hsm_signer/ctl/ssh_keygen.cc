#include "hsm_signer/ctl/ssh_keygen.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "hsm_signer/base/os.h"
#include "hsm_signer/officers/verify.h"

namespace hsm::ctl {
namespace {

constexpr std::size_t kSignatureLimit = 16 * 1024;

// Goes with all that is in it.
class PrivateDirectory {
 public:
  static Result<PrivateDirectory> make() {
    const char* base = std::getenv("TMPDIR");
    std::string path =
        std::string{base != nullptr && *base == '/' ? base : "/tmp"} + "/hsm-signerctl-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)  // 0700.
      return fail(os_error(Code::usage, "cannot make a private directory", path));
    return PrivateDirectory{std::move(path)};
  }
  PrivateDirectory(PrivateDirectory&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;
  ~PrivateDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit PrivateDirectory(std::string path) : path_{std::move(path)} {}
  std::string path_;
};

// Terminal and agent are the caller's; standard output is kept for the verb's own answer.
Result<void> run(const std::array<const char*, 9>& arguments) {
  const pid_t pid = ::fork();
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork for", arguments[0]));
  if (pid == 0) {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execvp(arguments[0], const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return fail(Code::usage, "there is no ssh-keygen on this machine", "install openssh-client");
  return fail(Code::usage, "ssh-keygen has not signed", "see what it said above");
}

}  // namespace

Result<officers::Signature> ssh_sign(const std::string& key_file, const std::string& text) {
  if (key_file.empty() || key_file.front() == '-')
    return fail(Code::usage, "name the officer's key file with --key");
  TRY(const PrivateDirectory directory, PrivateDirectory::make());
  const std::string file = directory.file("statement");
  TRY_VOID(write_file_atomic(file, as_bytes(text), 0600));
  const std::string name_space{officers::kNamespace};
  TRY_VOID(run({"ssh-keygen", "-Y", "sign", "-n", name_space.c_str(), "-f", key_file.c_str(),
                file.c_str(), nullptr}));
  TRY(const Bytes armored, read_file(file + ".sig", kSignatureLimit));
  TRY(officers::Signature signature, officers::Signature::from_text(as_text(armored)));
  const auto verified = officers::verify(signature, as_bytes(text), officers::kNamespace);
  if (!verified)
    return fail(Code::verification_failed, "the signature does not verify, or its key is not taken",
                verified.error().sentence());
  return signature;
}

}  // namespace hsm::ctl
