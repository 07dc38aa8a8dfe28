// The text that officers sign: one spelling, and for each verb the lines it has and no other.
#include "hsm_signer/officers/statement.h"

#include <fstream>
#include <functional>
#include <sstream>

#include "tests/support/error_is.h"

namespace hsm::officers {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kWithdrawal =
    "hsm-signer statement v1\n"
    "verb: approve\n"
    "host: signer-1\n"
    "id: r-17\n"
    "key: desk-a.funds\n"
    "api-key-id: account-AbC123\n"
    "environment: production\n"
    "client: treasury\n"
    "requester: carol\n"
    "payload: {\"request\":\"/v2/withdraw/bitcoin/btc\",\"address\":\"bc1q\",\"amount\":\"1.5\"}\n"
    "policy-serial: 12\n"
    "arg-token: desk\n"
    "expires: 2026-11-25T19:00:00.000000Z\n";

Statement read(std::string_view text) {
  const auto statement = Statement::parse(text);
  EXPECT_THAT(statement, Succeeds()) << text;
  return statement.value();
}

Statement withdrawal() { return read(kWithdrawal); }

// The text with `line` in the place of the one that begins with `beginning`.
std::string with(std::string_view beginning, const std::string& line) {
  std::string text{kWithdrawal};
  const std::size_t at = text.find("\n" + std::string{beginning}) + 1;
  EXPECT_NE(at, 0u) << beginning;
  return text.replace(at, text.find('\n', at) + 1 - at, line);
}

// One that has all a verb must have, and nothing else.
Statement least(Verb verb) {
  Statement statement{.verb = verb, .host = "signer-1", .id = "s-1"};
  statement.expires = *parse_rfc3339("2026-11-25T19:00:00.000001Z");
  const bool of_a_key = verb == Verb::approve || verb == Verb::import_key ||
                        verb == Verb::activate || verb == Verb::destroy ||
                        verb == Verb::nonce_raise;
  if (of_a_key) {
    statement.key = "desk-a.funds";
    statement.api_key_id = "account-1";
    statement.environment = "sandbox";
  }
  if (verb == Verb::approve || verb == Verb::client_add) statement.client = "treasury";
  if (verb == Verb::client_add || verb == Verb::policy) statement.policy_serial = 3;
  switch (verb) {
    case Verb::approve:
      statement.payload = R"({"request":"/v1/heartbeat"})";
      statement.arguments = {{"token", "desk"}};
      break;
    case Verb::policy:
      statement.arguments = {{"sha256", std::string(64, 'a')}};
      break;
    case Verb::thaw:
      statement.arguments = {{"scope", "all"}};
      break;
    case Verb::import_key:
      statement.arguments = {
          {"roles", "trader,fund_manager"}, {"scope", "account"}, {"token", "desk"}};
      break;
    case Verb::activate:
    case Verb::destroy:
      statement.arguments = {{"version", "2"}};
      break;
    case Verb::client_add:
      statement.arguments = {{"uid", "1001"}};
      break;
    case Verb::nonce_raise:
      statement.arguments = {{"mark", "1700000000000"}};
      break;
    case Verb::retention:
      statement.arguments = {{"before", "2025-11-25T00:00:00.000000Z"}};
      break;
  }
  return statement;
}

constexpr Verb kEveryVerb[] = {Verb::approve,    Verb::policy,      Verb::thaw,
                               Verb::import_key, Verb::activate,    Verb::destroy,
                               Verb::client_add, Verb::nonce_raise, Verb::retention};

TEST(Statement, ReadsEachLineOfAWithdrawal) {
  const Statement statement = withdrawal();
  EXPECT_EQ(statement.verb, Verb::approve);
  EXPECT_EQ(statement.host, "signer-1");
  EXPECT_EQ(statement.id, "r-17");
  EXPECT_EQ(statement.key, "desk-a.funds");
  EXPECT_EQ(statement.api_key_id, "account-AbC123");
  EXPECT_EQ(statement.environment, "production");
  EXPECT_EQ(statement.client, "treasury");
  EXPECT_EQ(statement.requester, "carol");
  EXPECT_THAT(statement.payload, HasSubstr(R"("amount":"1.5")"));
  EXPECT_EQ(statement.policy_serial, 12u);
  EXPECT_EQ(statement.arguments.at("token"), "desk");
  EXPECT_EQ(rfc3339(statement.expires), "2026-11-25T19:00:00.000000Z");
  const auto text = statement.to_text();
  ASSERT_THAT(text, Succeeds());
  EXPECT_EQ(*text, kWithdrawal);
}

TEST(Statement, OfEveryVerbIsReadAsItWasWritten) {
  for (const Verb verb : kEveryVerb) {
    const auto text = least(verb).to_text();
    ASSERT_THAT(text, Succeeds()) << name(verb);
    EXPECT_EQ(read(*text), least(verb)) << *text;
    EXPECT_THAT(*text, HasSubstr("\nverb: " + std::string{name(verb)} + "\n"));
  }
  Statement of_a_key = least(Verb::thaw);
  of_a_key.arguments.emplace("name", "desk-a.funds");
  EXPECT_EQ(read(*of_a_key.to_text()), of_a_key);
}

TEST(Statement, ApprovesByAPolicyThatHasNoSerial) {
  Statement statement = withdrawal();
  statement.policy_serial = 0;
  EXPECT_EQ(read(*statement.to_text()), statement);
}

TEST(Statement, SaysWhatIsExpectedOrIsRefusedByTheLine) {
  Statement expected = withdrawal();
  expected.id.clear();
  expected.requester.clear();
  expected.expires = {};
  EXPECT_THAT(check_says(withdrawal(), expected), Succeeds()) << "these are theirs to say";
  const std::tuple<const char*, std::function<void(Statement&)>> rows[] = {
      {"another verb than approve", [](Statement& s) { s.verb = Verb::thaw; }},
      {"another host than signer-1", [](Statement& s) { s.host = "signer-2"; }},
      {"another key than desk-a.funds", [](Statement& s) { s.key = "desk-a.trade"; }},
      {"another api-key-id than account-AbC123", [](Statement& s) { s.api_key_id = "account-2"; }},
      {"another environment than production", [](Statement& s) { s.environment = "sandbox"; }},
      {"another client than treasury", [](Statement& s) { s.client = "mm-bot"; }},
      {"another payload", [](Statement& s) { s.payload = R"({"request":"/v1/heartbeat"})"; }},
      {"another policy-serial than 12", [](Statement& s) { s.policy_serial = 13; }},
      {"another policy-serial than 12", [](Statement& s) { s.policy_serial = 0; }},
      {"another token than desk", [](Statement& s) { s.arguments["token"] = "spare"; }},
      {"another token than desk", [](Statement& s) { s.arguments.clear(); }},
      {"another name", [](Statement& s) { s.arguments["name"] = "desk-a"; }},
  };
  for (const auto& [says, change] : rows) {
    Statement other = withdrawal();
    change(other);
    EXPECT_THAT(check_says(other, expected), ErrorIs(Code::denied, HasSubstr(says)));
  }
}

TEST(Statement, NeedsEachOfItsLines) {
  for (const Verb verb : kEveryVerb) {
    const std::string text = *least(verb).to_text();
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      std::string without = text;
      without.erase(at, text.find('\n', at) + 1 - at);
      EXPECT_THAT(Statement::parse(without), ErrorIs(Code::invalid_payload)) << without;
    }
  }
}

