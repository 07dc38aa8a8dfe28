#include "hsm_signer/token/ceiling.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"

namespace hsm::token {
namespace {

using ::testing::HasSubstr;
using venue::Class;

constexpr std::size_t kLimit = 8 * 1024;

Result<Ceilings> parse(const std::string& keys, Mode mode = Mode::production) {
  return Ceilings::parse("version = 1\n" + keys, "ceilings.toml", mode);
}

std::string entry(const std::string& lines) { return "[[key]]\n" + lines; }

Result<std::optional<Demanded>> judged(const Ceiling& ceiling, std::string_view json) {
  return judge(ceiling, std::string{json});
}

constexpr std::string_view kRead = R"({"request":"/v1/balances","nonce":1})";
constexpr std::string_view kCancel = R"({"request":"/v1/order/cancel","nonce":1,"order_id":7})";
constexpr std::string_view kTrade =
    R"({"request":"/v1/order/new","nonce":1,"symbol":"btcusd","amount":"1","price":"2","side":"buy","type":"exchange limit"})";
constexpr std::string_view kMove =
    R"({"request":"/v1/withdraw/btc","nonce":1,"address":"bc1q","amount":"1"})";
constexpr std::string_view kSession = R"({"request":"/v1/heartbeat","nonce":1})";

TEST(Ceiling, WithoutAnEntryAllowsReadCancelTradeSessionAtFifty) {
  const auto ceilings = parse("");
  ASSERT_THAT(ceilings, Succeeds());
  const Ceiling& ceiling = ceilings->of("desk-a.trade.v1");
  EXPECT_EQ(ceiling.rate, 50U);
  EXPECT_EQ(ceiling.environment, Environment::production);
  for (const std::string_view json : {kRead, kCancel, kTrade, kSession})
    EXPECT_THAT(judged(ceiling, json), Succeeds()) << json;
  EXPECT_THAT(judged(ceiling, kMove), ErrorIs(Code::denied, HasSubstr("class move")));
  for (const Class cls : {Class::move, Class::widen, Class::admin})
    EXPECT_FALSE(ceiling.permits(cls));
}

TEST(Ceiling, AnEntryCountsForEveryVersionOfItsKeyAndNoOther) {
  const auto ceilings = parse(entry(
      "label = \"desk-a.trade\"\nenvironment = \"production\"\nclasses = [\"read\"]\nrate = 3\n"));
  ASSERT_THAT(ceilings, Succeeds());
  for (const char* label : {"desk-a.trade.v1", "desk-a.trade.v27"}) {
    EXPECT_EQ(ceilings->of(label).rate, 3U) << label;
    EXPECT_THAT(judged(ceilings->of(label), kTrade), ErrorIs(Code::denied)) << label;
    EXPECT_THAT(judged(ceilings->of(label), kRead), Succeeds()) << label;
  }
  for (const char* label :
       {"desk-a.trade2.v1", "desk-a.v1", "desk-a.trade.v1.v1", "desk-a.trade", "x"})
    EXPECT_EQ(ceilings->of(label).rate, 50U) << label;
}

TEST(Ceiling, AnEntryForOneVersionGoesBeforeItsKeyAndTheStar) {
  const auto with_rate = [](const std::string& label, int rate) {
    return entry("label = \"" + label + "\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n" +
                 "rate = " + std::to_string(rate) + "\n");
  };
  const std::string long_name(32, 'n');
  const std::string version = with_rate("desk-a.trade.v1", 1);
  const std::string key = with_rate("desk-a.trade", 2);
  const std::string star = with_rate("*", 3);
  const std::string longest = with_rate(long_name + ".v4294967295", 4);
  for (const std::string& text : {version + key + star + longest, longest + star + key + version,
                                  key + longest + version + star}) {
    const auto ceilings = parse(text, Mode::development);
    ASSERT_THAT(ceilings, Succeeds());
    EXPECT_EQ(ceilings->of("desk-a.trade.v1").rate, 1U);
    EXPECT_EQ(ceilings->of("desk-a.trade.v2").rate, 2U);
    EXPECT_EQ(ceilings->of("desk-a.trade.v11").rate, 2U);
    EXPECT_EQ(ceilings->of("desk-b.trade.v1").rate, 3U);
    EXPECT_EQ(ceilings->of(long_name + ".v4294967295").rate, 4U);
    EXPECT_EQ(ceilings->of(long_name + ".v1").rate, 3U);
  }
  const auto alone = parse(version);
  ASSERT_THAT(alone, Succeeds());
  EXPECT_THAT(judged(alone->of("desk-a.trade.v1"), kTrade), ErrorIs(Code::denied));
  EXPECT_THAT(judged(alone->of("desk-a.trade.v2"), kTrade), Succeeds());
}

// "x.v1" is version 1 of key x, and may be the name of another key.
TEST(Ceiling, AnEntryThatReadsBothWaysCountsForBoth) {
  const std::string both =
      entry("label = \"x.v1\"\nenvironment = \"production\"\nclasses = [\"read\"]\nrate = 1\n");
  const std::string key =
      entry("label = \"x\"\nenvironment = \"production\"\nclasses = [\"read\"]\nrate = 2\n");
  const std::string version =
      entry("label = \"x.v1.v1\"\nenvironment = \"production\"\nclasses = [\"read\"]\nrate = 3\n");
  for (const std::string& text : {both + key + version, version + key + both}) {
    const auto ceilings = parse(text);
    ASSERT_THAT(ceilings, Succeeds());
    EXPECT_EQ(ceilings->of("x.v1").rate, 1U) << "exactly, before key x";
    EXPECT_EQ(ceilings->of("x.v2").rate, 2U);
    EXPECT_EQ(ceilings->of("x.v1.v1").rate, 3U) << "exactly, before key x.v1";
    EXPECT_EQ(ceilings->of("x.v1.v2").rate, 1U) << "as a version of key x.v1";
  }
}

TEST(Ceiling, TheStarIsForSandboxKeysInDevelopment) {
  const std::string star = entry(
      "label = \"*\"\nenvironment = \"sandbox\"\nclasses = [\"move\"]\nofficers = 0\nrate = 9\n");
  const std::string named =
      entry("label = \"desk\"\nenvironment = \"production\"\nclasses = [\"read\"]\nrate = 3\n");
  for (const std::string& text : {star + named, named + star}) {
    const auto ceilings = parse(text, Mode::development);
    ASSERT_THAT(ceilings, Succeeds());
    EXPECT_EQ(ceilings->of("desk.v1").rate, 3U);
    EXPECT_EQ(ceilings->of("other.v1").rate, 9U);
  }
  EXPECT_THAT(parse(star), ErrorIs(Code::usage, HasSubstr("development")));
  EXPECT_THAT(parse(entry("label = \"*\"\nenvironment = \"production\"\nclasses = [\"read\"]\n"),
                    Mode::development),
              ErrorIs(Code::usage, HasSubstr("sandbox")));
}

TEST(Ceiling, MovesOfSandboxKeysNeedNoOfficers) {
  const auto ceilings = parse(
      entry("label = \"desk\"\nenvironment = \"sandbox\"\nclasses = [\"move\"]\nofficers = 0\n"));
  ASSERT_THAT(ceilings, Succeeds());
  const auto judgement = judged(ceilings->of("desk.v1"), kMove);
  ASSERT_THAT(judgement, Succeeds());
  EXPECT_FALSE(judgement->has_value());
  EXPECT_FALSE(ceilings->demand_officers());
}

TEST(Ceiling, LeavesMovesToOfficersWhereItNamesThem) {
  for (const char* environment : {"production", "sandbox"}) {
    const auto ceilings = parse(entry(
        std::string{"label = \"desk\"\nenvironment = \""} + environment +
        "\"\nclasses = [\"read\", \"move\"]\nofficers = { group = \"officers\", need = 2 }\n"));
    ASSERT_THAT(ceilings, Succeeds());
    EXPECT_TRUE(ceilings->demand_officers());
    const auto move = judged(ceilings->of("desk.v1"), kMove);
    ASSERT_THAT(move, Succeeds());
    ASSERT_TRUE(move->has_value());
    EXPECT_EQ((*move)->quorum.group, "officers");
    EXPECT_EQ((*move)->quorum.need, 2U);
    EXPECT_EQ((*move)->cls, Class::move);
    EXPECT_EQ((*move)->payload, R"({"request":"/v1/withdraw/btc","address":"bc1q","amount":"1"})");
    const auto read = judged(ceilings->of("desk.v1"), kRead);
    ASSERT_THAT(read, Succeeds());
    EXPECT_FALSE(read->has_value());
    EXPECT_THAT(judged(ceilings->of("desk.v1"), kTrade), ErrorIs(Code::denied));
  }
}

TEST(Ceiling, LeavesEachOfTheDangerousClassesToOfficers) {
  const auto ceilings = parse(
      entry("label = \"desk\"\nenvironment = \"production\"\nclasses = [\"read\", \"cancel\", "
            "\"trade\", \"session\", \"move\", \"widen\", \"admin\"]\n"
            "officers = { group = \"officers\", need = 1 }\n"));
  ASSERT_THAT(ceilings, Succeeds());
  const std::pair<std::string_view, bool> rows[] = {
      {kRead, false},
      {kCancel, false},
      {kTrade, false},
      {kSession, false},
      {kMove, true},
      {R"({"request":"/v1/deposit/bitcoin/newAddress","nonce":1})", true},
      {R"({"request":"/v1/approvedAddresses/btc/remove","nonce":1,"address":"bc1q"})", true},
      {R"({"request":"/v1/account/create","nonce":1,"name":"x"})", true},
  };
  for (const auto& [json, demands] : rows) {
    const auto judgement = judged(ceilings->of("desk.v1"), json);
    ASSERT_THAT(judgement, Succeeds()) << json;
    EXPECT_EQ(judgement->has_value(), demands) << json;
  }
}

TEST(Ceiling, MovesNothingOfAProductionKeyWhoseOfficersItDoesNotKnow) {
  // No file can say so; a fault in reading one would.
  Ceiling ceiling;
  ceiling.classes = ~0U;
  EXPECT_THAT(judged(ceiling, kMove), ErrorIs(Code::denied, HasSubstr("names no officers")));
}

TEST(Ceiling, RefusesFilesThatSayTooMuchOrTooLittle) {
  const std::string good = "label = \"desk\"\nenvironment = \"production\"\n";
  struct Row {
    std::string text;
    const char* says;
  };
  const Row rows[] = {
      {entry(good + "classes = [\"move\"]\n"), "need officers"},
      {entry(good + "classes = [\"widen\"]\n"), "need officers"},
      {entry(good + "classes = [\"admin\"]\n"), "need officers"},
      {entry(good + "classes = [\"move\"]\nofficers = 0\n"), "sandbox keys only"},
      {entry(good + "classes = [\"read\"]\nofficers = 0\n"), "sandbox keys only"},
      {entry(good + "classes = [\"move\"]\nofficers = 1\n"), "officers"},
      {entry(good + "classes = [\"move\"]\nofficers = { group = \"o\", need = 0 }\n"),
       "out of range"},
      {entry(good + "classes = [\"move\"]\nofficers = { group = \"O!\", need = 1 }\n"), "group"},
      {entry(good + "classes = [\"move\"]\nofficers = { group = \"o\", need = 1, extra = 1 }\n"),
       "unknown key"},
      {entry(good + "classes = [\"move\"]\nofficers = true\n"), "officers"},
      {entry(good + "classes = []\n"), "no class"},
      {entry(good), "no class"},
      {entry(good + "classes = [\"withdraw\"]\n"), "not a class"},
      {entry(good + "classes = [\"read\", \"read\"]\n"), "twice"},
      {entry(good + "classes = [\"read\"]\nrate = 0\n"), "out of range"},
      {entry(good + "classes = [\"read\"]\nrate = \"50\"\n"), "integer"},
      {entry(good + "classes = [\"read\"]\nws_login = true\n"), "not supported yet"},
      {entry(good + "classes = [\"read\"]\ntypo = 1\n"), "unknown key"},
      {entry("label = \"desk.v\"\nenvironment = \"live\"\nclasses = [\"read\"]\n"), "environment"},
      {entry("label = \"Desk\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n"),
       "exact CKA_LABEL"},
      {entry("label = \"Desk.v1\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n"), "label"},
      {entry("label = \"" + std::string(33, 'n') +
             ".v1\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n"),
       "label"},
      {entry("label = \"" + std::string(32, 'n') +
             ".v01\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n"),
       "label"},
      {entry("label = \"\"\nenvironment = \"sandbox\"\nclasses = [\"read\"]\n"), "label"},
      {entry("environment = \"sandbox\"\nclasses = [\"read\"]\n"), "missing key"},
      {entry(good + "classes = [\"read\"]\n") + entry(good + "classes = [\"read\"]\n"), "twice"},
      {"other = 1\n", "unknown key"},
      {"[key]\nlabel = \"desk\"\n", "array"},
  };
  for (const Row& row : rows)
    EXPECT_THAT(parse(row.text), ErrorIs(Code::usage, ::testing::AllOf(HasSubstr("ceilings.toml:"),
                                                                       HasSubstr(row.says))))
        << row.text;
  EXPECT_THAT(Ceilings::parse("version = 2\n", "c", Mode::production), ErrorIs(Code::usage));
  EXPECT_THAT(Ceilings::parse("", "c", Mode::production), ErrorIs(Code::usage));
}

TEST(Ceiling, JudgesTheBytesThatWouldBeSigned) {
  const std::string good = base64_encode(as_bytes(kSession));
  EXPECT_THAT(payload_of(as_bytes(good), kLimit), ::testing::Optional(std::string{kSession}));
  EXPECT_THAT(payload_of(as_bytes(good), good.size()), Succeeds());
  EXPECT_THAT(payload_of(as_bytes(good), good.size() - 1), ErrorIs(Code::too_large));
  for (const std::string& bad : {good + "=", good + "\n", " " + good, good.substr(1),
                                 std::string{kSession}, std::string("\0\1\2", 3)})
    EXPECT_THAT(payload_of(as_bytes(bad), kLimit), ErrorIs(Code::invalid_payload)) << bad;
  const Ceiling ceiling = Ceiling::without_entry();
  EXPECT_THAT(judged(ceiling, R"({"request":"/v1/no/such","nonce":1})"), ErrorIs(Code::denied));
  EXPECT_THAT(judged(ceiling, ""), ErrorIs(Code::invalid_payload));
  EXPECT_THAT(judged(ceiling, R"({"request":"/v1/heartbeat"})"), ErrorIs(Code::invalid_payload));
}

class CeilingsFile : public ::testing::Test {
 protected:
  CeilingsFile() { std::ofstream{path_} << "version = 1\n"; }
  TempDir dir_;
  std::string path_ = dir_ / "ceilings.toml";
};

TEST_F(CeilingsFile, BelongsToRootInProduction) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_THAT(Ceilings::load(path_, Mode::production), Succeeds());
  ASSERT_EQ(::chown(path_.c_str(), 54'321, 54'321), 0);
  EXPECT_THAT(Ceilings::load(path_, Mode::production),
              ErrorIs(Code::usage, HasSubstr("root must own")));
  EXPECT_THAT(Ceilings::load(path_, Mode::development),
              ErrorIs(Code::usage, HasSubstr("another user")));
}

TEST_F(CeilingsFile, IsWrittenByNobodyElse) {
  for (const mode_t mode : {mode_t{0664}, mode_t{0646}, mode_t{0666}}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_THAT(Ceilings::load(path_, Mode::development),
                ErrorIs(Code::usage, HasSubstr("chmod 0644")))
        << mode;
  }
  EXPECT_THAT(Ceilings::load(dir_ / "absent", Mode::development), ErrorIs(Code::usage));
}

}  // namespace
}  // namespace hsm::token
