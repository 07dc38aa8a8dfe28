#include "hsm_signer/token/last_words.h"

#include <fstream>

#include "hsm_signer/base/usage_text.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

wire::SignedUsage usage(std::uint64_t worker, std::uint64_t count = 3) {
  return {.text = usage_text("desk", worker, count, sha256(as_bytes("x"))), .signature = {1, 2, 3}};
}

TEST(LastWords, AreKeptUntilTheyAreForgotten) {
  const TempDir dir;
  LastWords words{dir.path()};
  EXPECT_THAT(words.kept(), IsEmpty());
  ASSERT_THAT(words.keep(7, usage(7)), Succeeds());
  ASSERT_THAT(words.keep(18'446'744'073'709'551'615U, usage(18'446'744'073'709'551'615U)),
              Succeeds());
  EXPECT_THAT(LastWords{dir.path()}.kept(), SizeIs(2));
  words.forget(18'446'744'073'709'551'615U);
  words.forget(8);  // Never heard of.
  EXPECT_THAT(words.kept(), ElementsAre(usage(7)));
}

TEST(LastWords, AnAnswerHasAtMostSixteen) {
  const TempDir dir;
  LastWords words{dir.path()};
  for (std::uint64_t worker = 1; worker <= 40; ++worker)
    ASSERT_THAT(words.keep(worker, usage(worker)), Succeeds());
  EXPECT_THAT(words.kept(), SizeIs(LastWords::kListed));
}

TEST(LastWords, AreNotPiledUpWithoutEnd) {
  const TempDir dir;
  LastWords words{dir.path()};
  for (std::uint64_t worker = 1; worker <= LastWords::kKept; ++worker)
    ASSERT_THAT(words.keep(worker, usage(worker)), Succeeds());
  EXPECT_THAT(words.keep(9999, usage(9999)), ErrorIs(Code::overloaded));
  words.forget(1);
  EXPECT_THAT(words.keep(9999, usage(9999)), Succeeds());
}

TEST(LastWords, WhatIsNoneIsLeftOut) {
  const TempDir dir;
  LastWords words{dir.path()};
  const std::string good = usage(7).text + "AQID\n";
  const std::vector<std::string> files{"",
                                       "\n",
                                       "AQID\n",
                                       usage(7).text,
                                       usage(7).text + "AQID",
                                       usage(7).text + "AQIE=\n",
                                       "x" + good,
                                       good + "x",
                                       std::string(5000, 'x') + "\n"};
  for (std::size_t i = 0; i < files.size(); ++i)
    std::ofstream{dir / ("ended-" + std::to_string(i))} << files[i];
  std::ofstream{dir / "ended-7.tmp"} << good;
  std::ofstream{dir / "spent"} << good;
  EXPECT_THAT(words.kept(), IsEmpty());
  std::ofstream{dir / "ended-77"} << good;
  EXPECT_THAT(words.kept(), ElementsAre(usage(7)));
  EXPECT_THAT(LastWords{dir / "none"}.kept(), IsEmpty());
  EXPECT_THAT(LastWords{dir / "none"}.keep(1, usage(1)), ErrorIs(Code::state_unavailable));
}

}  // namespace
}  // namespace hsm::token
