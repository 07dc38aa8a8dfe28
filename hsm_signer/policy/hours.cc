#include "hsm_signer/policy/hours.h"

#include <algorithm>
#include <array>
#include <optional>

namespace hsm::policy {
namespace {

constexpr std::size_t kTextLimit = 512;
constexpr std::array<std::string_view, 7> kDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
using Days = std::bitset<kDays.size()>;

tl::unexpected<Error> wrong(std::string_view what, std::string_view where) {
  constexpr std::size_t kMost = 40;
  std::string shown{where.substr(0, kMost)};
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return fail(Code::usage, what, '"' + shown + '"');
}

// Calls `each` with what stands between the separators, until it fails.
template <class Each>
Result<void> split(std::string_view text, std::string_view separator, Each each) {
  for (;;) {
    const std::size_t end = text.find(separator);
    TRY_VOID(each(text.substr(0, end)));
    if (end == text.npos) return {};
    text.remove_prefix(end + separator.size());
  }
}

Result<std::size_t> read_day(std::string_view text) {
  const auto* const found = std::find(kDays.begin(), kDays.end(), text);
  if (found == kDays.end()) return wrong("a day is Mon, Tue, Wed, Thu, Fri, Sat or Sun, not", text);
  return static_cast<std::size_t>(found - kDays.begin());
}

// "Fri-Mon" goes over the end of the week.
Result<void> add_days(std::string_view range, Days& days) {
  const std::size_t dash = range.find('-');
  TRY(const std::size_t first, read_day(range.substr(0, dash)));
  std::size_t last = first;
  if (dash != range.npos) {
    TRY(last, read_day(range.substr(dash + 1)));
    if (first == last) return wrong("a range of days goes from one day to another, not", range);
  }
  for (std::size_t day = first;; day = (day + 1) % kDays.size()) {
    if (days[day]) return wrong("a day stands twice in one group of hours", range);
    days.set(day);
    if (day == last) return {};
  }
}

// Minutes since midnight of "HH:MM", up to 24:00.
std::optional<std::size_t> minutes_of(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(text[0]) || !digit(text[1]) || !digit(text[3]) ||
      !digit(text[4]))
    return std::nullopt;
  const auto two = [](const char* at) {
    return static_cast<std::size_t>(at[0] - '0') * 10 + static_cast<std::size_t>(at[1] - '0');
  };
  const std::size_t hours = two(text.data());
  const std::size_t minutes = two(text.data() + 3);
  if (minutes > 59 || hours > 24 || (hours == 24 && minutes != 0)) return std::nullopt;
  return hours * 60 + minutes;
}

}  // namespace

Result<Hours> Hours::parse(std::string_view text) {
  if (text.size() > kTextLimit) return fail(Code::usage, "hours are longer than 512 characters");
  const std::size_t space = text.rfind(' ');
  if (space == text.npos) return wrong("hours are days, times and a time zone, not", text);
  Hours hours;
  hours.text_ = text;
  TRY(hours.zone_, Zone::load(text.substr(space + 1)));
  TRY_VOID(split(text.substr(0, space), "; ",
                 [&](std::string_view group) { return hours.add_group(group); }));
  return hours;
}

Result<void> Hours::add_group(std::string_view group) {
  const std::size_t space = group.find(' ');
  if (space == group.npos) return wrong("hours are like Mon-Fri 07:00-22:00, not", group);
  Days days;
  TRY_VOID(split(group.substr(0, space), ",",
                 [&](std::string_view range) { return add_days(range, days); }));
  const std::string_view times = group.substr(space + 1);
  const std::size_t dash = times.find('-');
  const auto from = minutes_of(times.substr(0, dash));
  const auto to = dash == times.npos ? std::nullopt : minutes_of(times.substr(dash + 1));
  if (!from || !to || *from == kDay)
    return wrong("times are like 07:00-22:00, from 00:00 to 24:00, not", times);
  if (*from == *to)
    return wrong("times that end as they begin are empty; a whole day is 00:00-24:00", times);
  const std::size_t length = *to > *from ? *to - *from : *to + kDay - *from;
  for (std::size_t day = 0; day < days.size(); ++day) {
    for (std::size_t i = 0; days[day] && i < length; ++i) {
      const std::size_t minute = (day * kDay + *from + i) % kWeek;
      if (open_[minute]) return wrong("hours overlap with others before them", group);
      open_.set(minute);
    }
  }
  return {};
}

bool Hours::open_at(Clock::Wall at) const {
  constexpr std::chrono::days kThursday{3};  // 1970-01-01, counted from Monday.
  constexpr auto kMinutes = static_cast<std::int64_t>(kWeek);
  const auto utc = std::chrono::floor<std::chrono::seconds>(at);
  const auto local = utc.time_since_epoch() + zone_.offset_at(utc) + kThursday;
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(local).count() % kMinutes;
  return open_[static_cast<std::size_t>(minute < 0 ? minute + kMinutes : minute)];
}

}  // namespace hsm::policy
