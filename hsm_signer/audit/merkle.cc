#include "hsm_signer/audit/merkle.h"

#include <array>
#include <bit>
#include <utility>

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

std::optional<Tree> Tree::of_peaks(std::uint64_t size, std::vector<Sha256> peaks) {
  if (std::cmp_not_equal(std::popcount(size), peaks.size())) return std::nullopt;
  Tree tree;
  tree.size_ = size;
  tree.peaks_ = std::move(peaks);
  return tree;
}

std::optional<Tree> Tree::part(std::uint64_t first, std::uint64_t end) const {
  Tree part;
  std::uint64_t begin = 0;  // Of the subtree that comes next.
  std::uint64_t rest = size_;
  for (const Sha256& peak : peaks_) {
    const std::uint64_t leaves = std::bit_floor(rest);
    const bool outside = begin + leaves <= first || begin >= end;
    if (!outside && (begin < first || begin + leaves > end)) return std::nullopt;
    if (!outside) {
      part.peaks_.push_back(peak);
      part.size_ += leaves;
    }
    begin += leaves;
    rest -= leaves;
  }
  return part;
}

}  // namespace hsm::audit
