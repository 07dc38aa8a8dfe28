#include "hsm_signer/audit/merkle_proof.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace hsm::audit {
namespace {

// The largest power of two below n, for n > 1: where RFC 9162 splits a tree.
std::uint64_t split_of(std::uint64_t n) { return std::bit_floor(n - 1); }

tl::unexpected<Error> not_included(std::string_view why) {
  return fail(Code::verification_failed, "the proof does not lead to the root of the checkpoint",
              std::string{why});
}
tl::unexpected<Error> not_consistent(std::string_view why) {
  return fail(Code::verification_failed, "the proof does not lead from one tree to the other",
              std::string{why});
}

bool is_odd(std::uint64_t n) { return (n & 1) != 0; }

// Where a walk up the tree stands: a node's place at its height, and the last place there.
struct Place {
  std::uint64_t fn;
  std::uint64_t sn;
  void up() {
    fn >>= 1;
    sn >>= 1;
  }
  // Past the heights where the last node has no sibling and is its own parent.
  void up_to_sibling() {
    while (!is_odd(fn) && fn != 0) up();
  }
  bool is_right() const { return is_odd(fn) || fn == sn; }
};

}  // namespace

std::vector<LeafRange> inclusion_ranges(std::uint64_t index, std::uint64_t size) {
  std::vector<LeafRange> ranges;  // From the root down; the RFC has the leaf's sibling first.
  for (LeafRange tree{0, size}; tree.end - tree.first > 1;) {
    const std::uint64_t middle = tree.first + split_of(tree.end - tree.first);
    if (index < middle) {
      ranges.push_back({middle, tree.end});
      tree.end = middle;
    } else {
      ranges.push_back({tree.first, middle});
      tree.first = middle;
    }
  }
  std::reverse(ranges.begin(), ranges.end());
  return ranges;
}

std::vector<LeafRange> consistency_ranges(std::uint64_t from, std::uint64_t to) {
  if (from == 0 || from == to) return {};
  std::vector<LeafRange> ranges;
  LeafRange tree{0, to};
  bool whole = true;  // The tree is the first `from` leaves from their beginning on: b of the RFC.
  while (tree.end != from) {
    const std::uint64_t middle = tree.first + split_of(tree.end - tree.first);
    if (from <= middle) {
      ranges.push_back({middle, tree.end});
      tree.end = middle;
    } else {
      ranges.push_back({tree.first, middle});
      tree.first = middle;
      whole = false;
    }
  }
  if (!whole) ranges.push_back(tree);
  std::reverse(ranges.begin(), ranges.end());
  return ranges;
}

RangeRoots::RangeRoots(std::vector<LeafRange> ranges, const Tree& before)
    : ranges_{std::move(ranges)},
      ascending_(ranges_.size()),
      roots_(ranges_.size()),
      next_{before.size()} {
  std::iota(ascending_.begin(), ascending_.end(), 0);
  std::sort(ascending_.begin(), ascending_.end(),
            [this](std::size_t a, std::size_t b) { return ranges_[a].first < ranges_[b].first; });
  for (; current_ < ascending_.size(); ++current_) {
    const std::size_t place = ascending_[current_];
    const LeafRange& range = ranges_[place];
    tree_ = before.part(range.first, range.end).value_or(Tree{});
    if (range.end > next_) return;  // The rest of it is to come.
    roots_[place] = std::exchange(tree_, {}).root();
  }
}

void RangeRoots::append(const Sha256& leaf) {
  const std::uint64_t index = next_++;
  if (current_ == ascending_.size()) return;
  const std::size_t place = ascending_[current_];
  if (index < ranges_[place].first) return;
  tree_.append(leaf);
  if (next_ != ranges_[place].end) return;
  roots_[place] = tree_.root();
  tree_ = {};
  ++current_;
}

Result<void> check_inclusion(const Sha256& leaf, std::uint64_t index, std::uint64_t size,
                             std::span<const Sha256> path, const Sha256& root) {
  if (index >= size) return not_included("the record's number is beyond the checkpoint");
  Place place{index, size - 1};
  Sha256 hash = leaf;
  for (const Sha256& other : path) {
    if (place.sn == 0) return not_included("it is too long");
    if (place.is_right()) {
      hash = node_hash(other, hash);
      place.up_to_sibling();
    } else {
      hash = node_hash(hash, other);
    }
    place.up();
  }
  if (place.sn != 0) return not_included("it is too short");
  if (hash != root) return not_included("another root");
  return {};
}

namespace {

// Steps 2 to 7 of section 2.1.4.2, for 0 < from < to. Where `from` is a power of two, its root is a
// node of the larger tree, and the proof leaves it out.
Result<void> walk(const TreeHead& from, const TreeHead& to, std::span<const Sha256> path) {
  Place place{from.size - 1, to.size - 1};
  while (is_odd(place.fn)) place.up();
  const bool given = !std::has_single_bit(from.size);
  Sha256 first = given ? path.front() : from.root;
  Sha256 second = first;
  for (const Sha256& other : path.subspan(given ? 1 : 0)) {
    if (place.sn == 0) return not_consistent("it is too long");
    if (place.is_right()) {
      first = node_hash(other, first);
      second = node_hash(other, second);
      place.up_to_sibling();
    } else {
      second = node_hash(second, other);
    }
    place.up();
  }
  if (place.sn != 0) return not_consistent("it is too short");
  if (first != from.root) return not_consistent("another root of the smaller tree");
  if (second != to.root) return not_consistent("another root of the larger tree");
  return {};
}

}  // namespace

Result<void> check_consistency(const TreeHead& from, const TreeHead& to,
                               std::span<const Sha256> path) {
  if (from.size > to.size) return not_consistent("the first tree is the larger one");
  if (from.size == to.size) {
    if (!path.empty()) return not_consistent("it is too long");
    return from.root == to.root ? Result<void>{} : not_consistent("two roots of one size");
  }
  if (from.size == 0) {
    if (!path.empty()) return not_consistent("it is too long");
    return from.root == Tree{}.root() ? Result<void>{} : not_consistent("no empty tree");
  }
  if (path.empty()) return not_consistent("it is empty");
  return walk(from, to, path);
}

}  // namespace hsm::audit
