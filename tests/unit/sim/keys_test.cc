#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "hsm_signer/sim/answers.h"
#include "hsm_signer/sim/journal.h"
#include "hsm_signer/sim/money.h"
#include "hsm_signer/sim/setup.h"
#include "tests/support/error_is.h"

namespace hsm::sim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TempDirectory {
 public:
  TempDirectory() { path_ = ::mkdtemp(path_.data()); }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/hsm-sim-test-XXXXXX";
};

TEST(KeysFile, ReadsEveryMemberAndDefaults) {
  const TempDirectory dir;
  ASSERT_TRUE(write_file_atomic(dir.file("s"), as_bytes("from-a-file\n"), 0600));
  const auto setup = parse_setup(R"(
[[key]]
id = "account-a"
secret = "1234abcd"
roles = ["trader", "fund_manager"]
[[key]]
id = "master-b"
secret_file = "s"
roles = ["administrator"]
nonce = "time-based"
scope = "master"
[[key]]
id = "account-c"
secret = "x"
roles = ["auditor"]
heartbeat = true
account = "savings"
trusted_ips = ["127.0.0.1", "10.0.0.0/8"]
[[account]]
name = "savings"
approved_list = false
[[approved]]
network = "bitcoin"
address = "bc1-cold"
[[approved]]
account = "savings"
network = "xrpl"
address = "rCold"
label = "cold"
memo = "7"
)",
                                 "keys.toml", dir.path());
  ASSERT_THAT(setup, Succeeds());
  const std::vector<ApiKey>& keys = setup->keys;
  ASSERT_EQ(keys.size(), 3U);
  const ApiKey& a = keys[0];
  EXPECT_TRUE(as_text(a.secret.view()) == "1234abcd");
  EXPECT_EQ(a.roles, kTrader | kFundManager);
  EXPECT_EQ(a.nonce, NonceRule::incrementing);
  EXPECT_EQ(a.scope, Scope::account);
  EXPECT_FALSE(a.heartbeat);
  const ApiKey& b = keys[1];
  EXPECT_TRUE(as_text(b.secret.view()) == "from-a-file");
  EXPECT_EQ(b.nonce, NonceRule::time_based);
  EXPECT_EQ(b.scope, Scope::master);
  EXPECT_TRUE(keys[2].heartbeat);
  EXPECT_EQ(a.account, "primary");
  EXPECT_EQ(b.account, "");
  EXPECT_EQ(keys[2].account, "savings");
  EXPECT_TRUE(a.trusts("203.0.113.9"));
  EXPECT_TRUE(a.trusts(""));
  EXPECT_TRUE(keys[2].trusts("10.200.0.1"));
  EXPECT_FALSE(keys[2].trusts("127.0.0.2"));
  EXPECT_FALSE(keys[2].trusts(""));
  ASSERT_EQ(setup->accounts.size(), 2U);
  EXPECT_EQ(setup->accounts[0].name, "primary");
  EXPECT_TRUE(setup->accounts[0].approved_list);
  EXPECT_EQ(setup->accounts[1].name, "savings");
  EXPECT_FALSE(setup->accounts[1].approved_list);
  ASSERT_EQ(setup->approved.size(), 2U);
  EXPECT_EQ(setup->approved[0].scope(), "group");
  EXPECT_EQ(setup->approved[1].account, "savings");
  EXPECT_EQ(setup->approved[1].memo, "7");
}

struct BadFile {
  const char* text;
  const char* says;

