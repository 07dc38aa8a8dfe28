#include "hsm_signer/config/signer_config.h"

#include <unistd.h>

#include "tests/support/error_is.h"

namespace hsm {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kGood = R"(version = 1
mode = "development"
socket = "run/signer.sock"
admin_socket = "run/admin.sock"
state = "state.db"
audit = "audit"
audit_key = "audit.pub.pem"
policy = "policy.toml"
[[token]]
name = "dev"
socket = "run/dev.sock"
admin_socket = "run/dev.admin.sock"
wrap_key = "wrap-dev.pub.pem"
)";

std::string with(std::string_view from, std::string_view to) {
  std::string text{kGood};
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(SignerConfig, TakesRelativePathsFromItsOwnDirectory) {
  const auto config = SignerConfig::parse(kGood, "/etc/hsm-signer/signer.toml");
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->socket, "/etc/hsm-signer/run/signer.sock");
  EXPECT_EQ(config->token("dev")->admin_socket, "/etc/hsm-signer/run/dev.admin.sock");
  EXPECT_EQ(config->token("other"), nullptr);
  EXPECT_EQ(config->admins, std::vector<uid_t>{::geteuid()});
  EXPECT_EQ(config->deadline, std::chrono::seconds{5});
  EXPECT_EQ(config->mode, SignerConfig::Mode::development);
  EXPECT_EQ(config->audit_reserve_bytes, 4U << 20);
  EXPECT_EQ(config->audit_low_water_bytes, 256U << 20);
}

TEST(SignerConfig, KeepsNoReserveWhereItIsToldTo) {
  const auto config =
      SignerConfig::parse(with("state =", "audit_reserve_bytes = 0\nstate ="), "s.toml");
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->audit_reserve_bytes, 0U);
}

TEST(SignerConfig, AnchorsWhereItIsTold) {
  const auto without = SignerConfig::parse(kGood, "/etc/hsm-signer/signer.toml");
  ASSERT_THAT(without, Succeeds());
  EXPECT_EQ(without->audit_anchor, "");
  EXPECT_EQ(without->audit_anchor_every, std::chrono::minutes{1});
  for (const char* beside : {"audit2/anchor", "audit-anchor", "..audit", "/mnt/worm/desk"}) {
    const std::string keys = "audit_anchor = \"" + std::string{beside} + "\"\n";
    const auto config =
        SignerConfig::parse(with("state =", keys + "audit_anchor_every = \"1h\"\nstate ="),
                            "/etc/hsm-signer/signer.toml");
    ASSERT_THAT(config, Succeeds());
    EXPECT_EQ(config->audit_anchor,
              beside[0] == '/' ? beside : "/etc/hsm-signer/" + std::string{beside});
    EXPECT_EQ(config->audit_anchor_every, std::chrono::hours{1});
  }
}

constexpr std::string_view kOfficers = R"([officers]
file = "allowed_officers"
group = "officers"
need = 2
[[token]]
)";

TEST(SignerConfig, NamesOfficersOnlyWhenTold) {
  EXPECT_FALSE(SignerConfig::parse(kGood, "s.toml")->officers.has_value());
  const auto config =
      SignerConfig::parse(with("[[token]]\n", kOfficers), "/etc/hsm-signer/signer.toml");
  ASSERT_THAT(config, Succeeds());
  ASSERT_TRUE(config->officers.has_value());
  EXPECT_EQ(config->officers->file, "/etc/hsm-signer/allowed_officers");
  EXPECT_EQ(config->officers->group, "officers");
  EXPECT_EQ(config->officers->need, 2U);
}

TEST(SignerConfig, RefusesOfficersThatCouldNotBeAsked) {
  const std::pair<const char*, const char*> rows[] = {
      {"file = \"allowed_officers\"\n", "missing key: file"},
      {"\"allowed_officers\"", "must name a file"},
      {"group = \"officers\"\n", "missing key: group"},
      {"\"officers\"", "must match"},
      {"need = 2\n", "missing key: need"},
      {"need = 2", "out of range"},
  };
  for (const auto& [from, says] : rows) {
    std::string text = with("[[token]]\n", kOfficers);
    const bool whole_line = std::string_view{from}.ends_with('\n');
    const std::string to = whole_line ? "" : *from == '"' ? "\"\"" : "need = 9";
    text.replace(text.find(from), std::string_view{from}.size(), to);
    EXPECT_THAT(SignerConfig::parse(text, "s.toml"), ErrorIs(Code::usage, HasSubstr(says))) << from;
  }
}

