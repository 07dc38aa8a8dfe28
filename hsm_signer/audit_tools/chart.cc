#include "hsm_signer/audit_tools/chart.h"

#include <algorithm>
#include <array>

namespace hsm::audit_tools {
namespace {

using std::chrono::hours;

constexpr std::string_view kOthers = "(others)";
constexpr std::size_t kSeries = 6;
constexpr std::size_t kBars = 62;
constexpr std::array<hours, 9> kWidths{hours{1},       hours{3},       hours{6},
                                       hours{12},      hours{24},      hours{7 * 24},
                                       hours{30 * 24}, hours{90 * 24}, hours{365 * 24}};

// Where the bars stand in the picture of 480 by 230 units.
constexpr std::uint64_t kLeft = 46, kRight = 474, kTop = 10, kBottom = 200;
constexpr std::uint64_t kTicks = 4;

// Wall time and one bar, with the count of each shown series; kSeries is the others.
struct Bar {
  Counts::Hour begin;
  std::array<std::uint64_t, kSeries + 1> counts{};
  std::uint64_t sum() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts) sum += count;
    return sum;
  }
};

std::vector<std::string> shown_names(const Counts& counts) {
  std::vector<std::string> names;
  for (const auto& [name, count] : counts.totals())
    if (names.size() < kSeries && name != kOthers) names.push_back(name);
  return names;
}

hours bar_width(const Counts& counts) {
  const hours all = counts.hours().rbegin()->first - counts.hours().begin()->first + hours{1};
  for (const hours width : kWidths)
    if (all <= width * static_cast<int>(kBars - 1)) return width;
  return kWidths.back();
}

Counts::Hour floor_to(Counts::Hour hour, hours width) {
  const auto since = hour.time_since_epoch();
  return Counts::Hour{since - since % width};
}

// kSeries for the others.
std::size_t series_of(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? kSeries : static_cast<std::size_t>(found - names.begin());
}

std::vector<Bar> bars_of(const Counts& counts, const std::vector<std::string>& names, hours width) {
  std::vector<Bar> bars;
  for (const auto& [hour, by_name] : counts.hours()) {
    const Counts::Hour begin = floor_to(hour, width);
    if (bars.empty()) bars.push_back({.begin = begin});
    // Empty bars between, so that time runs evenly; not without end where a clock jumped.
    while (bars.back().begin < begin && bars.size() < 4 * kBars)
      bars.push_back({.begin = bars.back().begin + width});
    for (const auto& [name, count] : by_name) bars.back().counts[series_of(names, name)] += count;
  }
  return bars;
}

// The lowest round number that is not below: 1, 2, 4 or 5 times a power of ten, by kTicks whole.
std::uint64_t round_up(std::uint64_t value) {
  for (std::uint64_t power = kTicks;; power *= 10)
    for (const std::uint64_t step : std::array<std::uint64_t, 3>{1, 2, 5})
      if (step * power >= value || power > UINT64_MAX / 100) return step * power;
}

