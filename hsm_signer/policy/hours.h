// hours = "Mon-Fri 07:00-22:00 America/New_York": when a rule holds (docs/policy.md).
#pragma once

#include <bitset>
#include <string>
#include <string_view>

#include "hsm_signer/base/os.h"
#include "hsm_signer/policy/zone.h"

namespace hsm::policy {

// One or more groups of days and times, divided by "; ", and one time zone:
//
//   hours = group *( "; " group ) " " zone
//   group = days " " HH:MM "-" HH:MM
//   days  = range *( "," range )      range = day [ "-" day ]      day = Mon … Sun
//
// From the first minute on, until just before the last; 24:00 is the end of the day. An end that is
// not after its beginning is on the next day: "Fri 22:00-02:00" closes on Saturday at two.
//
// What counts is what a clock on the wall of that zone shows: an hour that it skips in spring never
// comes, and one that it shows twice in autumn is open, or closed, both times.
class Hours {
 public:
  // usage with a sentence for anything else: a day in two ranges of a group, minutes that two
  // groups both open, an empty time, an unknown zone. Reads the zone's file.
  static Result<Hours> parse(std::string_view text);

  // No I/O, some tens of nanoseconds.
  bool open_at(Clock::Wall at) const;
  // As it was given.
  const std::string& text() const { return text_; }
  // Read from the same text: the database of zones aside, the same hours.
  bool operator==(const Hours& other) const { return text_ == other.text_; }

 private:
  static constexpr std::size_t kDay = 24 * 60;
  static constexpr std::size_t kWeek = 7 * kDay;

  Result<void> add_group(std::string_view group);

  std::string text_;
  Zone zone_;
  std::bitset<kWeek> open_;  // By minute of the week, from Monday 00:00 local time.
};

}  // namespace hsm::policy
