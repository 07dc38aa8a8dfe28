#include "hsm_signer/audit_tools/chart.h"

#include <gmock/gmock.h>

namespace hsm::audit_tools {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Clock::Wall kDay{hours{24} * 20'500};

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

std::string chart(const Counts& counts) {
  Html html;
  append_chart("Title", counts, html);
  return html.done();
}

TEST(AuditChart, SaysThatThereIsNothing) {
  EXPECT_THAT(chart({}), HasSubstr(">none<"));
  EXPECT_THAT(chart({}), Not(HasSubstr("<svg")));
}

TEST(AuditChart, HasABarForEachHourOrDay) {
  Counts counts;
  for (int hour = 0; hour < 5; ++hour) counts.add("a", kDay + hours{hour});
  EXPECT_EQ(count(chart(counts), "<rect "), 5U);
  EXPECT_THAT(chart(counts), HasSubstr("bars of 1 hour"));
  counts.add("a", kDay + hours{24 * 20});
  EXPECT_EQ(count(chart(counts), "<rect "), 2U);
  EXPECT_THAT(chart(counts), HasSubstr("bars of 12 hours"));
  counts.add("a", kDay + hours{24 * 50});
  EXPECT_EQ(count(chart(counts), "<rect "), 3U);
  EXPECT_THAT(chart(counts), HasSubstr("bars of 1 day"));
}

TEST(AuditChart, ShowsTheSixMostFrequentAndTheRestTogether) {
  Counts counts;
  for (int name = 0; name < 10; ++name)
    for (int i = 0; i <= name; ++i) counts.add("name" + std::to_string(name), kDay);
  const std::string drawn = chart(counts);
  EXPECT_EQ(count(drawn, "<rect "), 7U);
  EXPECT_THAT(drawn, HasSubstr("name4 <b>5</b>"));
  EXPECT_THAT(drawn, Not(HasSubstr("name3")));
  EXPECT_THAT(drawn, HasSubstr("all others <b>10</b>"));
  EXPECT_THAT(drawn, HasSubstr(": 55</title>"));
}

TEST(AuditChart, TakesNoMoreMemoryThanItsLimits) {
  Counts counts;
  for (std::size_t i = 0; i < kNamesLimit + 50; ++i) counts.add("n" + std::to_string(i), kDay);
  EXPECT_EQ(counts.totals().size(), kNamesLimit + 1);
  EXPECT_EQ(counts.totals().front(), (std::pair<std::string, std::uint64_t>{"(others)", 50}));
  // A clock that jumps about.
  for (int i = 0; i < 3'000; ++i) counts.add("x", Clock::Wall{hours{i * 800}});
  EXPECT_THAT(count(chart(counts), "<rect "), ::testing::Lt(300U));
}

TEST(AuditChart, LeavesNoMarkupInNames) {
  Counts counts;
  counts.add("<img src=x>", kDay);
  EXPECT_THAT(chart(counts), Not(HasSubstr("<img")));
}

}  // namespace
}  // namespace hsm::audit_tools
