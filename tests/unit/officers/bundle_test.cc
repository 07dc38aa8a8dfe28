// A statement with its signatures in one text, and who of them counts.
#include "hsm_signer/officers/bundle.h"

#include <map>

#include "tests/support/error_is.h"
#include "tests/unit/officers/ssh_keygen.h"
#include "tests/unit/officers/test_signer.h"

namespace hsm::officers {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Clock::Wall kNow{std::chrono::seconds{1'800'000'000}};

const TestSigner& key_of(const std::string& whose) {
  static std::map<std::string, TestSigner> made;
  auto found = made.find(whose);
  if (found == made.end()) found = made.emplace(whose, TestSigner{KeyType::ed25519}).first;
  return found->second;
}

AllowedOfficers allowed(const std::map<std::string, std::vector<std::string>>& persons) {
  std::string text = "version = 1\n";
  for (const auto& [name, lines] : persons) {
    text += "[[officer]]\nname = \"" + name + "\"\ngroups = [\"officers\"]\nkeys = [";
    for (const std::string& line : lines) text += "\"" + line + "\", ";
    text += "]\n";
  }
  auto parsed = AllowedOfficers::parse(text, "allowed_officers");
  EXPECT_THAT(parsed, Succeeds());
  return std::move(parsed).value();
}

const AllowedOfficers& desk() {
  static const AllowedOfficers officers =
      allowed({{"alice", {key_of("alice").line(), key_of("alice 2").line()}},
               {"bob", {key_of("bob").line()}},
               {"dora", {key_of("dora").line()}}});
  return officers;
}

Statement thaw() {
  Statement statement{.verb = Verb::thaw, .host = "signer-1", .id = "t-1"};
  statement.arguments = {{"scope", "all"}};
  statement.expires = kNow + 15min;
  return statement;
}

std::string bundled(const std::vector<std::string>& signers, const Statement& statement = thaw()) {
  std::string bundle = *statement.to_text();
  const std::string text = bundle;
  for (const std::string& whose : signers) bundle += key_of(whose).sign(text).to_text();
  return bundle;
}

Result<Stated> judged(std::string_view bundle, std::uint32_t need = 2, Clock::Wall now = kNow) {
  return judge(bundle, desk(), {"officers", need}, now);
}

TEST(Bundle, IsReadAsItWasPutTogether) {
  const std::string text = bundled({"alice", "bob"});
  const auto bundle = Bundle::parse(text);
  ASSERT_THAT(bundle, Succeeds());
  EXPECT_EQ(bundle->statement, thaw());
  EXPECT_EQ(bundle->signatures.size(), 2u);
  EXPECT_EQ(bundle->to_text(), text);
}

TEST(Bundle, RefusesWhateverElseStandsInIt) {
  const std::string good = bundled({"alice", "bob"});
  const std::string text = *thaw().to_text();
  const std::string begin = "-----BEGIN SSH SIGNATURE-----\n";
  const std::string signature = good.substr(text.size(), (good.size() - text.size()) / 2);
  for (const std::string& bad :
       {std::string{}, text, good + "\n", good + " ", "\n" + good, good + text, signature,
        signature + text, text + "\n" + signature, text + signature + "\n" + signature,
        text + begin, text + begin + signature, good.substr(0, good.size() - 1),
        text.substr(0, text.size() - 1) + signature, text + signature + "id: t-2\n" + signature,
        text + text + signature})
    EXPECT_THAT(Bundle::parse(bad), ErrorIs(Code::invalid_payload)) << bad;
}

TEST(Bundle, IsBounded) {
  EXPECT_THAT(Bundle::parse(bundled(std::vector<std::string>(8, "alice"))), Succeeds());
  EXPECT_THAT(Bundle::parse(bundled(std::vector<std::string>(9, "alice"))),
              ErrorIs(Code::too_large, HasSubstr("8")));
  EXPECT_THAT(Bundle::parse(std::string(kBundleLimit + 1, 'x')), ErrorIs(Code::too_large));
}

TEST(Judge, TakesWhatEnoughOfficersHaveSigned) {
  const auto stated = judged(bundled({"bob", "alice"}));
  ASSERT_THAT(stated, Succeeds());
  EXPECT_EQ(stated->statement, thaw());
  EXPECT_THAT(stated->officers, ElementsAre("alice", "bob"));
}

TEST(Judge, IsNotSpoiledByWhatDoesNotCount) {
  std::string text = bundled({"mallory", "alice", "alice"});
  text += key_of("dora").sign("another text").to_text();
  text += key_of("bob").sign(*thaw().to_text(), {.name_space = "file"}).to_text();
  text += key_of("bob").sign(*thaw().to_text()).to_text();
  const auto stated = judged(text);
  ASSERT_THAT(stated, Succeeds());
  EXPECT_THAT(stated->officers, ElementsAre("alice", "bob"));
}

TEST(Judge, CountsNobodyTwice) {
  EXPECT_THAT(judged(bundled({"alice", "alice 2"})),
              ErrorIs(Code::approval_required, HasSubstr("1 has signed: alice")));
  EXPECT_THAT(judged(bundled({"bob", "bob"})), ErrorIs(Code::approval_required));
}

TEST(Judge, CountsNoKeyThatIsNobodys) {
  EXPECT_THAT(judged(bundled({"alice", "mallory"})),
              ErrorIs(Code::approval_required,
                      AllOf(HasSubstr("1 has signed: alice"), HasSubstr("nobody's key"))));
}

TEST(Judge, CountsNoSignatureOverAnotherTextOrForAnotherPurpose) {
  const std::string text = *thaw().to_text();
  std::string bundle = bundled({"alice"}) + key_of("bob").sign(text + " ").to_text();
  EXPECT_THAT(judged(bundle), ErrorIs(Code::approval_required,
                                      HasSubstr("that of bob (the SSH signature does not")));
  bundle = bundled({"alice"}) + key_of("bob").sign(text, {.name_space = "git"}).to_text();
  EXPECT_THAT(judged(bundle), ErrorIs(Code::approval_required, HasSubstr("another namespace")));
}

TEST(Judge, CountsNoRequester) {
  Statement statement = thaw();
  statement.requester = "bob";
  EXPECT_THAT(judged(bundled({"alice", "bob"}, statement)),
              ErrorIs(Code::approval_required, HasSubstr("bob is the requester")));
  EXPECT_THAT(judged(bundled({"alice", "dora", "bob"}, statement)), Succeeds());
}

TEST(Judge, EndsWithTheStatement) {
  const std::string bundle = bundled({"alice", "bob"});
  EXPECT_THAT(judged(bundle, 2, kNow + 15min - 1us), Succeeds());
  EXPECT_THAT(judged(bundle, 2, kNow + 15min), ErrorIs(Code::denied, HasSubstr("expired")));
}

TEST(Judge, AsksForAsManyAsAreNeeded) {
  EXPECT_THAT(judged(bundled({"alice"}), 1), Succeeds());
  EXPECT_THAT(judged(bundled({"alice", "bob"}), 3), ErrorIs(Code::approval_required));
  EXPECT_THAT(judged(bundled({"alice"}), 0), ErrorIs(Code::internal));
  EXPECT_THAT(judge(bundled({"alice", "bob"}), desk(), {"treasury", 2}, kNow),
              ErrorIs(Code::approval_required));
}

// Each bit of the statement is signed, or it is no statement any more.
TEST(Judge, CountsEveryBitOfTheStatement) {
  const std::string good = bundled({"alice", "bob"});
  const std::size_t size = thaw().to_text()->size();
  for (std::size_t bit = 0; bit < size * 8; ++bit) {
    std::string changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(judged(changed)) << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST(Judge, TakesWhatTheRealSshKeygenHasSigned) {
  SshKeygen keygen;
  const std::string alice = keygen.key("alice", "ed25519");
  const std::string bob = keygen.key("bob", "ecdsa", 256);
  const AllowedOfficers officers =
      allowed({{"alice", {keygen.public_line(alice)}}, {"bob", {keygen.public_line(bob)}}});
  const std::string text = *thaw().to_text();
  const std::string one = keygen.sign(alice, text, std::string{kNamespace});
  const std::string other = keygen.sign(bob, text, std::string{kNamespace}, "sha256");
  const auto stated = judge(text + one + other, officers, {"officers", 2}, kNow);
  ASSERT_THAT(stated, Succeeds());
  EXPECT_THAT(stated->officers, ElementsAre("alice", "bob"));
  EXPECT_THAT(judge(text + one, officers, {"officers", 2}, kNow), ErrorIs(Code::approval_required));
  // What we take, ssh-keygen takes: who doubts us can look with their own.
  EXPECT_TRUE(keygen.verifies(keygen.public_line(alice), one, text, std::string{kNamespace}));
}

}  // namespace
}  // namespace hsm::officers
