// Heads that a log has to hold, compared while its lines are read. Inside the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hsm_signer/audit/log.h"
#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

class HeldHeads {
 public:
  // `sealed`: of the log's last checkpoint; size 0: it has none.
  HeldHeads(std::string directory, const Head& sealed, const std::vector<Anchored>& anchored);

  // Before the first line that is there and after each.
  void see(const Tree& tree);
  // After the last: audit_unavailable, with what to do, where one of them is not held.
  Result<void> verdict(const Tree& tree) const;

 private:
  struct Wanted {
    Head head;
    std::string where;  // Empty: the log's last checkpoint.
    bool held = false;
  };
  Error missed(const Wanted& wanted, const Tree& tree) const;

  const std::string directory_;
  std::vector<Wanted> wanted_;
  std::optional<std::uint64_t> begin_;  // Records before the first line.
};

// What to do about a log whose own files contradict each other.
inline constexpr std::string_view kRepair =
    "; nothing was changed. Copy the directory, run hsm-signerctl audit verify on the copy to see "
    "what is missing, then move the directory away as evidence and start once with --audit-lost "
    "(nonce marks are kept in the state)";

}  // namespace hsm::audit
