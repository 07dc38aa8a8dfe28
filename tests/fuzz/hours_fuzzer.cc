// Hours of a rule under any bytes: taken and refused as by a second grammar, and open when a plain
// evaluation of each group by weekday and clock says so. What begins as a time zone file is read as
// one.
#include <chrono>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/policy/hours.h"
#include "tests/fuzz/demand.h"

namespace hsm::policy {
namespace {

using fuzz::demand;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr int kDay = 24 * 60;
constexpr int kWeek = 7 * kDay;

struct Group {
  std::vector<int> days;  // 0: Monday.
  int from, to;           // Minutes of the day.
};

int day_of(const std::string& text) {
  static const std::string names = "MonTueWedThuFriSatSun";
  return static_cast<int>(names.find(text) / 3);
}

std::vector<int> days_of(const std::string& text) {
  static const std::regex range{"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))?"};
  std::vector<int> days;
  for (std::sregex_iterator it{text.begin(), text.end(), range}, end; it != end; ++it) {
    int day = day_of((*it)[1]);
    days.push_back(day);
    while ((*it)[2].matched && day != day_of((*it)[2])) days.push_back(day = (day + 1) % 7);
  }
  return days;
}

bool is_open(const Group& group, int minute_of_week) {
  for (const int day : group.days) {
    const int length = group.to > group.from ? group.to - group.from : group.to + kDay - group.from;
    const int since = (minute_of_week - day * kDay - group.from + kWeek) % kWeek;
    if (since < length) return true;
  }
  return false;
}

// As Hours::parse() but for the zone; empty: refused.
std::vector<Group> second_reading(std::string text) {
  static const std::string day = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
  static const std::string range = day + "(?:-" + day + ")?";
  static const std::regex group{"(" + range + "(?:," + range +
                                ")*) ([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])(; )?"};
  static const std::regex one_day{"(" + day + ")-\\1"};
  std::vector<Group> groups;
  std::smatch found;
  for (bool more = true; more;) {
    if (!std::regex_search(text, found, group, std::regex_constants::match_continuous)) return {};
    if (std::regex_search(found[1].first, found[1].second, one_day)) return {};
    Group read{days_of(found[1]), std::stoi(found[2]) * 60 + std::stoi(found[3]),
               std::stoi(found[4]) * 60 + std::stoi(found[5])};
    if (read.from >= kDay || read.to > kDay || read.from == read.to) return {};
    for (std::size_t i = 0; i < read.days.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (read.days[i] == read.days[j]) return {};
    groups.push_back(read);
    more = found[6].matched;
    text = found.suffix();
  }
  if (!text.empty()) return {};
  for (int minute = 0; minute < kWeek; ++minute) {
    int open = 0;
    for (const Group& each : groups) open += is_open(each, minute) ? 1 : 0;
    if (open > 1) return {};
  }
  return groups;
}

void opens_as(const Hours& hours, const std::vector<Group>& groups, const Zone& zone) {
  // Around a change of clocks in London, and far ahead.
  for (const std::int64_t start : {1'792'800'000LL, 9'000'000'000LL}) {
    for (std::int64_t t = start; t < start + 8 * 86'400; t += 421) {
      const auto local = sys_seconds{seconds{t}} + zone.offset_at(sys_seconds{seconds{t}});
      const auto day = std::chrono::floor<std::chrono::days>(local);
      const auto weekday = static_cast<int>(std::chrono::weekday{day}.iso_encoding()) - 1;
      const auto minute = static_cast<int>((local - day) / std::chrono::minutes{1});
      bool open = false;
      for (const Group& group : groups) open = open || is_open(group, weekday * kDay + minute);
      demand(hours.open_at(Clock::Wall{seconds{t}}) == open, "open when the groups say so");
    }
  }
}

void check_hours(std::string_view text) {
  const auto hours = Hours::parse(text);
  const std::size_t space = text.rfind(' ');
  const auto zone = space == text.npos ? Zone::load("") : Zone::load(text.substr(space + 1));
  const auto groups = zone && text.size() <= 512
                          ? second_reading(std::string{text.substr(0, space)})
                          : std::vector<Group>{};
  demand(hours.has_value() == !groups.empty(), "both readings take the same");
  if (!hours) {
    demand(hours.error().code == Code::usage, "a mistake in a file");
    return fuzz::demand_sentence(hours.error());
  }
  demand(hours->text() == text, "text() is what was given");
  opens_as(*hours, groups, *zone);
  const auto again = Hours::parse(hours->text());
  demand(again.has_value(), "text() is taken again");
  opens_as(*again, groups, *zone);
}

void check_zone(std::string_view file) {
  const auto zone = Zone::parse(as_bytes(file));
  if (!zone) return fuzz::demand_sentence(zone.error());
  for (std::int64_t t = -9'000'000'000; t < 9'200'000'000; t += 99'999'999) {
    const seconds offset = zone->offset_at(sys_seconds{seconds{t}});
    demand(offset > std::chrono::hours{-26} && offset < std::chrono::hours{26},
           "an offset is about a day at most");
  }
}

}  // namespace
}  // namespace hsm::policy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hsm::fuzz::text_of(data, size);
  if (text.starts_with("TZif")) hsm::policy::check_zone(text);
  hsm::policy::check_hours(text);
  return 0;
}
