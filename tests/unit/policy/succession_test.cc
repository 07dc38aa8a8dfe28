#include "hsm_signer/policy/succession.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"
#include "tests/unit/policy/fixture.h"

namespace hsm::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Rules with(const std::string& windows, const std::string& name = "orders",
           const std::string& key = "desk-a.trade") {
  return rules_of(with_clients("[[rule]]\nname = \"" + name + "\"\nclient = \"mm-bot\"\nkey = \"" +
                               key + "\"\nallow = [\"/v1/order/new\"]\nsides = [\"buy\"]\n" +
                               windows));
}

const std::string kHour = R"(window = [ { per = "1h", max_count = 5 } ])";

TEST(PolicySuccession, KeepsWindowsWhoseLimitsAloneChange) {
  EXPECT_THAT(windows_begun(with(kHour), with(kHour)), IsEmpty());
  EXPECT_THAT(windows_begun(with(kHour), with(R"(window = [ { per = "60m", max_count = 9 } ])")),
              IsEmpty());
  EXPECT_THAT(windows_begun(with(kHour), with("")), IsEmpty()) << "one that is gone";
}

TEST(PolicySuccession, TellsWhichBeginAnew) {
  EXPECT_THAT(windows_begun(with(""), with(kHour)), ElementsAre("rule \"orders\", 1h"));
  EXPECT_THAT(windows_begun(with(kHour), with(kHour, "renamed")),
              ElementsAre("rule \"renamed\", 1h"));
  EXPECT_THAT(windows_begun(with(kHour), with(R"(window = [ { per = "2h", max_count = 5 } ])")),
              ElementsAre("rule \"orders\", 2h"));
  EXPECT_THAT(windows_begun(with(kHour), with(R"(window = [
    { per = "1h", by = "client", max_count = 5 }, { per = "1h", by = "key", max_count = 5 },
    { per = "1h", by = "symbol", max_count = 5 }, { per = "1h", by = "symbol", max_count = 6 } ])")),
              ElementsAre("client mm-bot, 1h", "key desk-a.trade, 1h", "symbol, 1h"));
  const std::string by_key = R"(window = [ { per = "1h", by = "key", max_count = 5 } ])";
  EXPECT_THAT(windows_begun(with(by_key), with(by_key, "orders", "desk-b")),
              ElementsAre("key desk-b, 1h"));
}

// A change of a rate counts from the reload on, and no reload of the same policy fills a bucket.
TEST(PolicySuccession, ChangesARateAndKeepsOneThatStays) {
  Usage usage;
  const auto ask = [&](const Rules& rules) {
    const Rule& rule = rules.rules().back();
    Charge charge;
    const bool fits = !usage.check(rules, rule, charge, true, {}, {}, nullptr);
    if (fits) usage.take(rules, rule, charge, true, {}, {});
    return fits;
  };
  const Rules slow = with("rate = { per_second = 1 }");
  const Rules same = with("rate = { per_second = 1 }\nsymbols = [\"btcusd\"]");
  const Rules fast = with("rate = { per_second = 2 }");
  EXPECT_TRUE(ask(slow));
  EXPECT_FALSE(ask(slow));
  usage.follow(slow, same);
  EXPECT_FALSE(ask(same));
  usage.follow(same, fast);
  EXPECT_TRUE(ask(fast));
  EXPECT_TRUE(ask(fast));
  EXPECT_FALSE(ask(fast));
  usage.follow(fast, slow);
  EXPECT_TRUE(ask(slow));
  EXPECT_FALSE(ask(slow));
}

class NamesOfFiles : public testing::Test {
 protected:
  void write(const char* name, const std::string& text) { std::ofstream{dir_ / name} << text; }
  std::string refusal(const std::string& client) {
    const auto rules = Rules::parse("version = 1\n[[client]]\nname = \"c\"\n" + client,
                                    "policy.toml", files_resolver(dir_ / "passwd", dir_ / "group"));
    return rules ? "" : rules.error().sentence();
  }
  TempDir dir_;
};

TEST_F(NamesOfFiles, AreFoundToTheLetter) {
  write("passwd",
        "root:x:0:0:root:/root:/bin/bash\nmmbot2:x:1002:7::/:/x\nmmbot:x:1001:7:,,,:/:/x");
  write("group", "desk:x:2001:mmbot,other\n");
  const Resolver names = files_resolver(dir_ / "passwd", dir_ / "group");
  EXPECT_EQ(names.user("root"), 0U);
  EXPECT_EQ(names.user("mmbot"), 1001U);
  EXPECT_EQ(names.group("desk"), 2001U);
  for (const char* name : {"mmbo", "mmbot22", "MMBOT", "", "x", "1001", "mmbot:x", "other"})
    EXPECT_EQ(names.user(name), std::nullopt) << name;
  EXPECT_EQ(names.group("mmbot"), std::nullopt);
}

TEST_F(NamesOfFiles, AreNoneWhereALineIsOutOfForm) {
  write("passwd",
        "short\nhalf:x\nword:x:abc:7::/:/x\nminus:x:-1:7::/:/x\nlast:x:4294967295:7::/:/x\n");
  write("group", "");
  const Resolver names = files_resolver(dir_ / "passwd", dir_ / "group");
  for (const char* name : {"short", "half", "word", "minus", "last"})
    EXPECT_EQ(names.user(name), std::nullopt) << name;
}

TEST_F(NamesOfFiles, SayWhereTheyAreLookedUp) {
  write("passwd", "root:x:0:0::/:/x\n");
  write("group", "");
  EXPECT_EQ(refusal("uid = \"root\""), "");
  EXPECT_THAT(
      refusal("uid = \"ldapuser\""),
      testing::AllOf(HasSubstr("policy.toml:4:"), HasSubstr("there is no user: ldapuser in "),
                     HasSubstr("where alone names are looked up"),
                     HasSubstr("write the number, or restart the signer")));
  EXPECT_EQ(refusal("uid = \"4711\""), "") << "a number needs no file";
}

TEST_F(NamesOfFiles, SayThatAFileIsOutOfReach) {
  EXPECT_THAT(
      refusal("uid = \"root\""),
      testing::AllOf(HasSubstr("No such file"), HasSubstr("replaced since the signer started"),
                     Not(HasSubstr("where alone"))));
  EXPECT_EQ(refusal("uid = \"4711\""), "");
}

}  // namespace
}  // namespace hsm::policy
