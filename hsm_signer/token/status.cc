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

Result<WorkerStatus> parse_status(std::string_view line) {
  using Kind = WorkerStatus::Kind;
  for (const Kind kind :
       {Kind::ready, Kind::pin_refused, Kind::failed, Kind::has_signed, Kind::wrong_macs}) {
    if (!line.empty() && line.front() == static_cast<char>(kind))
      return WorkerStatus{kind, std::string{line.substr(1)}};
  }
  return fail(Code::internal, "a worker sent a status that is none");
}

}  // namespace hsm::token