TEST(Statement, HasNoLineOfAnotherVerb) {
  for (const Verb verb : kEveryVerb) {
    for (const Verb other : kEveryVerb) {
      std::istringstream lines{*least(other).to_text()};
      const std::string own = *least(verb).to_text();
      for (std::string line; std::getline(lines, line);) {
        const std::string member = line.substr(0, line.find(": ") + 2);
        if (own.find("\n" + member) != std::string::npos || own.starts_with(line)) continue;
        if (verb == Verb::approve && member == "policy-serial: ") continue;  // It may have it.
        for (std::size_t at = 0; at <= own.size(); at = own.find('\n', at) + 1) {
          std::string more = own;
          EXPECT_THAT(Statement::parse(more.insert(at, line + "\n")),
                      ErrorIs(Code::invalid_payload))
              << more;
          if (at == own.size()) break;
        }
      }
    }
  }
}

TEST(Statement, StandsInOneOrder) {
  for (const Verb verb : kEveryVerb) {
    std::vector<std::string> lines;
    std::istringstream text{*least(verb).to_text()};
    for (std::string line; std::getline(text, line);) lines.push_back(line + "\n");
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
      std::vector<std::string> turned = lines;
      std::swap(turned[i], turned[i + 1]);
      std::string all;
      for (const std::string& line : turned) all += line;
      EXPECT_THAT(Statement::parse(all), ErrorIs(Code::invalid_payload)) << all;
    }
  }
}