std::string short_number(std::uint64_t value) {
  if (value >= 10'000'000) return grouped(value / 1'000'000) + "M";
  if (value >= 10'000) return grouped(value / 1000) + "k";
  return grouped(value);
}

// "2026-03-01 06:00"; of bars of whole days without the hour.
std::string name_of(Counts::Hour hour, hours width) {
  const std::string text = rfc3339(Clock::Wall{hour});
  return text.substr(0, 10) + (width >= hours{24} ? "" : " " + text.substr(11, 5));
}

class Drawing {
 public:
  Drawing(Html& html, const std::vector<Bar>& bars, hours width)
      : html_{html}, bars_{bars}, width_{width} {
    std::uint64_t most = 1;
    for (const Bar& bar : bars) most = std::max(most, bar.sum());
    top_ = round_up(most);
  }

  void draw(std::string_view title) {
    html_.raw("<svg viewBox=\"0 0 480 230\" role=\"img\" aria-label=\"").text(title).raw("\">\n");
    grid();
    for (std::size_t i = 0; i < bars_.size(); ++i) bar(i);
    dates();
    html_.raw("</svg>\n");
  }

 private:
  static constexpr std::uint64_t kTenths = 10;  // Of a unit: whole numbers all along.

  std::uint64_t x_of(std::size_t i) const {
    return kTenths * kLeft + kTenths * (kRight - kLeft) * i / bars_.size();
  }
  std::uint64_t y_of(std::uint64_t count) const {
    const long double share = static_cast<long double>(count) / static_cast<long double>(top_);
    return kTenths * kBottom -
           static_cast<std::uint64_t>(share * static_cast<long double>(kTenths * (kBottom - kTop)));
  }
  Html& tenths(std::uint64_t value) {
    return html_.raw(std::to_string(value / kTenths)).raw(".").raw(std::to_string(value % kTenths));
  }

  void grid() {
    for (std::uint64_t tick = 0; tick <= kTicks; ++tick) {
      const std::uint64_t count = top_ / kTicks * tick;
      html_.raw("<line class=\"grid\" x1=\"").number(kLeft).raw("\" x2=\"").number(kRight);
      html_.raw("\" y1=\"");
      tenths(y_of(count)).raw("\" y2=\"");
      tenths(y_of(count)).raw("\"/><text class=\"y\" x=\"").number(kLeft - 6).raw("\" y=\"");
      tenths(y_of(count) + 40).raw("\">").raw(short_number(count)).raw("</text>\n");
    }
  }

  void bar(std::size_t i) {
    const Bar& bar = bars_[i];
    if (bar.sum() == 0) return;
    html_.raw("<g><title>").raw(name_of(bar.begin, width_)).raw(": ").number(bar.sum());
    html_.raw("</title>");
    const std::uint64_t space = x_of(i + 1) - x_of(i);
    std::uint64_t below = 0;
    for (std::size_t series = 0; series <= kSeries; ++series) {
      if (bar.counts[series] == 0) continue;
      const std::uint64_t from = y_of(below);
      below += bar.counts[series];
      html_.raw("<rect class=\"s").number(series).raw("\" x=\"");
      tenths(x_of(i) + space / 10).raw("\" width=\"");
      tenths(std::max<std::uint64_t>(space - space / 5, 1)).raw("\" y=\"");
      tenths(y_of(below)).raw("\" height=\"");
      tenths(from - y_of(below)).raw("\"/>");
    }
    html_.raw("</g>\n");
  }

  // At most four, not to run into each other on a phone.
  void dates() {
    const std::size_t step = (bars_.size() + 3) / 4;
    for (std::size_t i = 0; i < bars_.size(); i += step) {
      html_.raw("<text class=\"x\" x=\"");
      tenths(x_of(i)).raw("\" y=\"").number(kBottom + 18).raw("\">");
      html_.raw(short_name(bars_[i].begin)).raw("</text>\n");
    }
  }

  // "03-01", of a chart of one or two days "06:00".
  std::string short_name(Counts::Hour hour) const {
    const std::string text = rfc3339(Clock::Wall{hour});
    const bool short_time = bars_.back().begin - bars_.front().begin < hours{48};
    return short_time ? text.substr(11, 5) : text.substr(5, 5);
  }

  Html& html_;
  const std::vector<Bar>& bars_;
  const hours width_;
  std::uint64_t top_ = 1;
};

void append_legend(const Counts& counts, const std::vector<std::string>& names, Html& html) {
  html.raw("<ul class=\"legend\">");
  std::uint64_t others = 0;
  for (const auto& [name, count] : counts.totals()) {
    const std::size_t series = series_of(names, name);
    if (series == kSeries) others += count;
    if (series == kSeries) continue;
    html.raw("<li><i class=\"s").number(series).raw("\"></i>").text(name).raw(" <b>");
    html.number(count).raw("</b></li>");
  }
  if (others != 0)
    html.raw("<li><i class=\"s6\"></i>all others <b>").number(others).raw("</b></li>");
  html.raw("</ul>\n");
}

std::string each(hours width) {
  const auto count = width >= hours{24} ? width / hours{24} : width.count();
  const std::string unit = width >= hours{24} ? "day" : "hour";
  return "bars of " + std::to_string(count) + " " + unit + (count == 1 ? "" : "s");
}

}  // namespace

void Counts::add(const std::string& name, Clock::Wall time, std::uint64_t count) {
  const bool known = totals_.contains(name);
  const std::string& as = known || totals_.size() < kNamesLimit ? name : std::string{kOthers};
  totals_[as] += count;
  Hour hour = std::chrono::floor<std::chrono::hours>(time);
  if (hours_.size() >= kHoursLimit && !hours_.contains(hour)) hour = hours_.rbegin()->first;
  hours_[hour][as] += count;
}

std::vector<std::pair<std::string, std::uint64_t>> Counts::totals() const {
  std::vector<std::pair<std::string, std::uint64_t>> list{totals_.begin(), totals_.end()};
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

void append_chart(std::string_view title, const Counts& counts, Html& html) {
  html.raw("<figure><figcaption>").text(title);
  if (counts.hours().empty()) {
    html.raw("</figcaption><p class=\"none\">none</p></figure>\n");
    return;
  }
  const std::vector<std::string> names = shown_names(counts);
  const hours width = bar_width(counts);
  html.raw(" <span>").raw(each(width)).raw("</span></figcaption>\n");
  const std::vector<Bar> bars = bars_of(counts, names, width);
  Drawing{html, bars, width}.draw(title);
  append_legend(counts, names, html);
  html.raw("</figure>\n");
}

}  // namespace hsm::audit_tools
