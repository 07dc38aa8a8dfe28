#include "hsm_signer/base/duration.h"

#include <gmock/gmock.h>

#include "tests/support/error_is.h"

namespace hsm {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(Duration, ReadsEachUnit) {
  EXPECT_EQ(*parse_duration("1s"), seconds{1});
  EXPECT_EQ(*parse_duration("90s"), seconds{90});
  EXPECT_EQ(*parse_duration("15m"), seconds{900});
  EXPECT_EQ(*parse_duration("24h"), seconds{86'400});
  EXPECT_EQ(*parse_duration("366d"), seconds{366 * 86'400});
}

TEST(Duration, RefusesEveryOtherForm) {
  for (const char* text : {"", "s", "1", "0s", "01s", "-1s", "+1s", "1.5h", "1 h", "1H", "1ms",
                           "1h30m", " 1h", "1h ", "99999999999999999999s"})
    EXPECT_THAT(parse_duration(text), ErrorIs(Code::usage, HasSubstr("length of time"))) << text;
}

TEST(Duration, RefusesMoreThanAYear) {
  for (const char* text : {"367d", "8785h", "31622401s"})
    EXPECT_THAT(parse_duration(text), ErrorIs(Code::usage)) << text;
}

TEST(Duration, WritesTheLargestUnitThatDividesIt) {
  EXPECT_EQ(duration_text(seconds{0}), "0s");
  EXPECT_EQ(duration_text(seconds{90}), "90s");
  EXPECT_EQ(duration_text(seconds{900}), "15m");
  EXPECT_EQ(duration_text(seconds{3'600}), "1h");
  EXPECT_EQ(duration_text(seconds{86'400}), "1d");
}

TEST(Instant, IsTakenWithAndWithoutMicroseconds) {
  EXPECT_EQ(*parse_instant("2026-12-31T23:59:59Z"), *parse_rfc3339("2026-12-31T23:59:59.000000Z"));
  EXPECT_EQ(*parse_instant("2026-12-31T23:59:59.000001Z"),
            *parse_rfc3339("2026-12-31T23:59:59.000001Z"));
}

TEST(Instant, IsRefusedInEveryOtherForm) {
  for (const char* text :
       {"", "2026-12-31", "2026-12-31T23:59:59", "2026-12-31 23:59:59Z", "2026-13-31T23:59:59Z",
        "2026-12-31T24:00:00Z", "2026-12-31T23:59:59z", "2026-12-31T23:59:59.1Z",
        "2026-12-31T23:59:59+00:00", "1969-12-31T23:59:59Z", "Z"})
    EXPECT_THAT(parse_instant(text), ErrorIs(Code::invalid_payload)) << text;
}

}  // namespace
}  // namespace hsm
