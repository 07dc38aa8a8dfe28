// The file of officers: who is in it, whose key it is, and each mistake with its place.
#include "hsm_signer/officers/allowed.h"

#include <map>

#include "tests/support/error_is.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kText = "verb: import\n";

const std::string& line(KeyType type) {
  static std::map<KeyType, std::string> lines;
  std::string& line = lines[type];
  if (line.empty()) line = signer(type).line();
  return line;
}

std::string officer(const std::string& name, const std::string& key,
                    const std::string& more = "groups = [\"officers\"]\n") {
  return "[[officer]]\nname = \"" + name + "\"\nkeys = [\"" + key + "\"]\n" + more;
}

Result<AllowedOfficers> parse(const std::string& tables) {
  return AllowedOfficers::parse("version = 1\n" + tables, "allowed_officers");
}

Verified verified(KeyType type, Byte flags = 0x01) {
  auto result = verify(signer(type).sign(kText, {.flags = flags}), as_bytes(kText), kNamespace);
  EXPECT_THAT(result, Succeeds());
  return std::move(result).value();  // Throws rather than make one of nothing.
}

TEST(AllowedOfficers, FindsThePersonOfEachOfTheirKeys) {
  std::string keys;
  for (const KeyType type : {KeyType::ecdsa_p256, KeyType::ecdsa_p384, KeyType::rsa})
    keys += "\"" + line(type) + " a comment\",\n";
  const auto allowed =
      parse(officer("alice", line(KeyType::ed25519)) + "[[officer]]\nname = \"bob\"\nkeys = [\n" +
            keys + "]\ngroups = [\"officers\", \"treasury\"]\n");
  ASSERT_THAT(allowed, Succeeds());
  ASSERT_EQ(allowed->all().size(), 2u);
  for (const KeyType type : {KeyType::ecdsa_p256, KeyType::ecdsa_p384, KeyType::rsa}) {
    const auto found = allowed->officer_of(verified(type));
    ASSERT_THAT(found, Succeeds());
    EXPECT_EQ((*found)->name, "bob");
    EXPECT_TRUE((*found)->is_in("treasury"));
    EXPECT_FALSE((*found)->is_in("others"));
    EXPECT_EQ(allowed->owner_of(signer(type).public_key()), *found);
  }
  EXPECT_EQ((*allowed->officer_of(verified(KeyType::ed25519)))->name, "alice");
}

TEST(AllowedOfficers, KnowsNobodyElsesKey) {
  const auto allowed = parse(officer("alice", line(KeyType::ed25519)));
  ASSERT_THAT(allowed, Succeeds());
  EXPECT_THAT(allowed->officer_of(verified(KeyType::ecdsa_p256)),
              ErrorIs(Code::denied, HasSubstr("no officer's key: SHA256:")));
  EXPECT_EQ(allowed->owner_of({}), nullptr);
  Bytes longer = signer(KeyType::ed25519).public_key();
  longer.push_back(0);
  EXPECT_EQ(allowed->owner_of(longer), nullptr);
  EXPECT_EQ(allowed->owner_of(ByteView{longer}.first(longer.size() - 2)), nullptr);
}

TEST(AllowedOfficers, WithoutAnyKnowsNobody) {
  const auto allowed = parse("");
  ASSERT_THAT(allowed, Succeeds());
  EXPECT_THAT(allowed->officer_of(verified(KeyType::ed25519)), ErrorIs(Code::denied));
}

TEST(AllowedOfficers, DemandATouchOfEverySecurityKey) {
  for (const KeyType type : {KeyType::sk_ed25519, KeyType::sk_ecdsa_p256}) {
    for (const char* require : {"", "require = \"presence\"\n"}) {
      const auto allowed =
          parse(officer("alice", line(type), "groups = [\"officers\"]\n" + std::string{require}));
      ASSERT_THAT(allowed, Succeeds());
      EXPECT_THAT(allowed->officer_of(verified(type, 0x01)), Succeeds());
      EXPECT_THAT(allowed->officer_of(verified(type, 0x05)), Succeeds());
      EXPECT_THAT(allowed->officer_of(verified(type, 0x00)),
                  ErrorIs(Code::denied, HasSubstr("not touched: alice")));
      // A PIN without a touch is no touch.
      EXPECT_THAT(allowed->officer_of(verified(type, 0x04)),
                  ErrorIs(Code::denied, HasSubstr("not touched: alice")));
    }
  }
}

