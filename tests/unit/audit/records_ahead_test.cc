#include "hsm_signer/audit/records_ahead.h"

#include <random>

#include "hsm_signer/audit/merkle.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

class Ahead : public ::testing::Test {
 protected:
  SegmentReader reader() const {
    auto reader = SegmentReader::open(dir_.path());
    EXPECT_THAT(reader, Succeeds());
    return *std::move(reader);
  }
  // `bytes` or a little more: a record, then a line of 1 to 3,000 bytes that is none, and so on.
  std::string lines(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      Record record = allow_record(++nonce_, 1);
      record.seq = nonce_;
      EXPECT_THAT(append_line(record, text), Succeeds());
      text.append(1 + random_() % 3'000, static_cast<char>('a' + random_() % 26)).push_back('\n');
    }
    return text;
  }
  // Each line is the one that a plain reader gives; then what the plain reader says.
  void expect_the_same_as_a_plain_reader() {
    expect_the_same_as_a_plain_reader(Helpers::none);
    expect_the_same_as_a_plain_reader(Helpers::of_each_core);
  }
  void expect_the_same_as_a_plain_reader(Helpers helpers) {
    SegmentReader plain = reader();
    RecordsAhead ahead{reader(), helpers};
    for (;;) {
      const auto expected = plain.next();
      const auto line = ahead.next();
      ASSERT_EQ(line.has_value(), expected.has_value());
      ASSERT_EQ(ahead.file(), plain.file());
      ASSERT_EQ(ahead.line(), plain.line());
      if (!line) return;
      ASSERT_EQ(*line != nullptr, expected->has_value());
      if (*line == nullptr) break;
      ASSERT_EQ((*line)->leaf, leaf_hash((*expected)->text));
      const auto parsed = parse_line((*expected)->text);
      ASSERT_EQ((*line)->parsed.has_value(), parsed.has_value());
      if (parsed) {
        ASSERT_EQ((*line)->record.nonce, parsed->nonce);
      }
    }
    EXPECT_EQ(ahead.rest(), plain.rest());
    EXPECT_THAT(ahead.next(), ::testing::Optional(::testing::IsNull())) << "and again";
  }

  const TempDir dir_;
  std::mt19937 random_{3};
  std::uint64_t segments_ = 0;
  std::uint64_t nonce_ = 0;
};

TEST_F(Ahead, GivesTheLinesOfAPlainReaderOverSegmentsAndBlocks) {
  for (const std::size_t bytes : {3'500'000U, 10U, 1'048'576U, 2'500'000U}) {
    spit(dir_ / segment_name(++segments_), lines(bytes));
    expect_the_same_as_a_plain_reader();
  }
}

TEST_F(Ahead, GivesNothingOfAnEmptyLog) {
  spit(dir_ / segment_name(1), "");
  expect_the_same_as_a_plain_reader();
}

TEST_F(Ahead, CountsAnUnfinishedLine) {
  spit(dir_ / segment_name(1), lines(2'000'000) + "unfinished");
  expect_the_same_as_a_plain_reader();
}

TEST_F(Ahead, SaysAnErrorBehindTheLinesBeforeIt) {
  spit(dir_ / segment_name(1), lines(2'000'000) + std::string(kLineLimit, 'x') + "\n");
  expect_the_same_as_a_plain_reader();
  RecordsAhead ahead{reader(), Helpers::of_each_core};
  auto line = ahead.next();
  while (line && *line != nullptr) line = ahead.next();
  EXPECT_THAT(line, ErrorIs(Code::verification_failed, HasSubstr("longer than any record")));
  EXPECT_THAT(ahead.next(), ErrorIs(Code::verification_failed)) << "and again";
}

TEST_F(Ahead, MayBeLeftBeforeTheEnd) {
  spit(dir_ / segment_name(1), lines(4'000'000));
  RecordsAhead ahead{reader(), Helpers::of_each_core};
  EXPECT_THAT(ahead.next(), Succeeds());
}

}  // namespace
}  // namespace hsm::audit
