#include "hsm_signer/policy/zone.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "hsm_signer/base/os.h"
#include "tests/support/child.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/policy/instants.h"
#include "tests/unit/policy/tzif.h"

namespace hsm::policy {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::size_t kLimit = 65'536;

TEST(Zone, TellsWhatIsAddedToUtc) {
  struct Row {
    const char* zone;
    const char* at;
    int minutes;
  };
  for (const auto& [zone, when, minutes] : std::vector<Row>{
           {"UTC", "2026-07-01 12:00:00", 0},
           {"Etc/GMT+5", "2026-07-01 12:00:00", -300},
           {"Asia/Kolkata", "2026-07-01 12:00:00", 330},
           {"Asia/Kathmandu", "2026-07-01 12:00:00", 345},
           {"America/New_York", "2026-03-08 06:59:59", -300},
           {"America/New_York", "2026-03-08 07:00:00", -240},
           {"America/New_York", "2026-11-01 05:59:59", -240},
           {"America/New_York", "2026-11-01 06:00:00", -300},
           {"America/New_York", "2006-03-15 12:00:00", -300},  // Before the law of 2007.
           {"Europe/London", "2026-03-29 00:59:59", 0},
           {"Europe/London", "2026-03-29 01:00:00", 60},
           {"Europe/Dublin", "2026-07-01 12:00:00", 60},  // Whose winter is the saving.
           {"Europe/Dublin", "2045-07-01 12:00:00", 60},
           {"Europe/Dublin", "2045-12-01 12:00:00", 0},
           {"Australia/Sydney", "2026-01-01 12:00:00", 660},
           {"Australia/Sydney", "2026-04-04 15:59:59", 660},
           {"Australia/Sydney", "2026-04-04 16:00:00", 600},
           {"Australia/Lord_Howe", "2026-01-01 12:00:00", 660},
           {"Australia/Lord_Howe", "2026-07-01 12:00:00", 630},
           // Beyond what the file lists.
           {"America/New_York", "2040-07-01 12:00:00", -240},
           {"America/New_York", "2040-12-01 12:00:00", -300},
           {"America/New_York", "2261-07-01 12:00:00", -240},
           {"Australia/Sydney", "2261-01-01 12:00:00", 660},
           {"America/Nuuk", "2040-03-25 00:59:59", -120},  // At 24:00 less one hour, on Saturday.
           {"America/Nuuk", "2040-03-25 01:00:00", -60},
       }) {
    const auto loaded = Zone::load(zone);
    ASSERT_THAT(loaded, Succeeds()) << zone;
    EXPECT_EQ(loaded->offset_at(second_at(when)), std::chrono::minutes{minutes})
        << zone << " at " << when;
  }
}

TEST(Zone, RefusesWhatIsNoZone) {
  for (const std::string name : {"",
                                 "utc",
                                 "Nowhere",
                                 "America",
                                 "America/",
                                 "/America/New_York",
                                 "America//New_York",
                                 "america/new_york",
                                 "America/New_York ",
                                 "America/New York",
                                 "../zoneinfo/UTC",
                                 "America/../UTC",
                                 "./UTC",
                                 "zone.tab",
                                 "tzdata.zi",
                                 "leapseconds",
                                 "localtime",
                                 "posixrules",
                                 "Factory",
                                 "07:00-22:00",
                                 "EST5EDT,M3.2.0,M11.1.0",
                                 "America/New_York\n"})
    EXPECT_THAT(Zone::load(name), ErrorIs(Code::usage, HasSubstr("zone"))) << name;
  EXPECT_THAT(Zone::load(std::string("UTC\0", 4)), ErrorIs(Code::usage));
  EXPECT_THAT(Zone::load(std::string(65, 'A')), ErrorIs(Code::usage, HasSubstr("name")));
  EXPECT_THAT(Zone::load("right/Europe/London"), ErrorIs(Code::usage, HasSubstr("leap seconds")));
}

TEST(Zone, RefusesAFileThatIsCutOrHasMore) {
  const Bytes whole = read_file("/usr/share/zoneinfo/America/New_York", kLimit).value();
  ASSERT_THAT(Zone::parse(whole), Succeeds());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(Zone::parse(ByteView{whole}.first(size)), ErrorIs(Code::usage)) << size;
  Bytes more = whole;
  more.push_back('\n');
  EXPECT_THAT(Zone::parse(more), ErrorIs(Code::usage));
}

TEST(Zone, RefusesAFileWithoutSense) {
  const Bytes good = Tzif{.changes = {{100, 1}, {200, 0}}}.bytes();
  ASSERT_THAT(Zone::parse(good), Succeeds());
  for (const auto& [why, file] : std::vector<std::pair<const char*, Tzif>>{
           {"another magic", {.magic = "TZif1"}},
           {"version 1", {.magic = std::string("TZif\0", 5)}},
           {"no type", {.offsets = {}}},
           {"a change to a type that is not there", {.changes = {{100, 2}}}},
           {"changes at one instant", {.changes = {{100, 1}, {100, 0}}}},
           {"changes that go back", {.changes = {{100, 1}, {99, 0}}}},
           {"more than a day east", {.offsets = {0, 26 * 3600}}},
           {"more than a day west", {.offsets = {0, -25 * 3600}}},
           {"no rule", {.footer = ""}},
           {"two lines", {.footer = "UTC0\nUTC0"}},
       })
    EXPECT_THAT(Zone::parse(file.bytes()), ErrorIs(Code::usage)) << why;
}

TEST(Zone, RefusesRulesOfNoKnownForm) {
  for (const char* rule : {"E5",
                           "EST",
                           "EST5EDT",
                           "EST25",
                           "EST5:60",
                           "EST5:00:60",
                           "EST+-5",
                           "EST5EDT,",
                           "<EST5",
                           "<E>5",
                           "EST5EDT,M3.2.0",
                           "EST5EDT,M3.2.0,",
                           "EST5EDT,M13.2.0,M11.1.0",
                           "EST5EDT,M0.2.0,M11.1.0",
                           "EST5EDT,M3.0.0,M11.1.0",
                           "EST5EDT,M3.6.0,M11.1.0",
                           "EST5EDT,M3.2.7,M11.1.0",
                           "EST5EDT,M3.2.0/168,M11.1.0",
                           "EST5EDT,M3.2.0/,M11.1.0",
                           "EST5EDT,M3.2.0,M11.1.0 ",
                           "EST5EDT,M3.2.0,M11.1.0,M11.1.0",
                           "EST5EDT,M3.2,M11.1.0",
                           "EST5EDT,J60,J300",
                           "EST5EDT,59,299",
                           "EST5ED4,M3.2.0,M11.1.0",
                           ":EST5",
                           "EST5EDT4;M3.2.0;M11.1.0",
                           "EST0005"})
    EXPECT_THAT(Zone::parse(Tzif{.footer = rule}.bytes()), ErrorIs(Code::usage)) << rule;
}

TEST(Zone, FollowsARuleWhereTheFileListsNoChange) {
  struct Row {
    const char* rule;
    const char* change;  // UTC
    int before, after;   // Minutes.
  };
  for (const auto& [rule, change, before, after] : std::vector<Row>{
           {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08 07:00:00", -300, -240},
           {"EST5EDT4:30,M3.2.0,M11.1.0", "2026-11-01 06:30:00", -270, -300},
           {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-10-03 15:30:00", 630, 660},
           {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-10-25 01:00:00", 60, 0},
           {"XXX0YYY,M2.5.0/0,M8.5.6/0", "2026-02-22 00:00:00", 0, 60},  // Four Sundays: last is 4.
           {"XXX0YYY,M2.4.6/0,M8.5.6/0", "2020-02-22 00:00:00", 0, 60},
           {"XXX0YYY,M2.5.6/0,M8.5.6/0", "2020-02-29 00:00:00", 0, 60},
           {"XXX0YYY,M3.5.0/-1,M10.5.0/0", "2026-03-28 23:00:00", 0, 60},
           {"XXX0YYY,M3.4.4/50:30:15,M10.4.4/50", "2026-03-28 02:30:15", 0, 60},
           {"XXX0YYY,M3.1.0/167,M10.4.4", "2026-03-07 23:00:00", 0, 60},
       }) {
    const auto zone = Zone::parse(Tzif{.footer = rule}.bytes());
    ASSERT_THAT(zone, Succeeds()) << rule;
    EXPECT_EQ(zone->offset_at(second_at(change) - seconds{1}), std::chrono::minutes{before})
        << rule;
    EXPECT_EQ(zone->offset_at(second_at(change)), std::chrono::minutes{after}) << rule;
  }
}

TEST(Zone, TakesTheRuleWhereTheFileListsNothing) {
  const auto zone = Zone::parse(Tzif{.offsets = {7200}, .footer = "EST5"}.bytes());
  ASSERT_THAT(zone, Succeeds());
  EXPECT_EQ(zone->offset_at(second_at("2026-07-01 12:00:00")), -hours{5});
}

TEST(Zone, HoldsTheListedChangesUntilTheRuleBegins) {
  // A last change in June of a year whose rule would have changed in March already.
  const auto june = second_at("2030-06-01 00:00:00").time_since_epoch().count();
  const auto zone = Zone::parse(
      Tzif{.changes = {{june, 1}}, .offsets = {7200, 3600}, .footer = "EST-1EDT,M3.5.0,M10.5.0"}
          .bytes());
  ASSERT_THAT(zone, Succeeds());
  EXPECT_EQ(zone->offset_at(second_at("1970-01-01 00:00:00")), hours{2});
  EXPECT_EQ(zone->offset_at(second_at("2030-05-31 23:59:59")), hours{2});
  EXPECT_EQ(zone->offset_at(second_at("2030-06-01 00:00:00")), hours{1});
  EXPECT_EQ(zone->offset_at(second_at("2031-03-30 00:59:59")), hours{1});
  EXPECT_EQ(zone->offset_at(second_at("2031-03-30 01:00:00")), hours{2});
}

// zic(8), which makes these files, can leave out what the rule at the end says ("slim") or list it
// ("fat", as Debian does): the same zone either way. (All but Asia/Gaza,
// whose Ramadans after 2073 the zic of glibc 2.36 forgets when it writes slim ones.)
TEST(Zone, ReadsTheSameFromSlimFiles) {
  const TempDir dir;
  const Ended zic = in_child([&] {
    ::execlp("/usr/sbin/zic", "zic", "-b", "slim", "-d", dir.path().c_str(),
             "/usr/share/zoneinfo/tzdata.zi", nullptr);
    return 127;
  });
  ASSERT_EQ(zic.status, 0) << "zic (package libc-bin): " << zic.said;
  for (const std::string name : {"America/New_York", "Europe/London", "Europe/Dublin",
                                 "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Chatham",
                                 "Africa/Casablanca", "America/Nuuk", "Asia/Tokyo"}) {
    const Bytes slim = read_file(dir / name, kLimit).value();
    EXPECT_LT(slim.size(), read_file("/usr/share/zoneinfo/" + name, kLimit).value().size()) << name;
    const Zone a = Zone::parse(slim).value();
    const Zone b = Zone::load(name).value();
    std::size_t differences = 0;
    for (auto t = second_at("1971-01-01 00:00:00"); t < second_at("2100-01-01 00:00:00");
         t += seconds{123'457})
      differences += a.offset_at(t) == b.offset_at(t) ? 0 : 1;
    EXPECT_EQ(differences, 0U) << name;
  }
}

}  // namespace
}  // namespace hsm::policy
