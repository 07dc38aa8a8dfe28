// The tree over the log's lines, RFC 9162 section 2.1 (SHA-256), kept as a compact range: the roots
// of the perfect subtrees to the left of the next leaf, at most 64 of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hsm_signer/base/hash.h"

namespace hsm::audit {

// SHA-256(0x00 ‖ line), RFC 9162 section 2.1.1; the line without its newline.
Sha256 leaf_hash(std::string_view line);
// SHA-256(0x01 ‖ left ‖ right).
Sha256 node_hash(const Sha256& left, const Sha256& right);

// A value: copying one keeps a state to go back to.
class Tree {
 public:
  void append(const Sha256& leaf);
  std::uint64_t size() const { return size_; }
  // Of the empty tree: SHA-256 of nothing.
  Sha256 root() const;

  // The frontier: the roots of the perfect subtrees, largest first, one for each bit set in size().
  const std::vector<Sha256>& peaks() const { return peaks_; }
  // The tree that has these; nothing where there is not one for each bit.
  static std::optional<Tree> of_peaks(std::uint64_t size, std::vector<Sha256> peaks);
  // The tree over those of its leaves that are in [first, end), counted from 0; nothing where that
  // cuts a subtree in two.
  std::optional<Tree> part(std::uint64_t first, std::uint64_t end) const;

  bool operator==(const Tree&) const = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Sha256> peaks_;  // Largest subtree first; one for each bit set in size_.
};

}  // namespace hsm::audit
