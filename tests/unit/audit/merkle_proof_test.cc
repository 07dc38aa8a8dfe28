#include "hsm_signer/audit/merkle_proof.h"

#include <string>

#include "tests/support/error_is.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

std::vector<Sha256> leaves(std::uint64_t count) {
  std::vector<Sha256> made;
  for (std::uint64_t i = 0; i < count; ++i) made.push_back(leaf_hash("line " + std::to_string(i)));
  return made;
}

Sha256 root_of(std::span<const Sha256> of) {
  Tree tree;
  for (const Sha256& leaf : of) tree.append(leaf);
  return tree.root();
}

TreeHead head(std::span<const Sha256> of, std::uint64_t size) {
  return {size, root_of(of.first(size))};
}

ProofPath collect(std::vector<LeafRange> ranges, std::span<const Sha256> of) {
  RangeRoots roots{std::move(ranges)};
  for (const Sha256& leaf : of) roots.append(leaf);
  return roots.take();
}

// PATH and SUBPROOF as RFC 9162 sections 2.1.3.1 and 2.1.4.1 write them, over leaves in memory.
std::size_t split(std::size_t n) {
  std::size_t k = 1;
  while (2 * k < n) k *= 2;
  return k;
}
ProofPath naive_path(std::size_t m, std::span<const Sha256> d) {
  if (d.size() == 1) return {};
  const std::size_t k = split(d.size());
  ProofPath path = m < k ? naive_path(m, d.first(k)) : naive_path(m - k, d.subspan(k));
  path.push_back(root_of(m < k ? d.subspan(k) : d.first(k)));
  return path;
}
ProofPath naive_subproof(std::size_t m, std::span<const Sha256> d, bool b) {
  if (m == d.size()) return b ? ProofPath{} : ProofPath{root_of(d)};
  const std::size_t k = split(d.size());
  ProofPath path =
      m <= k ? naive_subproof(m, d.first(k), b) : naive_subproof(m - k, d.subspan(k), false);
  path.push_back(root_of(m <= k ? d.subspan(k) : d.first(k)));
  return path;
}

constexpr std::uint64_t kMost = 70;

TEST(MerkleProof, IncludesEveryLeafOfEverySizeAsTheDefinitionHasIt) {
  const std::vector<Sha256> all = leaves(kMost);
  for (std::uint64_t size = 1; size <= kMost; ++size) {
    const std::span<const Sha256> tree = std::span{all}.first(size);
    const Sha256 root = root_of(tree);
    for (std::uint64_t index = 0; index < size; ++index) {
      const ProofPath path = collect(inclusion_ranges(index, size), tree);
      ASSERT_EQ(path, naive_path(index, tree)) << index << " of " << size;
      EXPECT_THAT(check_inclusion(all[index], index, size, path, root), Succeeds());
    }
  }
}

// Of leaves that were let go only their tree is there.
ProofPath collect_behind(std::uint64_t gone, std::vector<LeafRange> ranges,
                         std::span<const Sha256> of) {
  Tree before;
  for (const Sha256& leaf : of.first(gone)) before.append(leaf);
  RangeRoots roots{std::move(ranges), before};
  for (const Sha256& leaf : of.subspan(gone)) roots.append(leaf);
  return roots.take();
}

TEST(MerkleProof, IncludesWhatIsKeptBehindLeavesThatWereLetGo) {
  const std::vector<Sha256> all = leaves(40);
  for (std::uint64_t size = 1; size <= all.size(); ++size) {
    const std::span<const Sha256> tree = std::span{all}.first(size);
    for (std::uint64_t gone = 0; gone < size; ++gone)
      for (std::uint64_t index = gone; index < size; ++index)
        ASSERT_EQ(collect_behind(gone, inclusion_ranges(index, size), tree),
                  naive_path(index, tree))
            << index << " of " << size << " without " << gone;
  }
}

