#include "hsm_signer/policy_tools/question.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "hsm_signer/base/duration.h"
#include "hsm_signer/venue/json.h"
#include "hsm_signer/venue/roles.h"

namespace hsm::policy {
namespace {

using venue::Kind;
using venue::Value;

constexpr std::size_t kMostQuestions = 100'000;
constexpr std::uint32_t kMostTimes = 100'000;
constexpr std::string_view kNotOfThatForm = "a member is not of the form that it must have";

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<venue::Roles> roles_of(std::string_view text) {
  venue::Roles roles = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const auto* known = std::find_if(venue::kRoleNames.begin(), venue::kRoleNames.end(),
                                     [&](const auto& row) { return row.second == word; });
    if (known == venue::kRoleNames.end()) return std::nullopt;
    roles = static_cast<venue::Roles>(roles | known->first);
  }
  return roles;
}

// "allow", "deny", or a code that a decision or the strict payload can give.
bool is_expectation(std::string_view text) {
  constexpr std::array<std::string_view, 2> kVerdicts{"allow", "deny"};
  return std::find(kVerdicts.begin(), kVerdicts.end(), text) != kVerdicts.end() ||
         (code_from_name(text) != Code::internal && exit_status(code_from_name(text)) == 1);
}

// True where `from` was understood and now stands in `into`.
template <class T>
bool put(std::optional<T> from, T& into) {
  if (from) into = *std::move(from);
  return from.has_value();
}
template <class T>
bool put(const Result<T>& from, std::optional<T>& into) {
  if (from) into = *from;
  return from.has_value();
}

template <class T, class U>
bool set(T& into, const U& value) {
  into = T(value);
  return true;
}

bool put_text(Question& q, std::string_view name, std::string_view text) {
  if (name == "what") return set(q.what, text);
  if (name == "client") {
    q.uid.reset();
    return set(q.client, text) && !text.empty();
  }
  if (name == "key") return set(q.key.name, text) && !text.empty();
  if (name == "environment") return put(from_spelling(kEnvironments, text), q.key.environment);
  if (name == "scope") return put(from_spelling(kScopes, text), q.key.scope);
  if (name == "state") return put(from_spelling(kVersionStates, text), q.key.state);
  if (name == "roles") return put(roles_of(text), q.key.roles);
  if (name == "at") return put(parse_instant(text), q.at);
  if (name == "expect") return set(q.expect, text) && is_expectation(text);
  if (name == "request") return set(q.payload, text) && !text.empty();
  return false;
}

bool put_number(Question& q, std::string_view name, std::string_view text) {
  const std::optional<std::uint32_t> number = number_of(text);
  if (!number) return false;
  if (name == "uid") {
    q.client.clear();
    return set(q.uid, *number);
  }
  if (name == "gid") return set(q.gid, *number);
  if (name == "times") return set(q.times, *number) && *number >= 1 && *number <= kMostTimes;
  return false;
}

bool put_reference(Question& q, std::string_view symbol, std::string_view text) {
  const Result<Decimal> price = Decimal::parse_plain(text);
  if (price) q.references.emplace_back(symbol, *price);
  return price.has_value();
}

constexpr std::array<std::string_view, 14> kMembers{
    "what",  "client", "uid", "gid",     "key",   "environment", "scope",
    "state", "roles",  "at",  "request", "times", "reference",   "expect"};

// One line into a Question: the members of the object, with that of "request" written down again
// as it came.
class LineReader final : public venue::JsonEvents {
 public:
  explicit LineReader(Question& question) : question_{question} {}