TEST(AllowedOfficers, DemandAPinOrAFingerWhereTheFileSaysSo) {
  for (const KeyType type : {KeyType::sk_ed25519, KeyType::sk_ecdsa_p256}) {
    const auto allowed = parse(
        officer("alice", line(type), "groups = [\"officers\"]\nrequire = \"verification\"\n"));
    ASSERT_THAT(allowed, Succeeds());
    EXPECT_THAT(allowed->officer_of(verified(type, 0x05)), Succeeds());
    EXPECT_THAT(allowed->officer_of(verified(type, 0x01)),
                ErrorIs(Code::denied, HasSubstr("not unlocked with a PIN or a finger: alice")));
    EXPECT_THAT(allowed->officer_of(verified(type, 0x04)),
                ErrorIs(Code::denied, HasSubstr("not touched")));
  }
}

TEST(AllowedOfficersFile, RefusesAKeyUnderTwoPersonsHoweverItIsWritten) {
  const std::string bytes = std::string{as_text(signer(KeyType::ed25519).public_key())};
  const std::string point = bytes.substr(bytes.size() - 32);
  const std::string as_security_key =
      ssh_string("sk-ssh-ed25519@openssh.com") + ssh_string(point) + ssh_string("ssh:");
  const std::string twin = "sk-ssh-ed25519@openssh.com " + base64_encode(as_bytes(as_security_key));
  for (const std::string& other : {line(KeyType::ed25519), line(KeyType::ed25519) + " bob", twin})
    EXPECT_THAT(parse(officer("alice", line(KeyType::ed25519)) + officer("bob", other)),
                ErrorIs(Code::usage, AllOf(HasSubstr("allowed_officers:8:8: \"keys\""),
                                           HasSubstr("another officer has this key"),
                                           HasSubstr("is alice's too"))));
  EXPECT_THAT(parse(officer("alice", line(KeyType::ed25519) + "\", \"" + twin)),
              ErrorIs(Code::usage, HasSubstr("a key stands twice")));
}

struct Mistake {
  const char* what;
  std::string tables;
  const char* sentence;
};