TEST(MerkleProof, LeadsFromWhatIsKeptBehindLeavesThatWereLetGo) {
  const std::vector<Sha256> all = leaves(40);
  for (std::uint64_t to = 1; to <= all.size(); ++to) {
    const std::span<const Sha256> tree = std::span{all}.first(to);
    for (std::uint64_t gone = 1; gone <= to; ++gone)
      for (std::uint64_t from = gone; from <= to; ++from)
        ASSERT_EQ(collect_behind(gone, consistency_ranges(from, to), tree),
                  naive_subproof(from, tree, true))
            << from << " in " << to << " without " << gone;
  }
}

TEST(MerkleProof, LeadsFromEverySizeToEveryLargerOneAsTheDefinitionHasIt) {
  const std::vector<Sha256> all = leaves(kMost);
  for (std::uint64_t to = 0; to <= kMost; ++to) {
    const std::span<const Sha256> tree = std::span{all}.first(to);
    for (std::uint64_t from = 0; from <= to; ++from) {
      const ProofPath path = collect(consistency_ranges(from, to), tree);
      if (from != 0) {
        ASSERT_EQ(path, naive_subproof(from, tree, true)) << from << " in " << to;
      }
      EXPECT_THAT(check_consistency(head(all, from), head(all, to), path), Succeeds())
          << from << " in " << to;
    }
  }
}

// The example of RFC 9162 section 2.1.5: a tree of seven leaves.
TEST(MerkleProof, HasTheRangesOfTheExampleInTheStandard) {
  using Ranges = std::vector<LeafRange>;
  EXPECT_EQ(inclusion_ranges(0, 7), (Ranges{{1, 2}, {2, 4}, {4, 7}}));
  EXPECT_EQ(inclusion_ranges(3, 7), (Ranges{{2, 3}, {0, 2}, {4, 7}}));
  EXPECT_EQ(inclusion_ranges(4, 7), (Ranges{{5, 6}, {6, 7}, {0, 4}}));
  EXPECT_EQ(inclusion_ranges(6, 7), (Ranges{{4, 6}, {0, 4}}));
  EXPECT_EQ(consistency_ranges(3, 7), (Ranges{{2, 3}, {3, 4}, {0, 2}, {4, 7}}));
  EXPECT_EQ(consistency_ranges(4, 7), (Ranges{{4, 7}}));
  EXPECT_EQ(consistency_ranges(6, 7), (Ranges{{4, 6}, {6, 7}, {0, 4}}));
}

TEST(MerkleProof, NeedsNoMoreThanALogOfTheLargestTree) {
  EXPECT_LE(inclusion_ranges(UINT64_MAX - 1, UINT64_MAX).size(), kProofPathLimit);
  EXPECT_LE(inclusion_ranges(0, UINT64_MAX).size(), kProofPathLimit);
  EXPECT_LE(consistency_ranges(UINT64_MAX - 1, UINT64_MAX).size(), kProofPathLimit);
}

TEST(MerkleProof, OfAnInclusionIsRefusedWhereAnythingWasChanged) {
  const std::vector<Sha256> all = leaves(13);
  const Sha256 root = root_of(all);
  for (std::uint64_t index = 0; index < all.size(); ++index) {
    const ProofPath path = collect(inclusion_ranges(index, all.size()), all);
    const auto check = [&](const Sha256& leaf, std::uint64_t at, std::uint64_t size,
                           const ProofPath& with, const Sha256& to) {
      EXPECT_THAT(check_inclusion(leaf, at, size, with, to), ErrorIs(Code::verification_failed));
    };
    check(leaf_hash("another"), index, all.size(), path, root);
    check(all[index], index, all.size(), path, leaf_hash("another root"));
    for (std::uint64_t other = 0; other <= all.size(); ++other)
      if (other != index) check(all[index], other, all.size(), path, root);
    for (std::size_t i = 0; i < path.size(); ++i) {
      ProofPath changed = path;
      changed[i][7] ^= 1;
      check(all[index], index, all.size(), changed, root);
      changed = path;
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      check(all[index], index, all.size(), changed, root);
      changed = path;
      changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), path[i]);
      check(all[index], index, all.size(), changed, root);
    }
    ProofPath longer = path;
    longer.push_back(root);
    check(all[index], index, all.size(), longer, root);
  }
  EXPECT_THAT(check_inclusion(all[0], 0, 0, {}, root), ErrorIs(Code::verification_failed));
}

