#include "hsm_signer/audit/merkle.h"

#include <array>
#include <bit>

namespace hsm::audit {
namespace {

// RFC 9162 section 2.1.1: leaves and nodes differ in their first byte, so neither passes as the
// other.
constexpr std::array<Byte, 1> kLeafPrefix{0x00};
constexpr std::array<Byte, 1> kNodePrefix{0x01};

}  // namespace

Sha256 leaf_hash(std::string_view line) { return sha256(kLeafPrefix, as_bytes(line)); }

Sha256 node_hash(const Sha256& left, const Sha256& right) {
  return sha256(kNodePrefix, left, right);
}

void Tree::append(const Sha256& leaf) {
  peaks_.push_back(leaf);
  // As a binary counter carries: each trailing one of the old size is a subtree now complete.
  for (int carries = std::countr_one(size_); carries > 0; --carries) {
    const Sha256 right = peaks_.back();
    peaks_.pop_back();
    peaks_.back() = node_hash(peaks_.back(), right);
  }
  ++size_;
}

Sha256 Tree::root() const {
  if (peaks_.empty()) return sha256({});
  Sha256 root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i > 0; --i) root = node_hash(peaks_[i - 1], root);
  return root;
}

}  // namespace hsm::audit
