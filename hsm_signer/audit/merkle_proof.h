// Proofs over the tree of merkle.h: that a leaf is in it (RFC 9162 section 2.1.3) and that one tree
// is the beginning of another (section 2.1.4). Pure: hashes in, hashes out.
//
// A proof is a list of roots, each over a range of leaves next to each other; the ranges of one
// proof do not overlap. So one pass over the leaves makes it, holding a Tree at a time:
//
//   RangeRoots roots{inclusion_ranges(index, size)};
//   for each leaf: roots.append(leaf);
//   roots.take()    the path, in the order in which the RFC has it
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hsm_signer/audit/merkle.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

using ProofPath = std::vector<Sha256>;
// 64 for an inclusion, one more for a consistency.
inline constexpr std::size_t kProofPathLimit = 65;

// Leaves first, first + 1, …, end - 1, counted from 0.
struct LeafRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  bool operator==(const LeafRange&) const = default;
};

// PATH(index, D[size]), section 2.1.3.1; index < size.
std::vector<LeafRange> inclusion_ranges(std::uint64_t index, std::uint64_t size);
// PROOF(from, D[to]), section 2.1.4.1; nothing for 0 = from or from = to, where there is nothing to
// prove; from <= to.
std::vector<LeafRange> consistency_ranges(std::uint64_t from, std::uint64_t to);

class RangeRoots {
 public:
  // `before`: of the leaves that are not there to be given. What a range has of them are whole
  // subtrees of it wherever a proof is of or from what comes behind.
  explicit RangeRoots(std::vector<LeafRange> ranges, const Tree& before = {});
  // The next leaf, from the first one behind those on.
  void append(const Sha256& leaf);
  // In the order of the ranges as given. After the last leaf of the last range.
  ProofPath take() { return std::move(roots_); }

 private:
  std::vector<LeafRange> ranges_;
  std::vector<std::size_t> ascending_;  // Places in ranges_, by first leaf.
  ProofPath roots_;
  std::size_t current_ = 0;  // In ascending_.
  std::uint64_t next_ = 0;
  Tree tree_;  // Over what came of the current range.
};

// Section 2.1.3.2. verification_failed where it does not hold.
Result<void> check_inclusion(const Sha256& leaf, std::uint64_t index, std::uint64_t size,
                             std::span<const Sha256> path, const Sha256& root);

struct TreeHead {
  std::uint64_t size = 0;
  Sha256 root{};
  bool operator==(const TreeHead&) const = default;
};
// Section 2.1.4.2. verification_failed where it does not hold.
Result<void> check_consistency(const TreeHead& from, const TreeHead& to,
                               std::span<const Sha256> path);

}  // namespace hsm::audit