TEST(MerkleProof, OfAConsistencyIsRefusedWhereAnythingWasChanged) {
  const std::vector<Sha256> all = leaves(13);
  std::vector<Sha256> other = all;
  other[2] = leaf_hash("rewritten");
  for (std::uint64_t from = 1; from < all.size(); ++from) {
    const ProofPath path = collect(consistency_ranges(from, all.size()), all);
    const TreeHead small = head(all, from);
    const TreeHead large = head(all, all.size());
    const auto check = [&](const TreeHead& first, const TreeHead& second, const ProofPath& with) {
      EXPECT_THAT(check_consistency(first, second, with), ErrorIs(Code::verification_failed))
          << from;
    };
    if (from > 2) check(head(other, from), large, path);
    check(small, head(other, other.size()), path);
    check(large, small, path);
    check({from, leaf_hash("x")}, large, path);
    check({from - 1, small.root}, large, path);
    check({from + 1, small.root}, large, path);
    for (std::size_t i = 0; i < path.size(); ++i) {
      ProofPath changed = path;
      changed[i][31] ^= 0x80;
      check(small, large, changed);
      changed = path;
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      check(small, large, changed);
    }
    ProofPath longer = path;
    longer.push_back(large.root);
    check(small, large, longer);
    check(small, large, {});
  }
}

// RFC 9162 stops there (step 4a of section 2.1.3.2, step 6a of 2.1.4.2), whatever the rest says.
TEST(MerkleProof, IsRefusedWhereItGoesOnBeyondTheRoot) {
  const std::vector<Sha256> all = leaves(2);
  const Sha256 root = root_of(all);
  const ProofPath path{all[1], root};
  EXPECT_THAT(check_inclusion(all[0], 0, 2, path, node_hash(root, root)),
              ErrorIs(Code::verification_failed, HasSubstr("too long")));
  EXPECT_THAT(check_consistency({1, all[0]}, {2, root}, path),
              ErrorIs(Code::verification_failed, HasSubstr("too long")));
}

TEST(MerkleProof, IsRefusedForAPlaceBehindTheLastLeaf) {
  const Sha256 leaf = leaf_hash("the only one");
  EXPECT_THAT(check_inclusion(leaf, 0, 1, {}, leaf), Succeeds());
  EXPECT_THAT(check_inclusion(leaf, 1, 1, {}, leaf),
              ErrorIs(Code::verification_failed, HasSubstr("beyond the checkpoint")));
}

TEST(MerkleProof, OfNothingIsHeldToItsRootsToo) {
  const std::vector<Sha256> all = leaves(3);
  const TreeHead whole = head(all, 3);
  EXPECT_THAT(check_consistency(whole, whole, {}), Succeeds());
  EXPECT_THAT(check_consistency({3, leaf_hash("x")}, whole, {}),
              ErrorIs(Code::verification_failed, HasSubstr("two roots of one size")));
  EXPECT_THAT(check_consistency({0, leaf_hash("x")}, whole, {}),
              ErrorIs(Code::verification_failed, HasSubstr("no empty tree")));
  const ProofPath more{whole.root};
  EXPECT_THAT(check_consistency(whole, whole, more), ErrorIs(Code::verification_failed));
  EXPECT_THAT(check_consistency({0, Tree{}.root()}, whole, more),
              ErrorIs(Code::verification_failed));
}

}  // namespace
}  // namespace hsm::audit