  friend void PrintTo(const BadFile& row, std::ostream* out) { *out << row.says; }
};
class BadKeysFiles : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadKeysFiles, AreRefusedWithPlaceAndReasonAndWithoutTheSecret) {
  EXPECT_THAT(parse_setup(GetParam().text, "keys.toml", "/nonexistent"),
              ErrorIs(Code::usage, AllOf(HasSubstr(GetParam().says), Not(HasSubstr("sesame")))));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadKeysFiles,
    ::testing::Values(
        BadFile{"", "at least one [[key]]"}, BadFile{"[[key]\n", "keys.toml:1:"},
        BadFile{"version = 1\n", "keys.toml:1:1: \"version\": unknown key"},
        BadFile{"[[key]]\nsecret = \"sesame\"\nroles = [\"trader\"]\n", "id"},
        BadFile{"[[key]]\nid = \"a b\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n",
                "keys.toml:2:"},
        BadFile{"[[key]]\nid = \"a\"\nroles = [\"trader\"]\n", "either secret or secret_file"},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nsecret_file = \"s\"\nroles = [\"trader\"]\n",
            "either secret or secret_file"},
        BadFile{"[[key]]\nid = \"a\"\nsecret_file = \"s\"\nroles = [\"trader\"]\n",
                "/nonexistent/s"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"\"\nroles = [\"trader\"]\n",
                "1 to 4096 printable"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"open sesame\"\nroles = [\"trader\"]\n",
                "1 to 4096 printable"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\\n\"\nroles = [\"trader\"]\n",
                "control character"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"s\\u00e9same\"\nroles = [\"trader\"]\n",
                "1 to 4096 printable"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = 5\nroles = [\"trader\"]\n", "must be a string"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\n", "at least one role"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = []\n", "at least one role"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"Trader\"]\n", "knows trader"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"auditor\", \"trader\"]\n",
                "combined"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"administrator\"]\n",
                "master"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nnonce = \"ms\"\n",
                "\"incrementing\", \"time-based\""},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nscope = \"group\"\n",
            "\"account\", \"master\""},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nheartbeat = 1\n",
                "true or false"},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nscope = \"master\"\n"
            "heartbeat = true\n",
            "no heartbeat on master keys"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nip = \"1\"\n",
                "unknown key"},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n[[key]]\nid = \"a\"\n"
            "secret = \"sesame\"\nroles = [\"trader\"]\n",
            "stands twice"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\naccount = \"x\"\n",
                "no such [[account]]"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\nscope = "
                "\"master\"\naccount = \"primary\"\n",
                "a master key is for all accounts"},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\ntrusted_ips = []\n",
            "would trust nobody"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\ntrusted_ips = "
                "[\"127.0.0.256\"]\n",
                "not: 127.0.0.256"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\ntrusted_ips = "
                "[\"10.0.0.1/8\"]\n",
                "IPv4 addresses and CIDR"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\ntrusted_ips = "
                "\"127.0.0.1\"\n",
                "trusted_ips"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n[[account]]\nname "
                "= \"My Account\"\n",
                "a-z 0-9 -"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n[[account]]\nname "
                "= \"b\"\n[[account]]\nname = \"b\"\n",
                "stands twice"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n[[account]]\nname "
                "= \"b\"\ntype = \"custody\"\n",
                "unknown key"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = "
                "[\"trader\"]\n[[approved]]\nnetwork = \"dogecoin\"\naddress = \"D\"\n",
                "bitcoin, ethereum"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = "
                "[\"trader\"]\n[[approved]]\nnetwork = \"bitcoin\"\naddress = \"\"\n",
                "must not be empty"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = "
                "[\"trader\"]\n[[approved]]\nnetwork = \"bitcoin\"\n",
                "address"},
        BadFile{
            "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n[[approved]]\naccount "
            "= \"x\"\nnetwork = \"bitcoin\"\naddress = \"b\"\n",
            "no such [[account]]"},
        BadFile{"[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n"
                "[[approved]]\nnetwork = \"bitcoin\"\naddress = \"b\"\n"
                "[[approved]]\nnetwork = \"bitcoin\"\naddress = \"b\"\nlabel = \"again\"\n",
                "keys.toml:10:11: \"address\": stands twice"}));

// As many as a request could have added, and not one more.
TEST(KeysFile, HoldsNoMoreApprovedAddressesThanTheBookDoes) {
  std::string text = "[[key]]\nid = \"a\"\nsecret = \"sesame\"\nroles = [\"trader\"]\n";
  for (std::size_t i = 0; i < AddressBook::kMost; ++i)
    text += "[[approved]]\nnetwork = \"bitcoin\"\naddress = \"b" + std::to_string(i) + "\"\n";
  EXPECT_THAT(parse_setup(text, "keys.toml", "/nonexistent"), Succeeds());
  text += "[[approved]]\nnetwork = \"xrpl\"\naddress = \"b0\"\n";
  EXPECT_THAT(parse_setup(text, "keys.toml", "/nonexistent"),
              ErrorIs(Code::usage, HasSubstr("one more than the address book holds")));
}