TEST(AllowedOfficersFile, RefusesEachMistakeWithItsPlace) {
  const std::string key = line(KeyType::ed25519);
  const std::string groups = "groups = [\"officers\"]\n";
  const auto with = [&](const std::string& more) { return officer("alice", key, more); };
  const Mistake rows[] = {
      {"no name", "[[officer]]\nkeys = [\"" + key + "\"]\n" + groups, ":2:1: missing key: name"},
      {"a name with a capital", officer("Alice", key), ":3:8: \"name\": must match"},
      {"an empty name", officer("", key), ":3:8: \"name\": must match"},
      {"a name that stands twice",
       officer("alice", key) + officer("alice", line(KeyType::ecdsa_p256)),
       ":7:8: \"name\": stands twice in this file: alice"},
      {"no keys", "[[officer]]\nname = \"alice\"\n" + groups, ":2:1: the officer has no key"},
      {"an empty list of keys", "[[officer]]\nname = \"alice\"\nkeys = []\n" + groups,
       ":4:8: \"keys\": the officer has no key"},
      {"a key that is none", officer("alice", "ssh-ed25519"),
       ":4:8: \"keys\": not a line of an SSH public"},
      {"a key with options", officer("alice", "cert-authority " + key), "key 1: the second word"},
      {"a DSA key", officer("alice", "ssh-dss " + base64_encode(as_bytes(ssh_string("ssh-dss")))),
       "key 1: ssh-dss (DSA) is too weak"},
      {"an RSA key of 2048 bits", officer("alice", TestSigner{KeyType::rsa, "", 2048}.line()),
       "key 1: ssh-rsa with 2048 bits"},
      {"a second key that is none", officer("alice", key + "\", \"ssh-rsa AAAA"), "key 2: "},
      {"the same key twice", officer("alice", key + "\", \"" + key + " at home"),
       ":4:8: \"keys\": a key stands twice: SHA256:"},
      {"no groups", with(""), ":2:1: the officer is in no group"},
      {"an empty list of groups", with("groups = []\n"),
       ":5:10: \"groups\": the officer is in no group"},
      {"a group with a blank", with("groups = [\"the officers\"]\n"),
       ":5:10: \"groups\": must match"},
      {"a group that stands twice", with("groups = [\"a\", \"b\", \"a\"]\n"),
       ":5:10: \"groups\": a group stands twice: a"},
      {"require of a plain key", with(groups + "require = \"verification\"\n"),
       ":6:11: \"require\": only a security key (sk-) can show that: SHA256:"},
      {"presence of a plain key", with(groups + "require = \"presence\"\n"), "is ssh-ed25519"},
      {"one plain key among security keys",
       officer("alice", line(KeyType::sk_ed25519) + "\", \"" + key,
               groups + "require = \"verification\"\n"),
       ":6:11: \"require\": only a security key"},
      {"an unknown require",
       officer("alice", line(KeyType::sk_ed25519), groups + "require = \"touch\"\n"),
       ":6:11: \"require\": must be \"presence\" or \"verification\""},
      {"require that is no text",
       officer("alice", line(KeyType::sk_ed25519), groups + "require = true\n"),
       ":6:11: \"require\": must be"},
      {"an unknown member", with(groups + "requires = \"verification\"\n"), ":6:1"},
      {"an unknown member of the file", "officers = []\n", ":2:1"},
      {"officers that are no tables", "officer = [\"alice\"]\n", ":2:1"},
      {"keys that are no texts", "[[officer]]\nname = \"alice\"\nkeys = [1]\n" + groups,
       ":4:8: \"keys\""},
      {"one key that is no list", "[[officer]]\nname = \"alice\"\nkeys = \"" + key + "\"\n",
       ":4:8: \"keys\""},
  };
  for (const Mistake& row : rows)
    EXPECT_THAT(parse(row.tables), ErrorIs(Code::usage, AllOf(HasSubstr("allowed_officers:"),
                                                              HasSubstr(row.sentence))))
        << row.what;
}

TEST(AllowedOfficersFile, RefusesAnotherVersionAndNone) {
  for (const char* text : {"", "version = 2\n", "version = 0\n", "version = \"1\"\n"})
    EXPECT_THAT(AllowedOfficers::parse(text, "allowed_officers"), ErrorIs(Code::usage)) << text;
}

TEST(AllowedOfficersFile, HasLimits) {
  std::string groups = "groups = [\"g0\"";
  for (int i = 1; i < 17; ++i) groups += ", \"g" + std::to_string(i) + "\"";
  EXPECT_THAT(parse(officer("alice", line(KeyType::ed25519), groups + "]\n")),
              ErrorIs(Code::usage, HasSubstr("too many groups")));
  std::string keys = TestSigner{KeyType::ed25519}.line();
  for (int i = 1; i < 17; ++i) keys += "\", \"" + TestSigner{KeyType::ed25519}.line();
  EXPECT_THAT(parse(officer("alice", keys)), ErrorIs(Code::usage, HasSubstr("too many keys")));
  std::string officers;
  for (int i = 0; i < 257; ++i)
    officers += officer("o" + std::to_string(i), TestSigner{KeyType::ed25519}.line());
  EXPECT_THAT(parse(officers), ErrorIs(Code::usage, HasSubstr("too many officers")));
}

}  // namespace
}  // namespace hsm::officers
