#include "hsm_signer/ctl/confirm.h"

#include <fcntl.h>
#include <unistd.h>

#include "hsm_signer/base/os.h"

namespace hsm::ctl {

Result<void> confirm(const std::string& question, std::string_view otherwise) {
  const OwnedFd terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC)};
  if (::isatty(STDIN_FILENO) == 0 || !terminal.valid())
    return fail(Code::usage, "there is no terminal to ask on", "add --yes if you are sure");
  TRY_VOID(write_all(terminal.get(), as_bytes(question + " Type yes: "), Code::usage, "terminal"));
  std::string line(16, '\0');
  const ssize_t got = ::read(terminal.get(), line.data(), line.size());
  line.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (line == "yes\n") return {};
  return fail(Code::usage, otherwise);
}

}  // namespace hsm::ctl