TEST(Statement, RefusesEveryOtherSpelling) {
  struct Row {
    const char* line;
    std::string instead;
  };
  const Row rows[] = {
      {"verb: ", "verb: Approve\n"},
      {"verb: ", "verb: sign\n"},
      {"verb: ", "verb:approve\n"},
      {"verb: ", "verb:  approve\n"},
      {"verb: ", "verb: approve \n"},
      {"verb: ", "verb: approve\r\n"},
      {"verb: ", "\nverb: approve\n"},
      {"host: ", "host: \n"},
      {"host: ", "host: signer 1\n"},
      {"host: ", "host: " + std::string(65, 'h') + "\n"},
      {"host: ", "host: signer-1\nhost: signer-2\n"},
      {"id: ", "id: r 17\n"},
      {"id: ", "id: " + std::string(65, 'r') + "\n"},
      {"id: ", "id: ../r\n"},
      {"key: ", "key: Desk\n"},
      {"api-key-id: ", "api-key-id: account.1\n"},
      {"environment: ", "environment: live\n"},
      {"environment: ", "environment: Production\n"},
      {"client: ", "client: tre asury\n"},
      {"requester: ", "requester: \n"},
      {"requester: ", "requester: Carol\n"},
      {"payload: ", "payload: {}\n"},
      {"payload: ", "payload: {\"nonce\":1,\"request\":\"/v1/heartbeat\"}\n"},
      {"payload: ", "payload: {\"request\":\"/v1/heartbeat\"} \n"},
      {"payload: ", "payload: {\"request\":\"/v1/heartbeat\",\"a\":\"\x1b[2K\"}\n"},
      {"payload: ", "payload: {\"request\":\"/v1/heartbeat\",\"a\":\"\x7f\"}\n"},
      {"payload: ", "payload: {\"request\":\"/v1/heartbeat\",\"a\":\"\xc3\xbc\"}\n"},
      {"payload: ", "payload: {\"request\":\"/v1/heartbeat\",\n\"a\":1}\n"},
      {"policy-serial: ", "policy-serial: 0\n"},
      {"policy-serial: ", "policy-serial: 012\n"},
      {"policy-serial: ", "policy-serial: +12\n"},
      {"policy-serial: ", "policy-serial: 9223372036854775808\n"},
      {"policy-serial: ", "policy-serial: 18446744073709551617\n"},
      {"arg-token: ", "arg-token: \n"},
      {"arg-token: ", "arg-token: desk\narg-token: desk\n"},
      {"arg-token: ", "arg-nonsense: desk\n"},
      {"expires: ", "expires: 2026-11-25T19:00:00Z\n"},
      {"expires: ", "expires: 2026-11-25T19:00:00.000000+00:00\n"},
      {"expires: ", "expires: 2026-11-31T19:00:00.000000Z\n"},
      {"expires: ", "expires: 2026-11-25t19:00:00.000000Z\n"},
      {"expires: ", "expires: 2026-11-25T19:00:00.000000Z\n\n"},
      {"expires: ", "expires: 2026-11-25T19:00:00.000000Z\nx\n"},
      {"expires: ", "expires: 2026-11-25T19:00:00.000000Z"},
  };
  for (const Row& row : rows)
    EXPECT_THAT(Statement::parse(with(row.line, row.instead)), ErrorIs(Code::invalid_payload))
        << row.instead;
  for (const std::string& text :
       {std::string{}, std::string{"\n"}, std::string{"hsm-signer statement v1"},
        std::string{"hsm-signer statement v1\n"},
        "hsm-signer statement v2\n" + std::string{kWithdrawal}, " " + std::string{kWithdrawal},
        "\xef\xbb\xbf" + std::string{kWithdrawal}})
    EXPECT_THAT(Statement::parse(text), ErrorIs(Code::invalid_payload)) << text;
}

TEST(Statement, HasArgumentsInTheirForms) {
  const std::tuple<Verb, const char*, std::vector<std::string>, std::vector<std::string>> rows[] = {
      {Verb::activate, "version", {"1", "4294967295"}, {"0", "01", "-1", "4294967296", "v1", " 1"}},
      {Verb::client_add, "uid", {"0", "1001"}, {"root", "00", "-1", "4294967296", ""}},
      {Verb::policy,
       "sha256",
       {std::string(64, '0')},
       {std::string(63, '0'), std::string(65, '0'), std::string(64, 'A'), std::string(64, 'g')}},
      {Verb::nonce_raise,
       "mark",
       {"0", "1700000000", "1700000000.123456789"},
       {"", ".", "1.", ".1", "1e3", "-1", std::string(21, '1'), "1.1234567890"}},
      {Verb::retention, "before", {"2025-11-25T00:00:00.000000Z"}, {"2025-11-25", "yesterday"}},
      {Verb::import_key,
       "roles",
       {"trader", "trader,fund_manager"},
       {"", "Trader", "trader fund_manager", std::string(65, 'r')}},
  };
  for (const auto& [verb, argument, good, bad] : rows) {
    Statement statement = least(verb);
    for (const std::string& value : good) {
      statement.arguments[argument] = value;
      const auto text = statement.to_text();
      ASSERT_THAT(text, Succeeds()) << value;
      EXPECT_EQ(read(*text), statement);
    }
    for (const std::string& value : bad) {
      statement.arguments[argument] = value;
      EXPECT_THAT(statement.to_text(), ErrorIs(Code::invalid_payload, HasSubstr(argument)))
          << value;
    }
  }
}

