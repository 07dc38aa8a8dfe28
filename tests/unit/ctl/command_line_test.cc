#include "hsm_signer/ctl/command_line.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ostream>

#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kSecret = "hunter2-value-never-shown";

// Each is refused with exit status 2, and no value is repeated.
struct Refused {
  const char* name;
  std::vector<std::string> arguments;
  const char* sentence;

  friend void PrintTo(const Refused& row, std::ostream* out) { *out << row.name; }
};
class RefusedArguments : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedArguments, AreAUsageErrorThatRepeatsNoValue) {
  const Ran ran = run_ctl(GetParam().arguments);
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, AllOf(HasSubstr(GetParam().sentence), Not(HasSubstr(kSecret))));
  EXPECT_THAT(ran.out, Not(HasSubstr(kSecret)));
}

const std::string kWithValue = std::string{"--secret="} + kSecret;
const Refused kRefused[] = {
    {"NoVerb", {}, "Usage:"},
    {"AGroupWithoutAVerb", {"key"}, "import"},
    {"AnUnknownVerb", {"frobnicate"}, "unknown verb"},
    {"AMistypedVerb", {"siign", "k"}, "did you mean 'sign'"},
    {"AMistypedVerbOfAGroup", {"key", "improt"}, "did you mean 'import'"},
    {"AnUnknownOption", {"ping", std::string{"--colour="} + kSecret}, "--colour"},
    {"AnArgumentTooMany", {"wrap", kSecret, "--token-key", "x"}, "one argument too many"},
    {"ASecondArgumentOfImport",
     {"key", "import", "k", kSecret, "--api-key", "a", "--environment", "sandbox", "--roles",
      "trader", "--nonce", "signer-ms"},
     "one argument too many"},
    {"ANumberThatIsNone",
     {"sign", "k", "--deadline", kSecret},
     "does not fit: --deadline; see hsm-signerctl sign --help"},
    {"AValueThatIsMissing", {"ping", "--dir"}, "--dir"},
    {"AnEmptyDirectory", {"--dir", "", "status"}, "an empty value: --dir"},
    {"TwoConfigurations", {"--dir", "d", "--config", "c", "ping"}, "exclude each other"},
    {"ANumberOfAVerbInAGroup",
     {"key", "destroy", "k", "--version", "0"},
     "--version; see hsm-signerctl key destroy --help"},
    {"ADirectoryThatIsNone",
     {"--dir", "/nonexistent", "status"},
     "hsm-signerctl --dir /nonexistent init makes one"},
    {"AConfigurationThatIsNone",
     {"--config", "/nonexistent", "status"},
     "name the file with --config"},
    {"AMissingOption", {"key", "import", "k"}, "--api-key is required"},
    {"AMissingName", {"sign"}, "NAME is required"},
    {"ASecretOption", {"key", "import", "k", "--secret", kSecret}, "--secret-file"},
    {"ASecretOptionWithEquals", {"wrap", kWithValue}, "--secret-file"},
    {"ASecretOptionBeforeTheVerb", {kWithValue, "ping"}, "--secret-file"},
    {"AnApiSecretOption", {"key", "import", "k", "--api-secret", kSecret}, "--secret-file"},
    {"APin", {"init", std::string{"--pin="} + kSecret}, "--pin"},
    {"SignWithoutAPayload", {"sign", "k"}, "either --request"},
    {"SignWithTwoPayloads", {"sign", "k", "--request", "a", "--verbatim", "b"}, "either --request"},
    {"UpWithoutADirectory", {"up"}, "--dir DIR up"},
    {"InitWithoutADirectory", {"init"}, "--dir DIR init"},
    {"DestroyOfABadName", {"key", "destroy", "../x", "--yes"}, "[a-z0-9]"},
};
INSTANTIATE_TEST_SUITE_P(Each, RefusedArguments, ::testing::ValuesIn(kRefused),
                         [](const auto& row) { return std::string{row.param.name}; });

TEST(CommandLineTest, EveryVerbHasHelpWithAnExample) {
  const std::vector<std::vector<std::string>> verbs{
      {"init"},          {"up"},          {"down"},           {"status"},       {"drain"},
      {"key", "import"}, {"key", "list"}, {"key", "show"},    {"key", "check"}, {"key", "destroy"},
      {"wrap"},          {"sign"},        {"explain"},        {"ping"},         {"whoami"},
      {"keys"},          {"freeze"},      {"cancel-only"},    {"thaw"},         {"lease"},
      {"switches"},      {"panic"},       {"audit", "verify"}};
  for (std::vector<std::string> verb : verbs) {
    verb.push_back("--help");
    const Ran ran = run_ctl(verb);
    EXPECT_EQ(ran.status, 0) << verb.front();
    EXPECT_THAT(ran.out, HasSubstr("Example: hsm-signerctl ")) << verb.front();
  }
}

TEST(CommandLineTest, SaysItsVersion) {
  const Ran ran = run_ctl({"--version"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, "hsm-signerctl " HSM_VERSION "\n");
}

TEST(CommandLineTest, AnErrorIsOneLineWithItsCodeAndWithJsonAnObject) {
  client::TempDir dir;
  const std::string socket = dir / "none.sock";
  const Ran plain = run_ctl({"--socket", socket, "ping"});
  EXPECT_EQ(plain.status, 3);
  EXPECT_EQ(plain.out, "");
  EXPECT_THAT(plain.err, AllOf(StartsWith("hsm-signerctl: cannot connect to: " + socket),
                               EndsWith(" [token_unavailable]\n")));
  const Ran json = run_ctl({"--socket", socket, "ping", "--json"});
  EXPECT_EQ(json.status, 3);
  EXPECT_THAT(json.out,
              StartsWith(R"({"error":{"code":"token_unavailable","message":"cannot connect to: )"));
}

TEST(NearestTest, FindsWhatIsAtMostTwoEditsAwayAndNothingElse) {
  const std::vector<std::string> words{"up", "sign", "status", "import"};
  EXPECT_EQ(nearest("sing", words), "sign");
  EXPECT_EQ(nearest("statsu", words), "status");
  EXPECT_EQ(nearest("imprt", words), "import");
  EXPECT_EQ(nearest("frobnicate", words), "");
  EXPECT_EQ(nearest("zz", words), "");
  EXPECT_EQ(nearest("", words), "");
}

}  // namespace
}  // namespace hsm::ctl
