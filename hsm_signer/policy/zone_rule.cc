#include "hsm_signer/policy/zone_rule.h"

#include <algorithm>
#include <string>
#include <utility>

namespace hsm::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr unsigned kMostOffsetHours = 24;
constexpr unsigned kMostTimeHours = 167;

}  // namespace

// Each member takes one part off the front of the text, or gives nothing.
class ZoneRule::Reader {
 public:
  explicit Reader(std::string_view text) : rest_{text} {}

  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Three letters or more, or digits and a sign too where it stands in <>.
  bool name() {
    const bool quoted = take('<');
    const std::string_view taken = take_while([quoted](char c) {
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      return letter || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    });
    return taken.size() >= 3 && (!quoted || take('>'));
  }

  // What is added to UTC: POSIX counts the other way, hours west of Greenwich.
  std::optional<seconds> offset() {
    const auto west = signed_time(kMostOffsetHours);
    if (!west) return std::nullopt;
    return -*west;
  }

  // "M3.2.0/2": month, week, weekday from Sunday, time; 02:00 where none is said.
  std::optional<Date> date() {
    if (!take('M')) return std::nullopt;
    const auto month = number(1, 12);
    if (!month || !take('.')) return std::nullopt;
    const auto week = number(1, 5);
    if (!week || !take('.')) return std::nullopt;
    const auto day = number(0, 6);
    if (!day) return std::nullopt;
    const auto time = take('/') ? signed_time(kMostTimeHours) : seconds{std::chrono::hours{2}};
    if (!time) return std::nullopt;
    return Date{std::chrono::month{*month}, *week, std::chrono::weekday{*day}, *time};
  }

 private:
  template <class Predicate>
  std::string_view take_while(Predicate predicate) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), predicate);
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::optional<unsigned> number(unsigned least, unsigned most) {
    const std::string_view digits = take_while([](char c) { return c >= '0' && c <= '9'; });
    if (digits.empty() || digits.size() > 3) return std::nullopt;
    unsigned value = 0;
    for (char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    if (value < least || value > most) return std::nullopt;
    return value;
  }
  // [+-]hh[:mm[:ss]]
  std::optional<seconds> signed_time(unsigned most_hours) {
    const bool negative = take('-');
    if (!negative) take('+');
    const auto h = number(0, most_hours);
    if (!h) return std::nullopt;
    seconds time = std::chrono::hours{*h};
    if (take(':')) {
      const auto m = number(0, 59);
      if (!m) return std::nullopt;
      time += minutes{*m};
      if (take(':')) {
        const auto s = number(0, 59);
        if (!s) return std::nullopt;
        time += seconds{*s};
      }
    }
    return negative ? -time : time;
  }

  std::string_view rest_;
};

Result<ZoneRule> ZoneRule::parse(std::string_view text) {
  const auto wrong = [&] {
    return fail(Code::usage, "the time zone's file ends with a rule of no known form");
  };
  Reader reader{text};
  ZoneRule rule;
  if (!reader.name()) return wrong();
  const auto standard = reader.offset();
  if (!standard) return wrong();
  rule.standard_ = *standard;
  if (reader.at_end()) return rule;

  if (!reader.name()) return wrong();
  Saving saving{*standard + std::chrono::hours{1}, {}, {}};
  if (!reader.take(',')) {
    const auto offset = reader.offset();
    if (!offset || !reader.take(',')) return wrong();
    saving.offset = *offset;
  }
  const auto begin = reader.date();
  if (!begin || !reader.take(',')) return wrong();
  const auto end = reader.date();
  if (!end || !reader.at_end()) return wrong();
  saving.begin = *begin;
  saving.end = *end;
  rule.saving_ = saving;
  return rule;
}

std::chrono::sys_seconds ZoneRule::instant(std::chrono::year year, const Date& date,
                                           seconds offset_before) {
  const auto month = year / date.month;
  const std::chrono::sys_days day = date.week == 5
                                        ? std::chrono::sys_days{month / date.day[std::chrono::last]}
                                        : std::chrono::sys_days{month / date.day[date.week]};
  return day + date.time - offset_before;
}

std::vector<Change> ZoneRule::changes(std::chrono::year first, std::chrono::year last) const {
  std::vector<Change> changes;
  if (!saving_) return changes;
  for (std::chrono::year year = first; year <= last; ++year) {
    Change begin{instant(year, saving_->begin, standard_), saving_->offset};
    Change end{instant(year, saving_->end, saving_->offset), standard_};
    if (end.at < begin.at) std::swap(begin, end);  // South of the equator.
    changes.push_back(begin);
    changes.push_back(end);
  }
  return changes;
}

}  // namespace hsm::policy
