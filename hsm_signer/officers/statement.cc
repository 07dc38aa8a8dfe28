#include "hsm_signer/officers/statement.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/terms.h"

namespace hsm::officers {
namespace {

constexpr std::string_view kFirstLine = "hsm-signer statement v1";
constexpr std::string_view kVerb = "verb";
constexpr std::string_view kSerial = "policy-serial";
constexpr std::string_view kExpires = "expires";
constexpr std::string_view kArgument = "arg-";
constexpr std::size_t kMostHost = 64;  // HOST_NAME_MAX of Linux.
constexpr std::size_t kMostWords = 64;

constexpr std::array kVerbs{Spelling<Verb>{Verb::approve, "approve"},
                            Spelling<Verb>{Verb::policy, "policy"},
                            Spelling<Verb>{Verb::thaw, "thaw"},
                            Spelling<Verb>{Verb::import_key, "import"},
                            Spelling<Verb>{Verb::activate, "activate"},
                            Spelling<Verb>{Verb::destroy, "destroy"},
                            Spelling<Verb>{Verb::client_add, "client-add"},
                            Spelling<Verb>{Verb::nonce_raise, "nonce-raise"},
                            Spelling<Verb>{Verb::retention, "retention"}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// ---- Forms of values ----

bool is_environment(std::string_view text) {
  return from_spelling(kEnvironments, text).has_value();
}

// That it is JSON, and whose, is told by comparing it with the payload that is about to be signed.
bool is_payload(std::string_view text) {
  return text.starts_with(R"({"request":")") && text.ends_with('}') &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Without sign and leading zero, from 1 to `most`.
bool is_count(std::string_view text, std::uint64_t most) {
  if (text.empty() || text.front() == '0' || !std::all_of(text.begin(), text.end(), is_digit))
    return false;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && value <= most;
}
bool is_serial(std::string_view text) {
  return is_count(text, std::numeric_limits<std::int64_t>::max());
}
bool is_version(std::string_view text) {
  return is_count(text, std::numeric_limits<std::uint32_t>::max());
}
bool is_uid(std::string_view text) { return text == "0" || is_version(text); }

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

// "key", "trader,fund_manager".
bool is_words(std::string_view text) {
  return !text.empty() && text.size() <= kMostWords &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower(c) || c == '_' || c == ','; });
}

// As nonces are: up to 20 digits, in seconds with a fraction of up to 9.
bool is_mark(std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  return !whole.empty() && whole.size() <= 20 && fraction.size() <= 9 &&
         fraction.empty() == (point == text.size()) &&
         std::all_of(whole.begin(), whole.end(), is_digit) &&
         std::all_of(fraction.begin(), fraction.end(), is_digit);
}

bool is_time(std::string_view text) { return parse_rfc3339(text).has_value(); }

// ---- The table ----

enum Presence : char { must = 'm', may = 'o', must_not = '.' };

struct Row {
  std::string_view name;
  std::string_view presence;  // By Verb.
  bool (*form)(std::string_view);
  std::string Statement::*text = nullptr;  // Null: the serial, the expiry or an argument.
};

// In the order of the lines. An argument's name begins with arg-.
constexpr std::array kRows{
    //                    approve, policy, thaw, import, activate, destroy, client-add,
    //                    nonce-raise, retention
    Row{"host", "mmmmmmmmm", is_host_name, &Statement::host},
    Row{"id", "mmmmmmmmm", is_api_key_id, &Statement::id},
    Row{"key", "m..mmm.m.", is_name, &Statement::key},
    Row{"api-key-id", "m..mmm.m.", is_api_key_id, &Statement::api_key_id},
    Row{"environment", "m..mmm.m.", is_environment, &Statement::environment},
    Row{"client", "m.....m..", is_name, &Statement::client},
    Row{"requester", "ooooooooo", is_name, &Statement::requester},
    Row{"payload", "m........", is_payload, &Statement::payload},
    Row{kSerial, "om....m..", is_serial},
    Row{"arg-before", "........m", is_time},
    Row{"arg-mark", ".......m.", is_mark},
    Row{"arg-name", "..o......", is_name},
    Row{"arg-roles", "...m.....", is_words},
    Row{"arg-scope", "..mm.....", is_words},
    Row{"arg-sha256", ".m.......", is_sha256},
    Row{"arg-token", "m..m.....", is_name},
    Row{"arg-uid", "......m..", is_uid},
    Row{"arg-version", "....mm...", is_version},
    Row{kExpires, "mmmmmmmmm", is_time},
};
static_assert(std::all_of(kRows.begin(), kRows.end(),
                          [](const Row& row) { return row.presence.size() == kVerbs.size(); }));

Presence presence_of(const Row& row, Verb verb) {
  return static_cast<Presence>(row.presence[static_cast<std::size_t>(verb)]);
}

std::string value_of(const Statement& statement, const Row& row) {
  if (row.text != nullptr) return statement.*row.text;
  if (row.name == kExpires) return rfc3339(statement.expires);
  if (row.name == kSerial)
    return statement.policy_serial == 0 ? std::string{} : std::to_string(statement.policy_serial);
  const auto found = statement.arguments.find(row.name.substr(kArgument.size()));
  return found == statement.arguments.end() ? std::string{} : found->second;
}

// `value` has the form.
void set_value(Statement& statement, const Row& row, std::string_view value) {
  if (row.text != nullptr)
    statement.*row.text = value;
  else if (row.name == kExpires)
    statement.expires = *parse_rfc3339(value);
  else if (row.name == kSerial)
    std::from_chars(value.data(), value.data() + value.size(), statement.policy_serial);
  else
    statement.arguments.emplace(row.name.substr(kArgument.size()), value);
}

// ---- Lines ----

tl::unexpected<Error> not_one(std::string detail) {
  return fail(Code::invalid_payload, "not a statement of officers", std::move(detail));
}
tl::unexpected<Error> too_long() {
  return fail(Code::too_large, "the statement is too long",
              "the limit is " + std::to_string(kStatementLimit) + " bytes");
}

class Lines {
 public:
  explicit Lines(std::string_view text) : rest_{text} {}