TEST(Statement, IsNotWrittenWhereItCouldNotBeRead) {
  const std::tuple<const char*, std::function<void(Statement&)>> rows[] = {
      {"host", [](Statement& s) { s.host.clear(); }},
      {"host", [](Statement& s) { s.host = "a\nb"; }},
      {"id", [](Statement& s) { s.id = "r\nverb: thaw"; }},
      {"client", [](Statement& s) { s.client.clear(); }},
      {"payload", [](Statement& s) { s.payload += "\n"; }},
      {"policy-serial",
       [](Statement& s) {
         s = {.verb = Verb::policy, .host = "a", .id = "b", .expires = s.expires};
       }},
      {"token", [](Statement& s) { s.arguments.clear(); }},
      {"arg-version", [](Statement& s) { s.arguments.emplace("version", "1"); }},
      {"argument", [](Statement& s) { s.arguments.emplace("other", "1"); }},
      {"key is no line", [](Statement& s) { s.verb = Verb::client_add; }},
  };
  for (const auto& [says, spoil] : rows) {
    Statement statement = withdrawal();
    spoil(statement);
    EXPECT_THAT(statement.to_text(), ErrorIs(Code::invalid_payload, HasSubstr(says)));
  }
}

TEST(Statement, IsBounded) {
  Statement statement = withdrawal();
  statement.payload = R"({"request":"/v1/heartbeat","a":")" + std::string(18 * 1024, 'x') + "\"}";
  EXPECT_THAT(Statement::parse(*statement.to_text()), Succeeds());
  statement.payload = R"({"request":"/v1/heartbeat","a":")" + std::string(20 * 1024, 'x') + "\"}";
  EXPECT_THAT(statement.to_text(), ErrorIs(Code::too_large, HasSubstr("20480")));
  EXPECT_THAT(Statement::parse(std::string{kWithdrawal} + std::string(20 * 1024, '\n')),
              ErrorIs(Code::too_large));
}

TEST(Statement, RepeatsNothingOfItsTextInARefusal) {
  for (const std::string& text : {with("host: ", "host: secret place\n"),
                                  with("key: ", "secret: x\n"), with("verb: ", "verb: secret\n")}) {
    const auto refused = Statement::parse(text);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence(), ::testing::Not(HasSubstr("secret")));
  }
}

std::string page() {
  std::ifstream file{"docs/statements.md"};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(StatementPage, HasAnExampleThatIsOne) {
  const std::string text = page();
  const std::size_t begin = text.find("hsm-signer statement v1\n");
  ASSERT_NE(begin, std::string::npos);
  EXPECT_EQ(read(text.substr(begin, text.find("```", begin) - begin)).verb, Verb::approve);
}

// Its table marks what each verb must have, and least() has just that.
TEST(StatementPage, SaysOfEachVerbWhatItMustHave) {
  std::istringstream lines{page()};
  std::string line;
  while (std::getline(lines, line) && !line.starts_with("| line | approve |")) continue;
  std::getline(lines, line);  // The rule under the head.
  std::map<std::size_t, std::vector<std::string>> wanted;
  while (std::getline(lines, line) && line.starts_with("| `")) {
    const std::string member = line.substr(3, line.find('`', 3) - 3);
    std::istringstream cells{line};
    std::string cell;
    for (std::size_t column = 0; std::getline(cells, cell, '|'); ++column)
      if (cell.find("\u25cf") != std::string::npos) wanted[column - 2].push_back(member);
  }
  ASSERT_EQ(wanted.size(), std::size(kEveryVerb));
  for (std::size_t i = 0; i < std::size(kEveryVerb); ++i) {
    std::vector<std::string> members;
    std::istringstream text{*least(kEveryVerb[i]).to_text()};
    for (std::string row; std::getline(text, row);)
      if (row.find(": ") != std::string::npos && !row.starts_with("verb: "))
        members.push_back(row.substr(0, row.find(": ")));
    EXPECT_EQ(members, wanted[i]) << name(kEveryVerb[i]);
  }
}

}  // namespace
}  // namespace hsm::officers
