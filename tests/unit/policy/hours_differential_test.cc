// The same zones and hours by python3's zoneinfo.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "hsm_signer/policy/hours.h"
#include "tests/support/python3.h"
#include "tests/unit/policy/instants.h"

namespace hsm::policy {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

// zone1970.tab(5): a name for each place whose clocks differ since 1970.
std::vector<std::string> every_zone() {
  std::ifstream table{"/usr/share/zoneinfo/zone1970.tab"};
  std::vector<std::string> names;
  for (std::string line; std::getline(table, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields{line};
    std::string countries, coordinates, name;
    fields >> countries >> coordinates >> name;
    names.push_back(name);
  }
  return names;
}

// Compares line by line, and shows the first few that differ.
void expect_same(const char* program, const std::vector<std::string>& questions,
                 const std::vector<std::string>& ours) {
  const auto theirs = python3(program, questions);
  ASSERT_EQ(theirs.size(), questions.size()) << "python3 did not finish";
  std::size_t differences = 0;
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (ours[i] != theirs[i] && ++differences <= 10)
      ADD_FAILURE() << questions[i] << ": " << ours[i] << " here, by python3 " << theirs[i];
  EXPECT_EQ(differences, 0U);
}

constexpr const char* kOffsets = R"(
import sys, zoneinfo
from datetime import datetime
for line in sys.stdin:
    name, time = line.split()
    local = datetime.fromtimestamp(int(time), zoneinfo.ZoneInfo(name))
    print(int(local.utcoffset().total_seconds()))
)";

// The second at which the offset changes between two instants at which it differs.
sys_seconds change_between(const Zone& zone, sys_seconds early, sys_seconds late) {
  while (late - early > seconds{1}) {
    const sys_seconds middle = early + (late - early) / 2;
    (zone.offset_at(middle) == zone.offset_at(early) ? early : late) = middle;
  }
  return late;
}

TEST(HoursDifferential, OffsetsOfEveryZoneAreThoseOfZoneinfo) {
  std::mt19937_64 random{20261129};
  std::vector<std::string> questions;
  std::vector<std::string> ours;
  std::size_t changes = 0;
  const auto names = every_zone();
  ASSERT_GT(names.size(), 300U);
  for (const std::string& name : names) {
    const Zone zone = Zone::load(name).value();
    const auto ask = [&](sys_seconds time) {
      questions.push_back(name + " " + std::to_string(time.time_since_epoch().count()));
      ours.push_back(std::to_string(zone.offset_at(time).count()));
    };
    const auto any = [&](std::int64_t from, std::int64_t years) {
      return sys_seconds{seconds{
          from +
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(years * 31'556'952))}};
    };
    for (int i = 0; i < 20; ++i) {
      const sys_seconds time = any(0, i < 10 ? 292 : 80);
      ask(time);
      const sys_seconds later = time + std::chrono::days{120};
      if (zone.offset_at(time) == zone.offset_at(later)) continue;
      const sys_seconds change = change_between(zone, time, later);
      ask(change - seconds{1});
      ask(change);
      ++changes;
    }
  }
  EXPECT_GT(changes, 500U);
  expect_same(kOffsets, questions, ours);
}

constexpr const char* kOpen = R"(
import sys, zoneinfo
from datetime import datetime
DAYS = 'Mon Tue Wed Thu Fri Sat Sun'.split()
def days_of(text):
    for part in text.split(','):
        first, _, last = part.partition('-')
        day = DAYS.index(first)
        yield day
        while last and DAYS[day] != last:
            day = (day + 1) % 7
            yield day
def is_open(group, day, clock):
    days, times = group.split(' ')
    days, (begin, end) = list(days_of(days)), times.split('-')
    if begin < end: return day in days and begin <= clock < end
    return (day in days and clock >= begin) or ((day - 1) % 7 in days and clock < end)
for line in sys.stdin:
    time, _, text = line.rstrip('\n').partition(' ')
    groups, _, zone = text.rpartition(' ')
    local = datetime.fromtimestamp(int(time), zoneinfo.ZoneInfo(zone))
    clock = local.strftime('%H:%M')
    print(int(any(is_open(g, local.weekday(), clock) for g in groups.split('; '))))
)";

TEST(HoursDifferential, OpenWhenZoneinfoSaysSo) {
  std::mt19937_64 random{7};
  std::vector<std::string> questions;
  std::vector<std::string> ours;
  std::size_t open = 0;
  for (const std::string days_and_times :
       {"Mon-Fri 07:00-22:00", "Sat 00:00-24:00", "Mon,Wed,Fri-Sun 01:30-02:30",
        "Sun-Thu 22:00-02:00", "Sat-Mon 02:00-03:00; Tue 23:59-00:01; Wed 00:02-24:00",
        "Sun 22:00-21:59"}) {
    for (const char* zone : {"America/New_York", "Europe/London", "Europe/Dublin",
                             "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kolkata",
                             "Pacific/Chatham", "America/St_Johns", "UTC", "Africa/Casablanca"}) {
      const std::string text = days_and_times + " " + zone;
      const Hours hours = Hours::parse(text).value();
      for (int i = 0; i < 200; ++i) {
        // Half of them in the nights of Sundays, when clocks change.
        std::int64_t time = static_cast<std::int64_t>(random() % 9'000'000'000);
        if (i % 2 == 0)
          time = time / 604'800 * 604'800 + 3 * 86'400 +
                 static_cast<std::int64_t>(random() % 36'000) - 14'400;
        time = std::max<std::int64_t>(time, 0);
        const bool is_open = hours.open_at(Clock::Wall{seconds{time}});
        open += is_open ? 1 : 0;
        questions.push_back(std::to_string(time) + " " + text);
        ours.push_back(is_open ? "1" : "0");
      }
    }
  }
  EXPECT_GT(open, questions.size() / 10);
  EXPECT_LT(open, questions.size() * 9 / 10);
  expect_same(kOpen, questions, ours);
}

}  // namespace
}  // namespace hsm::policy
