#include "hsm_signer/policy/hours.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/support/error_is.h"
#include "tests/unit/policy/instants.h"

namespace hsm::policy {
namespace {

using std::chrono::nanoseconds;
using ::testing::HasSubstr;

// When `hours` open or close, to the nanosecond.
struct Row {
  const char* hours;
  const char* change;  // UTC
  bool open;           // From then on.
};
void expect_changes(const std::vector<Row>& rows) {
  for (const auto& [text, change, open] : rows) {
    const auto hours = Hours::parse(text);
    ASSERT_THAT(hours, Succeeds()) << text;
    EXPECT_EQ(hours->text(), text);
    EXPECT_EQ(hours->open_at(at(change)), open) << text << " at " << change;
    EXPECT_EQ(hours->open_at(at(change) - nanoseconds{1}), !open) << text << " before " << change;
  }
}
struct Moment {
  const char* at;  // UTC
  bool open;
};
void expect_moments(std::string_view text, const std::vector<Moment>& moments) {
  const auto hours = Hours::parse(text);
  ASSERT_THAT(hours, Succeeds()) << text;
  for (const auto& [when, open] : moments)
    EXPECT_EQ(hours->open_at(at(when)), open) << text << " at " << when;
}

TEST(Hours, OpenAndCloseOnTheSecond) {
  expect_changes({
      {"Mon-Fri 07:00-22:00 UTC", "2026-11-30 07:00:00", true},
      {"Mon-Fri 07:00-22:00 UTC", "2026-11-30 22:00:00", false},
      {"Mon-Fri 07:00-22:00 America/New_York", "2026-11-30 12:00:00", true},
      {"Mon-Fri 07:00-22:00 America/New_York", "2026-12-01 03:00:00", false},
      {"Mon-Fri 07:00-22:00 America/New_York", "2026-07-06 11:00:00", true},
      {"Mon-Fri 09:15-15:30 Asia/Kolkata", "2026-11-30 03:45:00", true},
      {"Mon-Fri 09:15-15:30 Asia/Kolkata", "2026-11-30 10:00:00", false},
      {"Mon 00:00-24:00 Pacific/Chatham", "2026-11-29 10:15:00", true},
      {"Mon 00:00-24:00 Pacific/Chatham", "2026-11-30 10:15:00", false},
      {"Sat 10:00-24:00 UTC", "2026-11-29 00:00:00", false},
      {"Sun 23:59-24:00 UTC", "2026-11-29 23:59:00", true},
      {"Sun 23:59-24:00 UTC", "2026-11-30 00:00:00", false},
      {"Thu 00:00-00:01 UTC", "1970-01-01 00:01:00", false},
      {"Mon-Fri 07:00-12:00; Mon-Fri 13:00-17:00; Sat 10:00-12:00 UTC", "2026-11-30 12:00:00",
       false},
      {"Mon-Fri 07:00-12:00; Mon-Fri 13:00-17:00; Sat 10:00-12:00 UTC", "2026-11-30 13:00:00",
       true},
      {"Mon-Fri 07:00-12:00; Mon-Fri 13:00-17:00; Sat 10:00-12:00 UTC", "2026-12-05 12:00:00",
       false},
  });
}

TEST(Hours, OpenOnTheDaysNamed) {
  expect_moments("Mon,Wed,Fri-Sun 08:00-09:00 UTC", {{"2026-11-30 08:30:00", true},
                                                     {"2026-12-01 08:30:00", false},
                                                     {"2026-12-02 08:30:00", true},
                                                     {"2026-12-03 08:30:00", false},
                                                     {"2026-12-04 08:30:00", true},
                                                     {"2026-12-05 08:30:00", true},
                                                     {"2026-12-06 08:30:00", true}});
  expect_moments("Sun-Thu 08:00-09:00 UTC", {{"2026-12-03 08:30:00", true},
                                             {"2026-12-04 08:30:00", false},
                                             {"2026-12-05 08:30:00", false},
                                             {"2026-12-06 08:30:00", true},
                                             {"2026-12-07 08:30:00", true}});
  // The day is that of the zone: Monday begins in Tokyo while it is Sunday in London.
  expect_moments("Mon 00:00-24:00 Asia/Tokyo", {{"2026-11-29 14:59:59", false},
                                                {"2026-11-29 15:00:00", true},
                                                {"2026-11-30 15:00:00", false}});
}

TEST(Hours, PassMidnightFromTheDayOnWhichTheyBegin) {
  expect_moments("Fri 22:00-02:00 UTC", {{"2026-12-04 01:59:59", false},
                                         {"2026-12-04 21:59:59", false},
                                         {"2026-12-04 22:00:00", true},
                                         {"2026-12-05 01:59:59", true},
                                         {"2026-12-05 02:00:00", false},
                                         {"2026-12-05 22:00:00", false}});
  expect_moments("Sun 22:00-02:00 UTC", {{"2026-11-29 22:00:00", true},
                                         {"2026-11-30 01:59:59", true},
                                         {"2026-11-30 02:00:00", false},
                                         {"2026-11-30 22:00:00", false}});
  expect_moments("Mon 22:00-00:00 UTC",
                 {{"2026-11-30 23:59:59", true}, {"2026-12-01 00:00:00", false}});
  expect_moments("Mon-Sun 22:00-21:59 UTC", {{"2026-11-30 21:58:59", true},
                                             {"2026-11-30 21:59:00", false},
                                             {"2026-11-30 22:00:00", true}});
}

TEST(Hours, SkipTheHourThatSpringSkips) {
  // New York: 01:59:59 EST is followed by 03:00:00 EDT, at 07:00 UTC.
  expect_moments("Sun 02:00-03:00 America/New_York", {{"2026-03-08 06:59:59", false},
                                                      {"2026-03-08 07:00:00", false},
                                                      {"2026-03-08 07:59:59", false},
                                                      {"2026-03-15 06:00:00", true}});
  expect_moments("Sun 01:30-03:30 America/New_York", {{"2026-03-08 06:29:59", false},
                                                      {"2026-03-08 06:30:00", true},
                                                      {"2026-03-08 07:00:00", true},
                                                      {"2026-03-08 07:29:59", true},
                                                      {"2026-03-08 07:30:00", false}});
  expect_moments("Sun 01:00-02:00 Europe/London", {{"2026-03-29 00:59:59", false},
                                                   {"2026-03-29 01:00:00", false},
                                                   {"2026-03-29 01:30:00", false}});
  expect_moments("Sun 02:00-03:00 Australia/Sydney", {{"2026-10-03 15:59:59", false},
                                                      {"2026-10-03 16:00:00", false},
                                                      {"2026-10-10 15:00:00", true}});
  // Lord Howe skips half an hour.
  expect_moments("Sun 02:00-03:00 Australia/Lord_Howe", {{"2026-10-03 15:29:59", false},
                                                         {"2026-10-03 15:30:00", true},
                                                         {"2026-10-03 15:59:59", true},
                                                         {"2026-10-03 16:00:00", false}});
}

TEST(Hours, CountTheHourTwiceThatAutumnRepeats) {
  expect_moments("Sun 01:00-02:00 America/New_York", {{"2026-11-01 04:59:59", false},
                                                      {"2026-11-01 05:00:00", true},
                                                      {"2026-11-01 05:59:59", true},
                                                      {"2026-11-01 06:00:00", true},
                                                      {"2026-11-01 06:59:59", true},
                                                      {"2026-11-01 07:00:00", false}});
  // Closed at half past, twice.
  expect_moments("Sun 01:00-01:30 America/New_York", {{"2026-11-01 05:29:59", true},
                                                      {"2026-11-01 05:30:00", false},
                                                      {"2026-11-01 06:00:00", true},
                                                      {"2026-11-01 06:30:00", false}});
  expect_moments("Sun 01:00-02:00 Europe/London", {{"2026-10-25 00:00:00", true},
                                                   {"2026-10-25 01:59:59", true},
                                                   {"2026-10-25 02:00:00", false}});
  expect_moments("Sun 02:00-03:00 Australia/Sydney", {{"2026-04-04 14:59:59", false},
                                                      {"2026-04-04 15:00:00", true},
                                                      {"2026-04-04 16:59:59", true},
                                                      {"2026-04-04 17:00:00", false}});
}

TEST(Hours, PassMidnightOverAChangeOfClocks) {
  // From Saturday 22:00 to Sunday 04:00 by the wall: five hours in spring, seven in autumn.
  expect_changes({
      {"Sat 22:00-04:00 America/New_York", "2026-03-08 03:00:00", true},
      {"Sat 22:00-04:00 America/New_York", "2026-03-08 08:00:00", false},
      {"Sat 22:00-04:00 America/New_York", "2026-11-01 02:00:00", true},
      {"Sat 22:00-04:00 America/New_York", "2026-11-01 09:00:00", false},
      {"Sat 22:00-04:00 America/New_York", "2026-11-08 03:00:00", true},
      {"Sat 22:00-04:00 America/New_York", "2026-11-08 09:00:00", false},
  });
}

TEST(Hours, GoOnInTheFarFuture) {
  expect_changes({
      {"Mon-Fri 07:00-22:00 America/New_York", "2040-07-02 11:00:00", true},
      {"Mon-Fri 07:00-22:00 America/New_York", "2040-12-03 12:00:00", true},
      {"Mon-Fri 07:00-22:00 Europe/London", "2261-07-01 06:00:00", true},
      {"Mon-Fri 07:00-22:00 Australia/Sydney", "2200-01-05 20:00:00", true},
  });
  // Nothing but an answer is asked for at the ends of the clock.
  const Hours hours = Hours::parse("Mon-Fri 07:00-22:00 America/New_York").value();
  hours.open_at(Clock::Wall::max());
  hours.open_at(Clock::Wall::min());
}

TEST(Hours, RefuseAnythingElseWithASentence) {
  for (const auto& [text, sentence] : std::vector<std::pair<std::string, std::string>>{
           {"", "days, times and a time zone"},
           {"UTC", "days, times and a time zone"},
           {"Mon-Fri 07:00-22:00", "time zone's name"},
           {"07:00-22:00 UTC", "like Mon-Fri 07:00-22:00"},
           {"Mon-Fri UTC", "like Mon-Fri 07:00-22:00"},
           {"Mon-Fri 07:00-22:00 Nowhere", "no such time zone"},
           {"Mon-Fri 07:00-22:00 utc", "no such time zone"},
           {"Mon-Fri 07:00-22:00 EST5EDT,M3.2.0,M11.1.0", "time zone's name"},
           {"Mon-Fri 07:00-22:00 UTC UTC", "times are like"},
           {"Mon-Fri 07:00-22:00  UTC", "times are like"},
           {"Mon-Fri  07:00-22:00 UTC", "times are like"},
           {" Mon-Fri 07:00-22:00 UTC", "a day is"},
           {"Mon-Fri 07:00-22:00 UTC ", "time zone's name"},
           {"Mon-Fri\t07:00-22:00 UTC", "like Mon-Fri"},
           {"mon-fri 07:00-22:00 UTC", "a day is"},
           {"MON 07:00-22:00 UTC", "a day is"},
           {"Monday 07:00-22:00 UTC", "a day is"},
           {"Mo 07:00-22:00 UTC", "a day is"},
           {"- 07:00-22:00 UTC", "a day is"},
           {"Mon- 07:00-22:00 UTC", "a day is"},
           {"-Fri 07:00-22:00 UTC", "a day is"},
           {"Mon,,Fri 07:00-22:00 UTC", "a day is"},
           {"Mon, 07:00-22:00 UTC", "a day is"},
           {"Mon,Fri, 07:00-22:00 UTC", "a day is"},
           {"Mon-Wed-Fri 07:00-22:00 UTC", "a day is"},
           {"1-5 07:00-22:00 UTC", "a day is"},
           {"Mon-Mon 07:00-22:00 UTC", "from one day to another"},
           {"Mon,Mon 07:00-22:00 UTC", "stands twice"},
           {"Mon-Wed,Tue 07:00-22:00 UTC", "stands twice"},
           {"Fri-Mon,Sun 07:00-22:00 UTC", "stands twice"},
           {"Mon 07:00-07:00 UTC", "whole day is 00:00-24:00"},
           {"Mon 00:00-00:00 UTC", "whole day is 00:00-24:00"},
           {"Mon 24:00-24:00 UTC", "times are like"},
           {"Mon 24:00-02:00 UTC", "times are like"},
           {"Mon 07:00-24:01 UTC", "times are like"},
           {"Mon 07:00-25:00 UTC", "times are like"},
           {"Mon 07:60-22:00 UTC", "times are like"},
           {"Mon 7:00-22:00 UTC", "times are like"},
           {"Mon 0700-2200 UTC", "times are like"},
           {"Mon 07:00 UTC", "times are like"},
           {"Mon 07:00- UTC", "times are like"},
           {"Mon -22:00 UTC", "times are like"},
           {"Mon 07:00-22:00-23:00 UTC", "times are like"},
           {"Mon 07:00:00-22:00:00 UTC", "times are like"},
           {"Mon 07.00-22.00 UTC", "times are like"},
           {"Mon +7:00-22:00 UTC", "times are like"},
           {"Mon 07:00-10:00pm UTC", "times are like"},
           {"Mon 07:00-12:00,13:00-17:00 UTC", "times are like"},
           {"Mon 07:00-12:00; UTC", "times are like"},
           {"Mon 07:00-12:00;  UTC", "like Mon-Fri"},
           {"; Mon 07:00-12:00 UTC", "like Mon-Fri"},
           {"Mon 07:00-12:00;Tue 07:00-12:00 UTC", "times are like"},
           {"Mon 07:00-12:00 ; Tue 07:00-12:00 UTC", "times are like"},
           {"Mon 07:00-12:00; Mon 11:59-14:00 UTC", "overlap"},
           {"Mon 22:00-02:00; Tue 01:00-03:00 UTC", "overlap"},
           {"Mon 00:00-01:00; Sun 22:00-00:30 UTC", "overlap"},
           {"Mon 07:00-12:00 America/New_York; Tue 07:00-12:00 UTC", "times are like"},
           {std::string(513, 'M'), "512"},
       })
    EXPECT_THAT(Hours::parse(text), ErrorIs(Code::usage, HasSubstr(sentence))) << text;
}

TEST(Hours, RepeatNothingOfATextThatIsNoLine) {
  const auto refused = Hours::parse("Mon\n\x1b[2J\xff 07:00-22:00 UTC");
  ASSERT_THAT(refused, ErrorIs(Code::usage, HasSubstr("\"Mon??[2J?\"")));
  EXPECT_LT(Hours::parse(std::string(500, 'x') + " UTC").error().sentence().size(), 120U);
}

}  // namespace
}  // namespace hsm::policy