// One address of two accounts, or of two networks, is two.
TEST(KeysFile, TakesAnAddressAgainInAnotherPlace) {
  const auto setup = parse_setup(R"(
[[key]]
id = "a"
secret = "s"
roles = ["trader"]
[[account]]
name = "savings"
[[approved]]
network = "bitcoin"
address = "b"
[[approved]]
network = "ethereum"
address = "b"
[[approved]]
account = "savings"
network = "bitcoin"
address = "b"
)",
                                 "keys.toml", "/nonexistent");
  ASSERT_THAT(setup, Succeeds());
  EXPECT_EQ(setup->approved.size(), 3U);
}

TEST(KeysFile, ThatIsNotThereIsNamed) {
  EXPECT_THAT(load_setup("/nonexistent/keys.toml"),
              ErrorIs(Code::usage, HasSubstr("/nonexistent/keys.toml")));
}

TEST(Journal, AppendsOneLinePerRequestAndKeepsWhatWasThere) {
  const TempDirectory dir;
  for (int i = 0; i < 2; ++i) {
    auto journal = Journal::open(dir.file("j"));
    ASSERT_THAT(journal, Succeeds());
    Entry entry;
    entry.key = "account-a";
    entry.request = "/v1/\"x\n\x80";
    entry.nonce = "5";
    entry.status = 200;
    ASSERT_THAT(journal->append(entry), Succeeds());
    entry = Entry{};
    entry.request = "/";
    entry.refused = Reason::endpoint_not_found;
    entry.status = 404;
    ASSERT_THAT(journal->append(entry), Succeeds());
    entry = Entry{};
    entry.request = "/v1/orders";
    entry.fault = "close";
    entry.untouched = true;
    ASSERT_THAT(journal->append(entry), Succeeds());
  }
  const std::string twice =
      R"({"time":"1970-01-01T00:00:00.000000Z","key":"account-a","request":"/v1/\"x??","nonce":"5",)"
      R"("verdict":"accepted","reason":null,"status":200,"fault":null})"
      "\n"
      R"({"time":"1970-01-01T00:00:00.000000Z","key":null,"request":"/","nonce":null,)"
      R"("verdict":"refused","reason":"EndpointNotFound","status":404,"fault":null})"
      "\n"
      R"({"time":"1970-01-01T00:00:00.000000Z","key":null,"request":"/v1/orders","nonce":null,)"
      R"("verdict":"untouched","reason":null,"status":null,"fault":"close"})"
      "\n";
  const auto text = read_file(dir.file("j"), 1 << 20);
  ASSERT_THAT(text, Succeeds());
  EXPECT_EQ(as_text(*text), twice + twice);
}

TEST(Journal, SaysWhenItCannotBeOpenedOrWritten) {
  EXPECT_THAT(Journal::open("/nonexistent/j"), ErrorIs(Code::usage, HasSubstr("/nonexistent/j")));
  auto full = Journal::open("/dev/full");
  ASSERT_THAT(full, Succeeds());
  EXPECT_THAT(full->append(Entry{}), ErrorIs(Code::internal, HasSubstr("/dev/full")));
}

TEST(Readiness, NamesWhatIsListenedOn) {
  EXPECT_EQ(ready_body(8080, ""),
            R"({"ready":true,"listen":"127.0.0.1:8080","port":8080,"unix":null})");
  EXPECT_EQ(ready_body({}, "/tmp/a\"b"),
            R"({"ready":true,"listen":null,"port":null,"unix":"/tmp/a\"b"})");
}

TEST(Amounts, AreMultipliedExactlyAndRoundedUp) {
  const auto product = [](const char* a, const char* b) {
    const std::optional<Money> result = Money::parse(a)->times(*Money::parse(b));
    return result ? result->text() : "none";
  };
  EXPECT_EQ(product("0.00000001", "0.01"), "0.0000000001");
  EXPECT_EQ(product("12345678.90", "0.12345678"), "1524157.763907942");
  EXPECT_EQ(product("0.000000000000000001", "0.1"), "0.000000000000000001");
  EXPECT_EQ(product("999999999999999999", "999999999999999999"), "none");
  EXPECT_EQ(product("0", "999999999999999999"), "0");
}

TEST(Amounts, NeitherOverflowNorFallBelowZero) {
  const Money most{~Uint128{0}};
  EXPECT_EQ(most.plus(Money{1}), std::nullopt);
  EXPECT_EQ(Money{1}.minus(Money{2}), std::nullopt);
  EXPECT_EQ(most.minus(most)->text(), "0");
}

}  // namespace
}  // namespace hsm::sim
