#include "hsm_signer/token/status.h"

#include <algorithm>
#include <climits>

#include "hsm_signer/base/os.h"

namespace hsm::token {

Result<void> send_status(int pipe, const WorkerStatus& status) {
  std::string line{static_cast<char>(status.kind)};
  line.append(status.sentence, 0, PIPE_BUF - 2);
  std::replace(line.begin(), line.end(), '\n', ' ');
  line.push_back('\n');
  return write_all(pipe, as_bytes(line), Code::internal, "the status pipe");
}

Result<WorkerStatus> parse_status(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || end == 0)
    return fail(Code::internal, "a worker ended without a word");
  const std::string sentence{text.substr(1, end - 1)};
  switch (text.front()) {
    case 'r':
      return WorkerStatus{WorkerStatus::Kind::ready, {}};
    case 'p':
      return WorkerStatus{WorkerStatus::Kind::pin_refused, sentence};
    case 'f':
      return WorkerStatus{WorkerStatus::Kind::failed, sentence};
    default:
      return fail(Code::internal, "a worker sent a status that is none");
  }
}

}  // namespace hsm::token
