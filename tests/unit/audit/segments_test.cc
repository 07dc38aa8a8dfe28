#include "hsm_signer/audit/segments.h"

#include <filesystem>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Segments : public ::testing::Test {
 protected:
  void put(const std::string& name, std::string_view text) { spit(dir_ / name, text); }
  void append(const std::string& name, const std::string& text) {
    spit(dir_ / name, slurp(dir_ / name) + text);
  }
  SegmentReader open() {
    auto reader = SegmentReader::open(dir_.path());
    EXPECT_THAT(reader, Succeeds());
    return *std::move(reader);
  }
  // "file:line seq text" of every line up to the end.
  static std::vector<std::string> all(SegmentReader& reader) {
    std::vector<std::string> lines;
    for (;;) {
      const auto line = reader.next();
      EXPECT_THAT(line, Succeeds());
      if (!line || !*line) return lines;
      lines.push_back(std::string{(*line)->file} + ":" + std::to_string((*line)->line) + " " +
                      std::to_string((*line)->seq) + " " + std::string{(*line)->text});
    }
  }

  const TempDir dir_;
};

TEST_F(Segments, HaveNamesOfSixDigitsAndMoreWhereNeeded) {
  const std::vector<std::pair<std::uint64_t, std::string>> rows{
      {1, "audit-000001.jsonl"},
      {999'999, "audit-999999.jsonl"},
      {1'000'000, "audit-1000000.jsonl"},
      {UINT64_MAX, "audit-18446744073709551615.jsonl"}};
  for (const auto& [number, name] : rows) {
    EXPECT_EQ(segment_name(number), name);
    EXPECT_EQ(segment_number(name), number);
  }
  for (const char* name :
       {"audit-1.jsonl", "audit-000000.jsonl", "audit-0000001.jsonl", "audit-00001.jsonl",
        "audit--00001.jsonl", "audit-+00001.jsonl", "audit-00001a.jsonl", "audit- 00001.jsonl",
        "audit-.jsonl", "audit-18446744073709551616.jsonl", "audit-000001.jsonl.gz", "audit.jsonl",
        "Audit-000001.jsonl", ""})
    EXPECT_EQ(segment_number(name), std::nullopt) << name;
}

TEST_F(Segments, AreListedInOrderAndOtherFilesPassedOver) {
  for (const char* name : {"audit-000002.jsonl", "checkpoints", "audit-000003.jsonl",
                           "audit-000001.jsonl", "usage", "audit.pub.pem"})
    put(name, "");
  const auto files = list_log(dir_.path());
  ASSERT_THAT(files, Succeeds());
  EXPECT_THAT(files->segments,
              ElementsAre("audit-000001.jsonl", "audit-000002.jsonl", "audit-000003.jsonl"));
}

TEST_F(Segments, AreRefusedWhereOneIsMissing) {
  put("audit-000001.jsonl", "");
  put("audit-000003.jsonl", "");
  EXPECT_THAT(list_log(dir_.path()),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000002.jsonl")));
  put("audit-000002.jsonl", "");
  EXPECT_THAT(list_log(dir_.path()), Succeeds());
  std::filesystem::remove(dir_ / "audit-000001.jsonl");
  EXPECT_THAT(list_log(dir_.path()),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000001.jsonl")));
}

TEST_F(Segments, AreRefusedWhereThereIsNone) {
  EXPECT_THAT(list_log(dir_.path()), ErrorIs(Code::usage, HasSubstr("no audit log here")));
  EXPECT_THAT(list_log(dir_ / "absent"),
              ErrorIs(Code::usage, HasSubstr("No such file or directory")));
  put("audit-000001.jsonl", "");
  EXPECT_THAT(list_log(dir_ / "audit-000001.jsonl"),
              ErrorIs(Code::usage, HasSubstr("Not a directory")));
}

TEST_F(Segments, AreRefusedUnderAnotherSpelling) {
  put("audit-000001.jsonl", "");
  for (const char* name : {"audit-2.jsonl", "audit-0000002.jsonl", "audit-000002 (1).jsonl",
                           "audit-\x1b[2J.jsonl", "audit-000000.jsonl"}) {
    put(name, "");
    const auto names = list_log(dir_.path());
    EXPECT_THAT(names, ErrorIs(Code::verification_failed, HasSubstr("audit-*.jsonl"))) << name;
    EXPECT_THAT(names.error().sentence(), Not(HasSubstr("\x1b")));
    std::filesystem::remove(dir_ / name);
  }
}

TEST_F(Segments, AreReadAsOneStreamOfLines) {
  put("audit-000001.jsonl", "a\nb\n");
  put("audit-000002.jsonl", "");
  put("audit-000003.jsonl", "c\n\nd");
  SegmentReader reader = open();
  EXPECT_THAT(all(reader), ElementsAre("audit-000001.jsonl:1 1 a", "audit-000001.jsonl:2 2 b",
                                       "audit-000003.jsonl:1 3 c", "audit-000003.jsonl:2 4 "));
  EXPECT_EQ(reader.rest(), 1U);
  EXPECT_EQ(reader.seq(), 4U);
  EXPECT_EQ(reader.file(), "audit-000003.jsonl");
  EXPECT_EQ(reader.line(), 2U);
}

TEST_F(Segments, TellWhereALineEnds) {
  put("audit-000001.jsonl", "a\n");
  put("audit-000002.jsonl", "bcd\ne\n");
  SegmentReader reader = open();
  std::vector<std::uint64_t> offsets;
  for (auto line = reader.next(); line && *line; line = reader.next())
    offsets.push_back((*line)->offset);
  EXPECT_THAT(offsets, ElementsAre(2, 4, 6));
}

TEST_F(Segments, AreReadOnWhereTheyGrow) {
  put("audit-000001.jsonl", "a\nb");
  SegmentReader reader = open();
  EXPECT_THAT(all(reader), ElementsAre("audit-000001.jsonl:1 1 a"));
  EXPECT_EQ(reader.rest(), 1U);
  // Not put(): the reader holds the file open.
  std::FILE* file = std::fopen((dir_ / "audit-000001.jsonl").c_str(), "a");
  ASSERT_NE(file, nullptr);
  std::fputs("b\nc\n", file);
  std::fclose(file);
  put("audit-000002.jsonl", "d\n");
  EXPECT_THAT(all(reader), ElementsAre("audit-000001.jsonl:2 2 bb", "audit-000001.jsonl:3 3 c"));
  ASSERT_THAT(reader.look_again(), Succeeds());
  EXPECT_THAT(all(reader), ElementsAre("audit-000002.jsonl:1 4 d"));
  std::filesystem::remove(dir_ / "audit-000002.jsonl");
  EXPECT_THAT(reader.look_again(),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000002.jsonl")));
}

// As the writer does on a full disk.
TEST_F(Segments, ForgetAnUnfinishedLineThatWasCutBack) {
  put("audit-000001.jsonl", "a\nhalf of what was n");
  SegmentReader reader = open();
  EXPECT_THAT(all(reader), ElementsAre("audit-000001.jsonl:1 1 a"));
  std::filesystem::resize_file(dir_ / "audit-000001.jsonl", 2);
  ASSERT_THAT(reader.look_again(), Succeeds());
  std::FILE* file = std::fopen((dir_ / "audit-000001.jsonl").c_str(), "a");
  ASSERT_NE(file, nullptr);
  std::fputs("another\n", file);
  std::fclose(file);
  EXPECT_THAT(all(reader), ElementsAre("audit-000001.jsonl:2 2 another"));
}

TEST_F(Segments, AreDamagedWhereOneInTheMiddleEndsInsideALine) {
  put("audit-000001.jsonl", "a\nb");
  put("audit-000002.jsonl", "c\n");
  SegmentReader reader = open();
  ASSERT_THAT(reader.next(), Succeeds());
  EXPECT_THAT(reader.next(),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000001.jsonl: line 2")));
}

TEST_F(Segments, NameTheFileOfALineThatIsTooLong) {
  put("audit-000001.jsonl", "a\n");
  put("audit-000002.jsonl", std::string(kLineLimit, 'x') + "\n");
  SegmentReader reader = open();
  ASSERT_THAT(reader.next(), Succeeds());
  EXPECT_THAT(reader.next(),
              ErrorIs(Code::verification_failed, HasSubstr("audit-000002.jsonl: line 1")));
}

TEST_F(Segments, AreRefusedWhereOneIsNoFile) {
  put("audit-000001.jsonl", "a\n");
  std::filesystem::create_directory(dir_ / "audit-000002.jsonl");
  SegmentReader reader = open();
  ASSERT_THAT(reader.next(), Succeeds());
  EXPECT_THAT(reader.next(), ErrorIs(Code::usage, HasSubstr("audit-000002.jsonl")));
}

}  // namespace
}  // namespace hsm::audit
