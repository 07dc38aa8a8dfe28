#include "hsm_signer/audit/retired.h"

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

Tree tree_of(std::uint64_t size) {
  Tree tree;
  for (std::uint64_t i = 0; i < size; ++i) tree.append(leaf_hash("line " + std::to_string(i)));
  return tree;
}

Retired sample() {
  return {.kept_from = 13,
          .tree = tree_of(5),
          .workers = {{.worker = 7, .last = 4, .recorded = 3, .confirmed = 2, .seq = 5},
                      {.worker = kWorker,
                       .last = 9,
                       .recorded = 9,
                       .confirmed = 9,
                       .seq = 4,
                       .digest = sha256(as_bytes("all of them"))}},
          .nonces = {{.api_key_id = "account-AbC123", .nonce = "1763925302123", .unspent = 3},
                     {.api_key_id = "account-b", .nonce = "5.25", .unspent = 0}}};
}

std::string text_of(const Retired& retired) {
  const auto text = retired_text(retired);
  EXPECT_THAT(text, Succeeds());
  return text.value_or("");
}

std::string replaced(std::string text, std::string_view old, std::string_view with) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, text.npos) << old;
  return text.replace(at, old.size(), with);
}

TEST(RetiredState, IsReadAsItWasWritten) {
  const Retired retired = sample();
  const auto read = parse_retired(text_of(retired));
  ASSERT_THAT(read, Succeeds());
  EXPECT_EQ(*read, retired);
}

TEST(RetiredState, HasOneLineAsTheManualShowsIt) {
  Retired retired = sample();
  retired.tree = tree_of(1);
  retired.workers = {{.worker = 7, .last = 4, .recorded = 3, .confirmed = 2, .seq = 1}};
  retired.nonces.pop_back();
  EXPECT_EQ(text_of(retired),
            R"({"v":1,"kept_from":13,"records":1,"tree":[")" + hex_encode(leaf_hash("line 0")) +
                R"("],"workers":[{"worker":"0000000000000007","last":4,"recorded":3,)"
                R"("confirmed":2,"seq":1,"digest":""}],"nonces":[)"
                R"({"api_key_id":"account-AbC123","nonce":"1763925302123","unspent":3}]})"
                "\n");
}

TEST(RetiredState, BringsBackTheTreeOfEverySize) {
  for (std::uint64_t size = 1; size <= 70; ++size) {
    const auto read = parse_retired(text_of({.kept_from = 2, .tree = tree_of(size)}));
    ASSERT_THAT(read, Succeeds());
    EXPECT_EQ(read->records(), size);
    EXPECT_EQ(read->tree.root(), tree_of(size).root());
    Tree grown = read->tree;
    grown.append(leaf_hash("line " + std::to_string(size)));
    EXPECT_EQ(grown.root(), tree_of(size + 1).root()) << size;
  }
}

TEST(RetiredState, IsRefusedInAnyOtherSpelling) {
  const std::string text = text_of(sample());
  const std::string peak = hex_encode(sample().tree.peaks()[0]);
  for (const auto& [old, with] : std::vector<std::pair<std::string, std::string>>{
           {"{\"v\":1", "{\"v\":2"},
           {"\"kept_from\":13", "\"kept_from\":1"},
           {"\"kept_from\":13", "\"kept_from\":013"},
           {"\"kept_from\":13", "\"kept_from\":-13"},
           {"\"records\":5", "\"records\":0"},
           {"\"records\":5", "\"records\":7"},
           {"\"records\":5", "\"records\":4"},
           {"\"records\":5", "\"records\":18446744073709551616"},
           {"\"" + peak + "\",", ""},
           {peak, peak.substr(2)},
           {peak.substr(0, 4), "ABCD"},
           {"\"tree\":[", "\"tree\":[,"},
           {"\"tree\":[", "\"tree\":[]"},
           {"\"last\":4", "\"last\":2"},
           {"\"confirmed\":2", "\"confirmed\":4"},
           {"\"seq\":5", "\"seq\":6"},
           {"\"digest\":\"\"", "\"digest\":\"00\""},
           {"\"worker\":\"0000000000000007\"", "\"worker\":\"7\""},
           {"\"worker\":\"0000000000000007\"", "\"worker\":\"ffffffffffffffff\""},
           {"\"worker\":\"0000000000000007\"", "\"worker\":\"00f3a19c44d2be71\""},
           {"account-AbC123", "account-c"},
           {"account-AbC123", "account-b"},
           {"account-AbC123", ""},
           {"account-AbC123", "\\u001b[2J"},
           {"1763925302123", "-1"},
           {"1763925302123", ""},
           {"\"unspent\":3", "\"unspent\":3,\"more\":1"},
           {"\"unspent\":3}", "\"unspent\":3},"},
           {"},{", "}, {"},
           {",\"nonces\"", ",\"extra\":[],\"nonces\""},
           {"]}\n", "]} \n"},
           {"]}\n", "],\"more\":1}\n"},
           {"]}\n", "]}"},
           {"]}\n", "]}\n\n"},
           {"]}\n", "\n"}})
    EXPECT_THAT(parse_retired(replaced(text, old, with)), ErrorIs(Code::verification_failed))
        << old << " as " << with;
  EXPECT_THAT(parse_retired(""), ErrorIs(Code::verification_failed));
  EXPECT_THAT(parse_retired("\n"), ErrorIs(Code::verification_failed));
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_THAT(parse_retired(std::string_view{text}.substr(0, size)),
                ErrorIs(Code::verification_failed));
}

TEST(RetiredState, IsNotWrittenWhereItCouldNotBeRead) {
  Retired retired = sample();
  retired.kept_from = 1;
  EXPECT_THAT(retired_text(retired), ErrorIs(Code::internal, HasSubstr("kept_from")));
  retired = sample();
  std::swap(retired.workers[0], retired.workers[1]);
  EXPECT_THAT(retired_text(retired), ErrorIs(Code::internal, HasSubstr("workers")));
  retired = sample();
  retired.nonces.assign(kRetiredNonces + 1, {});
  EXPECT_THAT(retired_text(retired), ErrorIs(Code::too_large));
}

TEST(RetiredState, IsOnlyReadUnderItsOwnName) {
  const TempDir dir;
  spit(dir / "audit-retired-000012.json", text_of(sample()));
  const auto file = read_retired(dir.path(), retired_name(12));
  ASSERT_THAT(file, Succeeds());
  EXPECT_EQ(file->retired, sample());
  EXPECT_EQ(file->sha256, hex_encode(sha256(as_bytes(text_of(sample())))));
  spit(dir / "audit-retired-000013.json", text_of(sample()));
  EXPECT_THAT(read_retired(dir.path(), retired_name(13)),
              ErrorIs(Code::verification_failed, HasSubstr("kept from 13")));
  EXPECT_THAT(read_retired(dir.path(), retired_name(14)), ErrorIs(Code::usage));
}

}  // namespace
}  // namespace hsm::audit
