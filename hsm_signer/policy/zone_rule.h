// The line that ends a time zone file: what holds after its last listed change, for good.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "hsm_signer/base/result.h"

namespace hsm::policy {

// From `at` on, local time is UTC + `offset`.
struct Change {
  std::chrono::sys_seconds at;
  std::chrono::seconds offset;
};

// "EST5EDT,M3.2.0,M11.1.0": the value of TZ (POSIX.1-2017 section 8.3, with the hours up to 167 of
// RFC 8536 section 3.3.1). Dates are of the form Mm.w.d alone; no zone of the IANA database has
// another.
class ZoneRule {
 public:
  // usage where it is of no such form.
  static Result<ZoneRule> parse(std::string_view text);

  // Of the months without daylight saving.
  std::chrono::seconds standard() const { return standard_; }
  // The two changes of each year, in order of time; none where there is no daylight saving.
  std::vector<Change> changes(std::chrono::year first, std::chrono::year last) const;

 private:
  struct Date {
    std::chrono::month month;
    unsigned week;  // 5: the last.
    std::chrono::weekday day;
    std::chrono::seconds time;  // By the clock that is changed.
  };
  struct Saving {
    std::chrono::seconds offset;
    Date begin;
    Date end;
  };
  class Reader;

  static std::chrono::sys_seconds instant(std::chrono::year year, const Date& date,
                                          std::chrono::seconds offset_before);

  std::chrono::seconds standard_{0};
  std::optional<Saving> saving_;
};

}  // namespace hsm::policy