  // Steps over the next line if it is `beginning` and something behind it; that.
  std::optional<std::string_view> take(std::string_view beginning) {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos || !rest_.starts_with(beginning)) return std::nullopt;
    const std::string_view value = rest_.substr(beginning.size(), end - beginning.size());
    rest_.remove_prefix(end + 1);
    ++number_;
    return value;
  }
  std::optional<std::string_view> value_of(std::string_view member) {
    return take(std::string{member} + ": ");
  }
  bool ended() const { return rest_.empty(); }
  // Of the line that comes next.
  tl::unexpected<Error> refuse(std::string_view member, std::string_view why) const {
    return not_one("line " + std::to_string(number_) + ", " + std::string{member} + ": " +
                   std::string{why});
  }

 private:
  std::string_view rest_;
  std::size_t number_ = 1;
};

}  // namespace

std::string_view name(Verb verb) { return spelled(kVerbs, verb); }

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= kMostHost &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
                  c == '-';
         });
}

Result<void> check_host(std::string_view name) {
  if (is_host_name(name)) return {};
  return fail(Code::usage, "the name of this host cannot stand in an officers' statement",
              "1 to 64 of [A-Za-z0-9._-]");
}

Result<Statement> Statement::parse(std::string_view text) {
  if (text.size() > kStatementLimit) return too_long();
  Lines lines{text};
  if (const auto more = lines.take(kFirstLine); !more || !more->empty())
    return not_one("the first line is not \"" + std::string{kFirstLine} + "\"");
  const auto spelling = lines.value_of(kVerb);
  if (!spelling) return lines.refuse(kVerb, "is missing");
  const auto verb = from_spelling(kVerbs, *spelling);
  if (!verb) return not_one("line 2, verb: is none of this version's");
  Statement statement;
  statement.verb = *verb;
  for (const Row& row : kRows) {
    const Presence presence = presence_of(row, *verb);
    const auto value = presence == must_not ? std::nullopt : lines.value_of(row.name);
    if (value && !row.form(*value)) return not_one(std::string{row.name} + " is out of form");
    if (value) set_value(statement, row, *value);
    if (!value && presence == must) return lines.refuse(row.name, "is missing or out of place");
  }
  if (!lines.ended()) return lines.refuse(name(*verb), "has no such line behind expires");
  return statement;
}

Result<std::string> Statement::to_text() const {
  std::string text{kFirstLine};
  text.append("\n").append(kVerb).append(": ").append(name(verb)).append("\n");
  std::size_t written_arguments = 0;
  for (const Row& row : kRows) {
    const Presence presence = presence_of(row, verb);
    const std::string value = value_of(*this, row);
    if (value.empty() && presence != must) continue;
    if (value.empty()) return not_one(std::string{row.name} + " is missing");
    if (presence == must_not)
      return not_one(std::string{row.name} + " is no line of verb " + std::string{name(verb)});
    if (!row.form(value)) return not_one(std::string{row.name} + " is out of form");
    text.append(row.name).append(": ").append(value).append("\n");
    if (row.name.starts_with(kArgument)) ++written_arguments;
  }
  if (written_arguments != arguments.size()) return not_one("an argument that no verb has");
  if (text.size() > kStatementLimit) return too_long();
  return text;
}

Result<void> check_says(const Statement& statement, const Statement& expected) {
  const auto another = [](std::string_view line, std::string_view than) {
    if (line.starts_with(kArgument)) line.remove_prefix(kArgument.size());
    std::string detail = "another " + std::string{line};
    if (!than.empty()) detail.append(" than ").append(than);
    return fail(Code::denied, "the officers have stated something else", std::move(detail));
  };
  if (statement.verb != expected.verb) return another(kVerb, name(expected.verb));
  for (const Row& row : kRows) {
    const std::string value = value_of(expected, row);
    const bool theirs = row.name == kExpires ? expected.expires == Clock::Wall{} : value.empty();
    if (theirs && !row.name.starts_with(kArgument)) continue;
    if (value_of(statement, row) == value) continue;
    // What is expected is this host's own knowledge; the payload's is the client's, and long.
    return another(row.name, row.text == &Statement::payload ? std::string{} : value);
  }
  return {};
}

}  // namespace hsm::officers