TEST(SignerConfig, IsProductionUnlessItSaysOtherwise) {
  const auto config = SignerConfig::parse(with("mode = \"development\"\n", ""), "s.toml");
  ASSERT_THAT(config, Succeeds());
  EXPECT_EQ(config->mode, SignerConfig::Mode::production);
}

struct Refusal {
  const char* name;
  std::string text;
  const char* sentence;
};

TEST(SignerConfig, RefusesWithLineAndColumn) {
  const std::vector<Refusal> refusals{
      {"unknown key", with("state =", "stat = 1\nstate ="), "s.toml:5:1: \"stat\": unknown key"},
      {"unknown key of a token", with("wrap_key =", "pin = \"1\"\nwrap_key ="),
       "s.toml:13:1: \"pin\": unknown key"},
      {"missing key", with("state = \"state.db\"\n", ""), "missing key: state"},
      {"wrong type", with("\"state.db\"", "7"), "s.toml:5:9: \"state\": must be a string"},
      {"no token", with(kGood.substr(kGood.find("[[token]]")), ""), "missing key: [[token]]"},
      {"a token twice", std::string{kGood} + std::string{kGood.substr(kGood.find("[[token]]"))},
       "names a token twice"},
      {"a bad token name", with("\"dev\"", "\"De v\""), "must match"},
      {"another version", with("version = 1", "version = 2"), "out of range"},
      {"a bad mode", with("\"development\"", "\"debug\""),
       "must be \"production\" or \"development\""},
      {"an unknown admin", with("state =", "admins = [\"no-such-user-here\"]\nstate ="),
       "no such user"},
      {"nobody as admin", with("state =", "admins = [\"65534\"]\nstate ="), "65534"},
      {"the uid that is none", with("state =", "admins = [\"4294967295\"]\nstate ="), "4294967295"},
      {"the gid that is none", with("state =", "socket_group = \"4294967295\"\nstate ="),
       "4294967295"},
      {"a long socket path", with("run/signer.sock", std::string(120, 'x')),
       "socket path too long"},
      {"a segment that holds no record", with("state =", "audit_segment_bytes = 4095\nstate ="),
       "out of range"},
      {"a reserve beyond a gibibyte", with("state =", "audit_reserve_bytes = 1073741825\nstate ="),
       "out of range"},
      {"a reserve below none", with("state =", "audit_reserve_bytes = -1\nstate ="),
       "out of range"},
      {"a low water mark below none", with("state =", "audit_low_water_bytes = -1\nstate ="),
       "out of range"},
      {"an anchor that is the log", with("state =", "audit_anchor = \"audit\"\nstate ="),
       "must not lie in the audit directory"},
      {"an anchor in the log", with("state =", "audit_anchor = \"x/../audit/a/b\"\nstate ="),
       "s.toml:5:16: \"audit_anchor\": must not lie in the audit directory"},
      {"an anchor without a name", with("state =", "audit_anchor = \"\"\nstate ="),
       "must name a file"},
      {"anchoring all the time", with("state =", "audit_anchor_every = \"0s\"\nstate ="),
       "not a length of time"},
      {"anchoring now and then", with("state =", "audit_anchor_every = \"61m\"\nstate ="),
       "out of range: 1s to 1h"},
      {"anchoring by number", with("state =", "audit_anchor_every = 60\nstate ="),
       "must be a string"},
      {"a deadline of zero", with("state =", "deadline_ms = 0\nstate ="), "out of range"},
      {"broken TOML", with("state =", "state"), "s.toml:5:"},
  };
  for (const Refusal& refusal : refusals) {
    EXPECT_THAT(SignerConfig::parse(refusal.text, "s.toml"),
                ErrorIs(Code::usage, HasSubstr(refusal.sentence)))
        << refusal.name;
  }
}

TEST(SignerConfig, RefusesAFileThatIsNotThere) {
  EXPECT_THAT(SignerConfig::load("/nonexistent/signer.toml"),
              ErrorIs(Code::usage, HasSubstr("/nonexistent/signer.toml")));
}

}  // namespace
}  // namespace hsm
