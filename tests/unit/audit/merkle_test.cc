#include "hsm_signer/audit/merkle.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"

namespace hsm::audit {
namespace {

// RFC 9162 section 2.1.1 as it is written: split at the largest power of two below n.
Sha256 naive_root(std::span<const std::string> lines) {
  if (lines.empty()) return sha256({});
  if (lines.size() == 1) return leaf_hash(lines[0]);
  std::size_t split = 1;
  while (split * 2 < lines.size()) split *= 2;
  return node_hash(naive_root(lines.first(split)), naive_root(lines.subspan(split)));
}

// The leaves and roots that Certificate Transparency's implementations test with
// (google/certificate-transparency, merkletree/merkle_tree_test.cc).
TEST(AuditTree, HasTheRootsOfCertificateTransparency) {
  const std::vector<std::string_view> leaves{"",
                                             "00",
                                             "10",
                                             "2021",
                                             "3031",
                                             "40414243",
                                             "5051525354555657",
                                             "606162636465666768696a6b6c6d6e6f"};
  const std::vector<std::string_view> roots{
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Tree tree;
  EXPECT_EQ(hex_encode(tree.root()), roots[0]);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Result<Bytes> leaf = hex_decode(leaves[i]);
    ASSERT_TRUE(leaf.has_value());
    tree.append(leaf_hash(as_text(*leaf)));
    EXPECT_EQ(tree.size(), i + 1);
    EXPECT_EQ(hex_encode(tree.root()), roots[i + 1]);
  }
}

TEST(AuditTree, AgreesWithTheDefinitionAtEverySize) {
  std::vector<std::string> lines;
  Tree tree;
  for (int i = 0; i <= 300; ++i) {
    ASSERT_EQ(tree.root(), naive_root(lines)) << i;
    lines.push_back("line " + std::to_string(i * i));
    tree.append(leaf_hash(lines.back()));
  }
}

TEST(AuditTree, ACopyIsAStateToGoBackTo) {
  Tree tree;
  for (int i = 0; i < 7; ++i) tree.append(leaf_hash(std::to_string(i)));
  const Tree before = tree;
  const Sha256 root = tree.root();
  tree.append(leaf_hash("dropped"));
  EXPECT_NE(tree.root(), root);
  tree = before;
  EXPECT_EQ(tree.root(), root);
  EXPECT_EQ(tree.size(), 7U);
}

TEST(AuditTree, ALeafCannotPassForANode) {
  const Sha256 left = leaf_hash("a");
  const Sha256 right = leaf_hash("b");
  std::string joined{as_text(left)};
  joined += as_text(right);
  EXPECT_NE(leaf_hash(joined), node_hash(left, right));
}

}  // namespace
}  // namespace hsm::audit
