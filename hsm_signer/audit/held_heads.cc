#include "hsm_signer/audit/held_heads.h"

#include <utility>

namespace hsm::audit {
namespace {

constexpr std::string_view kBringBack =
    "; nothing was changed. Bring the audit directory back from a copy that is no older. Who "
    "cannot: "
    "run hsm-signerctl audit verify with --anchor on a copy to see what is missing, move the "
    "directory "
    "and the anchor away as evidence, and start once with --audit-lost (nonce marks are kept in "
    "the state)";

}  // namespace

HeldHeads::HeldHeads(std::string directory, const Head& sealed,
                     const std::vector<Anchored>& anchored)
    : directory_{std::move(directory)} {
  if (sealed.size != 0) wanted_.push_back({.head = sealed, .where = {}});
  for (const Anchored& known : anchored)
    wanted_.push_back({.head = known.head, .where = known.where});
}

void HeldHeads::see(const Tree& tree) {
  if (!begin_) begin_ = tree.size();
  for (Wanted& wanted : wanted_) {
    if (wanted.head.size == tree.size()) wanted.held = wanted.head.root == tree.root();
  }
}

Result<void> HeldHeads::verdict(const Tree& tree) const {
  for (const Wanted& wanted : wanted_) {
    if (!wanted.held) return fail(missed(wanted, tree));
  }
  return {};
}

Error HeldHeads::missed(const Wanted& wanted, const Tree& tree) const {
  const bool own = wanted.where.empty();
  const bool shorter = wanted.head.size > tree.size();
  const std::string_view what =
      own ? (shorter ? "the audit log is shorter than its last checkpoint"
                     : "the audit log differs from its last checkpoint")
          : (shorter ? "the audit log is shorter than it was when it was anchored"
                     : "the audit log is not the one that was anchored");
  const std::string size = std::to_string(wanted.head.size);
  if (!own && wanted.head.size < *begin_)
    return {.code = Code::audit_unavailable,
            .what = "the audit log was let go beyond what was anchored",
            .detail = directory_ + " begins behind record " + std::to_string(*begin_) +
                      ", the last note of " + wanted.where + " is over " + size +
                      "; bring the newer anchor back, or the segments before " +
                      std::to_string(*begin_) + " from the archive"};
  std::string detail =
      shorter ? directory_ + " has " + std::to_string(tree.size()) + " records of " + size
              : directory_ + " up to record " + size;
  if (!own) detail += ", by the last note of " + wanted.where;
  return {.code = Code::audit_unavailable,
          .what = what,
          .detail = std::move(detail) + std::string{own ? kRepair : kBringBack}};
}

}  // namespace hsm::audit