  bool begin(Kind container) override {
    ++depth_;
    if (depth_ == 1) return true;
    if (member_ == "request") return copy(container == Kind::object ? "{" : "[", true);
    if (member_ == "reference" && depth_ == 2 && container == Kind::object) return true;
    return refuse(kNotOfThatForm, member_);
  }
  bool end(Kind container) override {
    --depth_;
    if (depth_ == 0 || member_ != "request") return true;
    question_.payload += container == Kind::object ? '}' : ']';
    fresh_ = false;
    return true;
  }
  bool key(std::string_view name) override {
    if (depth_ == 1) {
      const auto known = std::find(kMembers.begin(), kMembers.end(), name);
      if (known == kMembers.end()) return refuse("a member that no question has", {});
      member_ = *known;
      if (member_ == "request") question_.payload.clear();
      if (member_ == "reference") question_.references.clear();
      fresh_ = true;
      return true;
    }
    inner_ = name;
    if (member_ != "request") return true;
    std::string spelled;
    venue::append_json_string(name, spelled);
    copy(spelled + ":", true);
    return true;
  }
  bool scalar(const Value& value) override {
    if (depth_ > 1 && member_ == "request") return copy(spelled_value(value), false);
    bool fits = false;
    if (depth_ == 2)
      fits = value.kind == Kind::string && put_reference(question_, inner_, value.text);
    else if (value.kind == Kind::string)
      fits = put_text(question_, member_, value.text);
    else if (value.kind == Kind::number)
      fits = put_number(question_, member_, value.text);
    return fits || refuse(kNotOfThatForm, member_);
  }
  Error refusal() override { return refusal_; }

 private:
  bool refuse(std::string_view what, std::string_view member) {
    refusal_ = Error{.code = Code::usage, .what = what, .detail = std::string{member}};
    return false;
  }
  bool copy(std::string_view text, bool opens) {
    if (!fresh_) question_.payload += ',';
    question_.payload += text;
    fresh_ = opens;  // What comes next stands without a comma.
    return true;
  }
  static std::string spelled_value(const Value& value) {
    if (value.kind == Kind::null) return "null";
    if (value.kind != Kind::string) return std::string{value.text};
    std::string out;
    venue::append_json_string(value.text, out);
    return out;
  }

  Question& question_;
  int depth_ = 0;
  std::string_view member_;  // Of kMembers.
  std::string inner_;
  bool fresh_ = true;
  Error refusal_{};
};

tl::unexpected<Error> refuse(const std::string& file, std::size_t line, const Error& error) {
  return fail(Code::usage, {}, file + ":" + std::to_string(line) + ": " + error.sentence());
}

Result<void> read_line(std::string_view line, Question& question) {
  std::string arena;
  LineReader reader{question};
  return venue::parse_json(line, arena, reader);
}

// `question` is of a line without "request", which the lines behind it begin with.
Result<void> check_heading(const Question& question) {
  const bool of_one = !question.what.empty() || !question.expect.empty() || question.times != 1;
  if (!of_one) return {};
  return fail(Code::usage, "\"what\", \"times\" and \"expect\" mean nothing without \"request\"");
}

Result<void> check_question(const Question& question) {
  if (question.client.empty() && !question.uid)
    return fail(Code::usage, "nobody asks: \"client\" or \"uid\" is missing");
  if (question.key.name.empty()) return fail(Code::usage, "\"key\" is missing");
  return {};
}

}  // namespace

Result<std::vector<Question>> read_questions(std::string_view text, const std::string& file) {
  std::vector<Question> questions;
  Question heading;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == line.npos || line.starts_with('#')) continue;
    Question question = heading;
    question.line = number;
    if (const auto read = read_line(line, question); !read)
      return refuse(file, number, read.error());
    const bool is_heading = question.payload.empty();
    const auto fine = is_heading ? check_heading(question) : check_question(question);
    if (!fine) return refuse(file, number, fine.error());
    if (is_heading) {
      heading = std::move(question);
      continue;
    }
    if (questions.size() == kMostQuestions)
      return refuse(file, number, {.code = Code::usage, .what = "more than 100000 questions"});
    questions.push_back(std::move(question));
  }
  return questions;
}

}  // namespace hsm::policy
